"""SAM-Med3D and FastSAM3D as segmenters: clicks, windows, the command line; upstream's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import deterministic
import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from deterministic import fill
from onnx import TensorProto, helper, numpy_helper
from test_volume_window import ras

import samovar
from samovar.cli.main import main
from samovar.errors import InputError, PromptError
from samovar.grid import LPS_FROM_RAS, Frame, Grid, Region
from samovar.image import ArrayImage
from samovar.masks import PixelMask
from samovar.prompts import Prompt, Prompts
from samovar.segmenter_bundle import SegmenterBundle
from samovar.segmenters import load_segmenter
from samovar_encoders.architectures import SamArchitecture
from samovar_encoders.importing import import_bundle
from samovar_encoders.registry import record
from samovar_encoders.volume_segmenter import VolumeSegmenter, normalised


class Remembering:
    """A decoder that answers a little more every time, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, np.ndarray]] = []
        self.encoded = 0

    def run(self, feeds, outputs=None):
        if "image" in feeds:
            self.encoded += 1
            return {"image_embeddings": np.zeros((1, 384, 8, 8, 8), np.float32)}
        self.asked.append(feeds)
        logits = np.full((1, 4, 32, 32, 32), float(len(self.asked)), np.float32)
        return {"low_res_masks": logits, "iou_predictions": np.full((1, 4), 0.5, np.float32)}


@pytest.fixture
def asked():
    """Asks a volume of 200³ at 1.5 mm; returns what the graphs were asked and the objects."""
    grid = ras((200, 200, 200), (1.5, 1.5, 1.5))
    image = ArrayImage(np.random.default_rng(0).normal(50, 10, grid.shape).astype("f4"), grid)

    def ask(*prompts: Prompt):
        graph = Remembering()
        segmenter = VolumeSegmenter({"encoder": graph, "decoder": graph}, {})
        answers = list(segmenter.segment(image, Prompts(prompts), CONTEXT))
        return graph, answers

    return ask


class Context:
    """What the host hands over."""

    class intensity:
        modality = "mr"

    def check(self) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass


CONTEXT = Context()
A, B, C = (90.0, 100.0, 110.0), (95.0, 100.0, 110.0), (80.0, 100.0, 110.0)


def test_clicks_come_one_after_the_other_with_the_answer_so_far(asked) -> None:
    graph, _ = asked(Prompt(1, points=(C, A, B), labels=(0, 1, 1)))
    assert graph.encoded == 1
    clicks = [(q["point_coords"][0, 0].tolist(), int(q["point_labels"][0, 0])) for q in graph.asked]
    assert clicks == [([61, 64, 64], 1), ([66, 64, 64], 1), ([51, 64, 64], 0)], "positive first"
    assert [float(q["mask_input"].max()) for q in graph.asked] == [0, 1, 2]


def test_a_box_lays_the_window_and_asks_by_its_middle(asked) -> None:
    graph, _ = asked(Prompt(1, box=(80, 80, 80, 120, 120, 120)))
    assert graph.asked[0]["point_coords"].tolist() == [[[64, 64, 64]]]
    graph, _ = asked(Prompt(1, box=(80, 80, 80, 120, 120, 120), points=(A,), labels=(1,)))
    assert graph.asked[0]["point_coords"].tolist() == [[[54, 64, 74]]], "the click, not the middle"


def test_a_painted_mask_is_the_first_one(asked) -> None:
    painted = PixelMask(Region((108, 98, 88), (112, 102, 92)), np.ones((4, 4, 4), bool))
    graph, _ = asked(Prompt(1, points=(A,), labels=(1,), painted=(painted,)))
    assert graph.asked[0]["mask_input"].sum() > 0


def test_objects_of_one_window_share_its_encoding(asked) -> None:
    box = (80, 80, 80, 120, 120, 120)
    graph, answers = asked(
        Prompt(1, box=box), Prompt(2, box=box), Prompt(3, box=(0, 0, 0, 9, 9, 9))
    )
    assert graph.encoded == 2
    assert [a.id for a in answers] == [1, 2, 3]
    assert [a.attributes["reaches_window_end"] for a in answers] == [True] * 3


def test_points_too_far_apart_are_refused_and_far_negative_ones_left_out(asked) -> None:
    with pytest.raises(PromptError, match="lie too far apart for the 192 mm"):
        asked(Prompt(1, points=((5, 5, 5), (195, 195, 195)), labels=(1, 1)))
    graph, _ = asked(Prompt(1, points=(A, (195, 195, 195)), labels=(1, 0)))
    assert len(graph.asked) == 1


def test_logits_of_a_slice_are_no_mask_of_a_volume(asked) -> None:
    with pytest.raises(PromptError, match=r"Prompt\.painted"):
        asked(Prompt(1, points=(A,), labels=(1,), mask=np.zeros((64, 64), np.float32)))


def test_normalisation_is_upstream_s_and_refuses_emptiness() -> None:
    from samovar_encoders.sam_med3d import normalise_volume

    cube = deterministic.volume(3, 32).astype(np.float32)
    theirs = normalise_volume(torch.from_numpy(cube)).numpy()
    np.testing.assert_allclose(normalised(cube), theirs, atol=2e-6)
    with pytest.raises(InputError, match="above zero"):
        normalised(-np.ones((4, 4, 4), np.float32), "ct.nii.gz")


def test_a_ct_is_clamped_before_it_is_normalised() -> None:
    grid = ras((8, 8, 8), (1.5, 1.5, 1.5))
    values = np.random.default_rng(0).normal(300, 50, grid.shape).astype("f4")
    values[0, 0, 0] = 30_000
    seen = []
    graph = Remembering()
    run = graph.run
    graph.run = lambda feeds, outputs=None: seen.append(feeds.get("image")) or run(feeds)
    segmenter = VolumeSegmenter({"encoder": graph, "decoder": graph}, {})
    asking = Prompts((Prompt(1, points=((3, 3, 3),), labels=(1,)),))
    context = Context()
    context.intensity = type("ct", (), {"modality": "ct"})
    list(segmenter.segment(ArrayImage(values, grid), asking, context))
    assert seen[0].max() < 20, "an implant does not swallow all contrast"


def bright_spots(folder: Path, above: float = 3.1) -> Path:
    """A bundle whose graphs answer where the normalised values exceed ``above``."""
    numbers = TensorProto.FLOAT
    image = helper.make_tensor_value_info("image", numbers, (1, 1, 128, 128, 128))
    pooled = helper.make_tensor_value_info("image_embeddings", numbers, (1, 1, 32, 32, 32))
    pool = helper.make_node(
        "AveragePool", ["image"], ["image_embeddings"], kernel_shape=[4] * 3, strides=[4] * 3
    )
    encoder = helper.make_graph([pool], "encoder", [image], [pooled])
    inputs = [
        pooled,
        helper.make_tensor_value_info("point_coords", numbers, ("n", "p", 3)),
        helper.make_tensor_value_info("point_labels", TensorProto.INT64, ("n", "p")),
        helper.make_tensor_value_info("mask_input", numbers, ("n", 1, 32, 32, 32)),
    ]
    outputs = [
        helper.make_tensor_value_info("low_res_masks", numbers, (1, 4, 32, 32, 32)),
        helper.make_tensor_value_info("iou_predictions", numbers, (1, 4)),
    ]
    constants = [
        numpy_helper.from_array(np.array(above, np.float32), "above"),
        numpy_helper.from_array(np.full((1, 4), 0.75, np.float32), "quality"),
    ]
    nodes = [
        helper.make_node("Sub", ["image_embeddings", "above"], ["logits"]),
        helper.make_node("Concat", ["logits"] * 4, ["low_res_masks"], axis=1),
        helper.make_node("Identity", ["quality"], ["iou_predictions"]),
    ]
    decoder = helper.make_graph(nodes, "decoder", inputs, outputs, constants)
    sources = {}
    for name, graph in (("encoder", encoder), ("decoder", decoder)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.save(model, str(folder / f"{name}.onnx"))
        sources[f"{name}.onnx"] = folder / f"{name}.onnx"
    made = SegmenterBundle(
        "bright", "1", "samovar-encoders/fastsam3d",
        {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}, weights_licence="CC0-1.0",
    )  # fmt: skip
    made.save(folder / "bright", sources)
    return folder / "bright"


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    pytest.importorskip("samovar_laptop")
    return bright_spots(tmp_path)


def ball(grid: Grid, centre: tuple[float, ...], radius: float) -> np.ndarray:
    index = np.stack(np.indices(grid.shape)[::-1], axis=-1)
    return np.linalg.norm(grid.to_world(index) - centre, axis=-1) < radius


def test_a_nifti_from_the_command_line(bright: Path, tmp_path: Path, capsys) -> None:
    """Open, ask by point and by box, write; the written file is read by another library."""
    pytest.importorskip("samovar_medical")
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[0, -1.2, 0, 40], [0, 0, 2.0, -30], [0.9, 0, 0, -55], [0, 0, 0, 1]])
    grid = Grid((30, 70, 90), LPS_FROM_RAS @ affine, Frame.lps())  # stored as z, y, x
    centre, other = (-14.0, 10.0, -20.0), (15.0, 12.0, 5.0)
    values = np.where(ball(grid, centre, 12) | ball(grid, other, 8), 200, 20)
    noise = np.random.default_rng(0).integers(0, 10, grid.shape)
    data = (values + noise).astype(np.int16).transpose(2, 1, 0)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "v.nii.gz")
    point = ",".join(f"{v:g}" for v in centre)
    out, manifest = tmp_path / "o.nii.gz", tmp_path / "m.json"
    code = main(["segment", str(tmp_path / "v.nii.gz"), "--model", str(bright), "--modality", "mr",
                 "--point", f"ball={point}", "--world", "lps", "-o", str(out), "--preview",
                 str(tmp_path / "p.png"), "--manifest", str(manifest)])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    written = nibabel.load(out)
    np.testing.assert_allclose(written.affine, affine)
    found = np.asarray(written.dataobj).transpose(2, 1, 0) == 1
    truth = values == 200
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    said = json.loads(manifest.read_text())
    assert said["model"]["segmenter"] == "samovar-encoders/fastsam3d"
    assert said["objects"][0]["score"] == 0.75
    assert said["objects"][0]["reaches_window_end"] is False
    index = grid.to_index([centre]).round()[0]
    box = [*(index - 5), *(index + 6)]
    [same] = samovar.segment(tmp_path / "v.nii.gz", model=bright, boxes={"ball": box},
                             modality="mr")  # fmt: skip
    assert same.pixels == pytest.approx(found.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--point", "5,5"], "is a picture, and fastsam3d segments volumes only"),
        ([], "nothing says what to look for"),
    ],
)
def test_a_picture_and_a_missing_prompt_are_refused(
    bright: Path, tmp_path: Path, capsys, arguments, line
) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "p.png")
    out = tmp_path / "o.png"
    code = main(["segment", str(tmp_path / "p.png"), "--model", str(bright), *arguments,
                 "-o", str(out)])  # fmt: skip
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert line in said
    assert not out.exists()


@pytest.mark.slow
def test_a_wrong_checkpoint_is_said(tmp_path: Path) -> None:
    """Another model's file, and half of what FastSAM3D needs."""
    from samovar_encoders.errors import CheckpointError

    with torch.device("meta"):
        shapes = {k: v.shape for k, v in record("fastsam3d").build().state_dict().items()}
    state = {k: torch.zeros(v, dtype=torch.half) for k, v in shapes.items()}
    torch.save({"model_state_dict": state}, tmp_path / "fast.pth")
    with pytest.raises(CheckpointError, match=r"not sam-med3d: .* missing.*its keys fit fastsam3d"):
        import_bundle([tmp_path / "fast.pth"], "sam-med3d", tmp_path / "out")
    encoder = {k.removeprefix("image_encoder."): v for k, v in state.items() if "image_enc" in k}
    torch.save(encoder, tmp_path / "student.pth")
    with pytest.raises(CheckpointError, match=r"not fastsam3d: \d+ missing"):
        import_bundle([tmp_path / "student.pth"], "fastsam3d", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", ["fastsam3d", "sam-med3d"])
def test_upstream_s_numbers_through_the_host(name: str, parity: Path, tmp_path: Path) -> None:
    """Deterministic weights, exported, run by the host: logits, qualities and the mask."""
    pytest.importorskip("samovar_laptop")
    architecture = SamArchitecture(record(name))
    fill(architecture.module)
    bundle = architecture.export(tmp_path / "bundle")
    assert max(bundle.validation["onnx_against_torch"].values()) < 2e-5
    fixture = np.load(parity / record(name).parity / "fixtures_seed0.npz")
    values = deterministic.volume(0)
    affine = LPS_FROM_RAS @ np.diag([1.5, 1.5, 1.5, 1.0])
    grid = Grid((128, 128, 128), affine, Frame.lps())
    image = ArrayImage(values.transpose(2, 1, 0), grid)  # x, y, z of the array → right, front, up
    model = load_segmenter(bundle.folder, threads=1)
    click = tuple(float(v) for v in fixture["p1_points"][0])
    whole = (0.0, 0.0, 0.0, 128.0, 128.0, 128.0)
    segmenter = model.segmenter
    assert isinstance(segmenter, VolumeSegmenter)

    seen: dict[str, np.ndarray] = {}
    answer = segmenter.answer

    def watched(embedding, window, prompt):
        seen["emb"] = embedding
        seen["logits"], seen["quality"] = answer(embedding, window, prompt)
        return seen["logits"], seen["quality"]

    segmenter.answer = watched
    for points, which in (((click,), "1"), ((click, click), "1_iter2")):
        asking = Prompts((Prompt(1, box=whole, points=points, labels=(1,) * len(points)),))
        [found] = samovar.segment(image, model=model, prompts=asking, modality="mr")
        ours = seen["logits"]
        theirs = fixture[f"p1_low_res{which}"]
        np.testing.assert_allclose(ours[:, ::4, ::4], theirs, atol=1e-4)
        np.testing.assert_allclose(seen["quality"], fixture[f"p1_iou{which}"][0], atol=2.5e-5)
        large = F.interpolate(torch.from_numpy(ours)[None, None], size=(128,) * 3, mode="trilinear")
        mask = np.zeros(grid.shape, bool)
        mask[found.region.slices] = found.mask
        disagree = mask.transpose(2, 1, 0) != (large[0, 0] > 0).numpy()
        assert disagree.mean() < 1e-5
    sub = seen["emb"][0, ::8, ::2, ::2, ::2]
    np.testing.assert_allclose(sub, fixture["emb_sub"], atol=1e-4)
    cells, labels = fixture["p2_points"].tolist(), fixture["p2_labels"].tolist()
    empty = np.zeros((32, 32, 32), np.float32)
    logits, quality = segmenter.decode(seen["emb"], cells, labels, empty)
    np.testing.assert_allclose(logits[:, ::4, ::4], fixture["p2_low_res1"], atol=1e-4)
    np.testing.assert_allclose(quality, fixture["p2_iou1"][0], atol=2.5e-5)
