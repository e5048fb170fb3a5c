"""Segmenters: whole models in one, from the hook to the written file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as PillowImage

import samovar as library
import segmenter_fakes
from samovar.errors import (
    BundleError,
    Cancelled,
    OutputError,
    PluginError,
    PromptError,
    UsageError,
)
from samovar.executor import CancelToken
from samovar.grid import Frame, Grid, Region
from samovar.image import ArrayImage, ImageInfo
from samovar.masks import PixelMask
from samovar.models import describe_model, list_models, load_model, verify_model
from samovar.protocols import RuntimeInfo, SegmenterAnswer
from samovar.segmenter_bundle import SegmenterBundle
from samovar.segmenters import SegmenterModel, load_segmenter, segmenter_spec
from samovar.specs import EncoderSpec, RuntimeSpec, SegmenterSpec
from test_models import installed, plugin  # noqa: F401 - a fixture

READER = SegmenterSpec(
    name="reader", target="segmenter_fakes:Reader", prompt_kinds=("point", "box"),
    weights_licence="MIT",
)  # fmt: skip
EVERYTHING = SegmenterSpec(
    name="everything", target="segmenter_fakes:Everything", weights_licence="MIT"
)
GRAPHED = SegmenterSpec(
    name="graphed", target="segmenter_fakes:FromGraphs", graphs=("encoder",),
    prompt_kinds=("point",), dimensions=(3,),
)  # fmt: skip

PLUGIN = """
    from samovar import hookimpl
    from samovar.specs import SegmenterSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_segmenters():
        return [
            SegmenterSpec(name="reader", target="segmenter_fakes:Reader",
                          prompt_kinds=("point", "box"), weights_licence="MIT"),
            SegmenterSpec(name="everything", target="segmenter_fakes:Everything",
                          weights_licence="MIT", summary="Every value"),
            SegmenterSpec(name="volumes", target="segmenter_fakes:Reader", dimensions=(3,),
                          prompt_kinds=("point",), weights_licence="MIT"),
            SegmenterSpec(name="secret", target="segmenter_fakes:Reader",
                          prompt_kinds=("point",), weights_licence="CC-BY-NC-4.0"),
            SegmenterSpec(name="bare", target="segmenter_fakes:FromGraphs", graphs=("encoder",),
                          prompt_kinds=("point",)),
        ]
"""


def values() -> np.ndarray:
    picture = np.zeros((30, 40), np.uint8)
    picture[4:12, 5:17] = 50
    picture[20:25, 30:33] = 90
    return picture


@pytest.fixture
def acme(site, monkeypatch):
    """The command line with a plugin of segmenters, and nothing else beside the host."""
    site.install("acme-whole", PLUGIN)
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,acme-whole")


@pytest.fixture
def picture(tmp_path) -> Path:
    PillowImage.fromarray(values()).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def written(path: Path) -> np.ndarray:
    return np.asarray(PillowImage.open(path))


def test_prompted_objects_reach_every_output(acme, samovar, picture, tmp_path):
    out, preview, manifest = (tmp_path / n for n in ("o.png", "v.png", "m.json"))
    ran = samovar(
        "segment", picture, "--model", "reader", "--point", "a=6,5", "--box", "b=29,19,34,26",
        "-o", out, "--preview", preview, "--manifest", manifest,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    expected = np.where(values() == 50, 2, 0) + np.where(values() == 90, 1, 0)
    assert np.array_equal(written(out), expected), "boxes are numbered before points"
    assert "the file's own values, prepared by the model" in ran.err
    record = json.loads(manifest.read_text())
    assert record["model"]["segmenter"] == "acme-whole/reader"
    assert record["following"] is None
    assert [(o["name"], o["score"], o["uncertainty"], o["value"]) for o in record["objects"]] == [
        ("b", 0.8, 0.6, 90),
        ("a", 0.8, 0.6, 50),
    ]
    assert preview.is_file()


def test_one_that_takes_no_prompts_needs_none(acme, samovar, picture, tmp_path):
    ran = samovar("segment", picture, "--model", "everything", "-o", tmp_path / "o.png", "--json")
    assert ran.code == 0, ran.err
    objects = json.loads(ran.out)["objects"]
    assert [(o["class"], o["name"]) for o in objects] == [(50, "class 50"), (90, "class 90")]
    assert np.array_equal(written(tmp_path / "o.png"), values())
    assert len(library.segment(picture, model="everything")) == 2


def test_a_batch(acme, samovar, picture, tmp_path):
    second = tmp_path / "q.png"
    PillowImage.fromarray(values()[:, ::-1].copy()).save(second)
    folder = tmp_path / "out"
    ran = samovar("segment", picture, second, "--model", "everything", "--out-dir", folder)
    assert ran.code == 0, ran.err
    assert np.array_equal(written(folder / "q_seg.png"), values()[:, ::-1])
    again = samovar(
        "segment", picture, second, "--model", "everything", "--out-dir", folder, "--resume"
    )
    assert again.code == 0
    assert again.out.count("done before") == 2


REFUSED = [
    (["--model", "reader"], "nothing says what to look for"),
    (["--model", "everything", "--box", "1,1,9,9"], "takes no prompts, it finds all that it knows"),
    (["--model", "volumes", "--point", "6,5"], "is a picture, and volumes segments volumes only"),
    (["--model", "reader", "--point", "a=6,5", "--point", "a=30,20:-"], "negative-point prompts"),
    (["--model", "reader", "--point", "6,5", "--region-decode", "on"], "no region-of-interest"),
    (["--model", "reader", "--point", "6,5", "--runtime", "auto"], "--runtime auto times models"),
    (["--model", "reader", "--point", "6,5", "--workers", "2"], "--workers is about the tiles"),
    (["--model", "reader", "--point", "6,5", "--axis", "z"], "axis, extent, anchor and consensus"),
    (["--model", "bare", "--point", "6,5"], "samovar models pull bare"),
    (["--model", "secret", "--point", "6,5"], "add --accept-license secret"),
    (["--model", "raeder", "--point", "6,5"], "no model 'raeder'"),
]


@pytest.mark.parametrize(("arguments", "line"), REFUSED, ids=[line[:20] for _, line in REFUSED])
def test_what_is_refused_is_said_in_one_line(acme, samovar, picture, tmp_path, arguments, line):
    ran = samovar("segment", picture, *arguments, "-o", tmp_path / "o.png")
    assert ran.code == 2
    assert line in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "o.png").exists()


def test_a_generator_is_not_for_segmenters(acme, picture):
    with pytest.raises(UsageError, match="--auto is for models with an encoder"):
        library.segment(picture, model="reader", auto="grid")


def test_restricted_weights_run_once_they_are_accepted(acme, samovar, picture, tmp_path):
    ran = samovar(
        "segment", picture, "--model", "secret", "--point", "6,5", "--accept-license", "secret",
        "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "CC-BY-NC-4.0" in ran.err


def test_models_list_and_info_know_them(acme, samovar):
    names = {m["name"]: m for m in json.loads(samovar("models", "list", "--json").out)["models"]}
    assert names["acme-whole/everything"]["summary"] == "Every value"
    assert "acme-whole/bare" not in names, "it has no weights"
    shown = samovar("models", "info", "everything")
    assert "kind: segmenter" in shown.out
    refused = samovar("models", "verify", "everything")
    assert refused.code == 2
    assert "no files to verify" in refused.err


def test_a_raster_s_results_are_not_replaced_silently(acme, tmp_path):
    from samovar.cli.segment_request import Outputs
    from samovar.cli.segment_run import _whole
    from samovar.plugins import registry
    from samovar.tile_options import TileOptions

    raster = ArrayImage(values(), info=ImageInfo("r.tif", "raster", "array"))
    (tmp_path / "o.png").write_bytes(b"x")
    spec = registry().find("format", "label-png")
    outputs = Outputs([(tmp_path / "o.png", spec)], None, None)
    request = SimpleNamespace(model="reader", tiles=TileOptions(), plugin_options={})
    with pytest.raises(OutputError, match="--overwrite"):
        _whole(request, raster, outputs)
    request.tiles = TileOptions(overwrite=True)
    assert _whole(request, raster, outputs)


def asked(answers, image=None, prompts=None, spec=READER):
    """What the host makes of a segmenter that yields ``answers``."""

    class Odd:
        def segment(self, image, prompts, context):
            if callable(answers):
                return answers(image, prompts, context)
            return iter(answers)

    info = RuntimeInfo("acme", "", "cpu", "fp32", 1, "unknown")
    model = SegmenterModel("acme-odd/odd", "hash", Odd(), spec, info)
    image = image if image is not None else ArrayImage(values())
    if prompts is None:
        prompts = {"points": [(6, 5), (31, 22)]} if spec.needs_prompts else {}
    return library.segment(image, model=model, modality="gray", **prompts)


def mask(start=(4, 5), stop=(12, 17)) -> PixelMask:
    region = Region(start, stop)
    return PixelMask(region, np.ones(region.shape, bool))


def test_a_prompt_without_an_answer_counts_as_not_found():
    first, second = asked([SegmenterAnswer(2, mask(), 0.5)])
    assert first.empty
    assert (first.score, first.uncertainty) == (0.0, 1.0)
    assert second.pixels == 96
    assert second.prompt is not None


def test_quality_is_kept_in_range_and_bounds_are_tight():
    loose = np.zeros((30, 40), bool)
    loose[3, 7] = True
    found, _ = asked([SegmenterAnswer(1, PixelMask(Region((0, 0), (30, 40)), loose), 3.0)])
    assert found.region == Region((3, 7), (4, 8))
    assert found.score == 1.0


BROKEN = [
    ([SegmenterAnswer(7, mask(), 1.0)], "object 7, which nobody asked for"),
    ([SegmenterAnswer(1, mask(), 1.0)] * 2, "object 1 twice"),
    ([SegmenterAnswer(1, mask(), float("nan"))], "a quality that is not a number"),
    ([SegmenterAnswer(1, mask((20, 30), (31, 40)), 1.0)], "not one of this image"),
    ([SegmenterAnswer(1, mask((1, 1, 1), (2, 2, 2)), 1.0)], "not one of this image"),
    ([SegmenterAnswer(1, PixelMask(Region((0, 0), (2, 2)), np.ones((2, 2))), 1.0)], "bool"),
    ([mask()], "answered PixelMask, not SegmenterAnswer"),
    (lambda *_: 3, "returned int"),
    (lambda *_: 1 / 0, "failed: ZeroDivisionError"),
]


@pytest.mark.parametrize(("answers", "line"), BROKEN, ids=[line[:20] for _, line in BROKEN])
def test_a_broken_contract_names_the_segmenter(answers, line):
    with pytest.raises(PluginError, match=r"acme-odd/odd") as caught:
        asked(answers)
    assert line in str(caught.value)


def test_an_interrupt_keeps_what_was_answered(acme, samovar, picture, tmp_path, monkeypatch):
    def stops(self, image, prompts, context):
        yield SegmenterAnswer(1, mask(), 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(segmenter_fakes.Reader, "segment", stops)
    ran = samovar(
        "segment", picture, "--model", "reader", "--point", "6,5", "--point", "31,22",
        "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert ran.code == 130
    assert "1 of 2 objects" in ran.err
    assert not (tmp_path / "o.png").exists()
    assert written(tmp_path / "o.partial.png").max() == 1


def test_a_cancel_token_reaches_the_segmenter(acme, picture):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled) as caught:
        library.segment(picture, model="reader", points=[(6, 5)], cancel=token)
    assert caught.value.finished == ()


def volume() -> ArrayImage:
    block = np.zeros((6, 8, 10), np.int16)
    block[2:4, 3:5, 4:7] = 100
    return ArrayImage(block, Grid(block.shape, np.eye(4), Frame.lps()))


def test_painted_pixels_are_a_mask_to_those_that_take_one():
    from samovar.prompts import Prompt, Prompts

    whole = PixelMask(Region((2, 3, 4), (3, 5, 7)), np.ones((1, 2, 3), bool))
    given = {"prompts": Prompts((Prompt(1, painted=(whole,), points=((4, 3, 2),), labels=(1,)),))}
    with pytest.raises(PromptError, match="does not take mask prompts"):
        asked([], volume(), given)
    takes = replace(READER, prompt_kinds=("point", "mask"))
    assert len(asked([], volume(), given, takes)) == 1


class ThresholdRuntime:
    def devices(self):
        return ("cpu",)

    def load(self, graph, *, threads=None, device="cpu", precision=""):
        return ThresholdGraph(float(Path(graph).read_text()))


class ThresholdGraph:
    info = RuntimeInfo("fake", "1", "cpu", "fp32", 1, "unknown")

    def __init__(self, threshold):
        self.threshold = threshold

    def run(self, feeds, outputs=None):
        return {"threshold": [self.threshold]}


@pytest.fixture
def graphed(installed, monkeypatch, tmp_path):  # noqa: F811 - the fixture
    """A registry with a segmenter of graphs and a runtime; a bundle's folder."""
    import sys

    monkeypatch.setitem(sys.modules, "test_segmenters", sys.modules[__name__])
    runtime = RuntimeSpec(name="fake", target="test_segmenters:ThresholdRuntime",
                          graph_suffixes=(".number",))  # fmt: skip
    installed.register(plugin(samovar_runtimes=[runtime]), "acme-run")
    installed.register(plugin(samovar_segmenters=[GRAPHED]), "acme-whole")
    (tmp_path / "graph.number").write_text("40")
    record = SegmenterBundle(
        "mine", "1.2", "acme-whole/graphed", {"encoder": "encoder.number"},
        settings={"offset": 10}, weights_licence="MIT", parameters=7,
    )  # fmt: skip
    record.save(tmp_path / "mine", {"encoder.number": tmp_path / "graph.number"})
    return tmp_path / "mine"


def test_graphs_of_a_folder_reach_the_code_of_its_plugin(graphed):
    [found] = library.segment(volume(), model=graphed, points=[(4, 3, 2)])
    assert found.pixels == 12
    model = load_segmenter(graphed)
    said = model.describe()
    assert (said["name"], said["segmenter"]) == ("mine", "acme-whole/graphed")
    assert said["weights_sha256"] == SegmenterBundle.load(graphed).weights_hash
    assert said["runtime"]["name"] == "fake"
    assert said["settings"] == {"offset": 10}
    model.close()
    assert model.segmenter.closed
    assert segmenter_spec(model) is segmenter_spec(graphed)


def test_a_folder_is_described_and_verified(graphed):
    shown = describe_model(graphed)
    assert (shown.name, shown.version, shown.parameters) == ("mine", "1.2", 7)
    assert verify_model(graphed).name == "mine"
    (graphed / "encoder.number").write_text("41")
    with pytest.raises(BundleError, match="SHA-256"):
        verify_model(graphed)
    with pytest.raises(BundleError, match="SHA-256"):
        load_segmenter(graphed)


def test_a_name_without_weights_means_the_folder_of_that_name(graphed, monkeypatch):
    monkeypatch.chdir(graphed.parent)
    graphed.rename("graphed")
    assert load_segmenter("graphed").name == "mine"


def test_tools_for_models_with_an_encoder_say_what_it_is(graphed):
    from samovar.bundle import Bundle

    with pytest.raises(UsageError, match="is a segmenter"):
        load_model(graphed)
    with pytest.raises(BundleError, match="bundle of a segmenter"):
        Bundle.read(graphed)


def test_a_folder_whose_plugin_is_missing_names_it(graphed):
    document = json.loads((graphed / "bundle.json").read_text())
    document["segmenter"] = "acme-other/deep"
    (graphed / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="pip install --upgrade acme-other"):
        load_segmenter(graphed)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"schema": 9}, "pip install --upgrade samovar"),
        ({"roles": {"encoder": "other.number"}}, "does not list"),
        ({"roles": {}}, "has no 'encoder'"),
        ({"version": 3}, '"version" is 3'),
    ],
)
def test_a_record_that_makes_no_sense(graphed, changes, line):
    document = json.loads((graphed / "bundle.json").read_text())
    (graphed / "bundle.json").write_text(json.dumps({**document, **changes}))
    with pytest.raises(BundleError) as caught:
        load_segmenter(graphed)
    assert line in str(caught.value)


def test_a_name_of_an_architecture_and_a_segmenter_is_the_segmenter(installed):  # noqa: F811
    twin = EncoderSpec(name="reader", builder="acme.torch:build")
    installed.register(plugin(samovar_encoders=[twin], samovar_segmenters=[READER]), "acme-a")
    assert segmenter_spec("reader").canonical == "acme-a/reader"
    assert [m.name for m in list_models()] == ["acme-a/reader"]
    installed.register(plugin(samovar_segmenters=[READER]), "acme-b")
    with pytest.raises(UsageError, match=r"ambiguous: write acme-a/reader or acme-b/reader"):
        segmenter_spec("reader")
    assert segmenter_spec("acme-b/reader").canonical == "acme-b/reader"


def test_an_encoder_of_the_same_name_in_another_plugin_is_ambiguous(installed):  # noqa: F811
    running = EncoderSpec(name="reader", target="acme.model:Encoder", decoder="sam")
    installed.register(plugin(samovar_encoders=[running]), "acme-a")
    installed.register(plugin(samovar_segmenters=[READER]), "acme-b")
    with pytest.raises(UsageError, match="ambiguous"):
        segmenter_spec("reader")
    both = plugin(samovar_encoders=[running], samovar_segmenters=[READER])
    installed.register(both, "acme-c")
    assert segmenter_spec("acme-c/reader") is None, "its encoder has weights"


def test_a_spec_of_wrong_types_is_left_out_and_named(installed):  # noqa: F811
    installed.register(
        plugin(samovar_segmenters=[SegmenterSpec(name="odd", target="a.b:C", dimensions=3)]), "acme"
    )
    [problem] = [p for p in installed.problems if p.distribution == "acme"]
    assert "dimensions is an int, not a tuple" in problem.cause
