"""``samovar models bundle`` on real graphs, and what loads from it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from laptop_graphs import (
    CLASSIC,
    ENCODER,
    MASK_DECODER,
    REGION_OF_TOKENS,
    REGION_STRETCHED,
    classic,
    save,
    two_faces,
)

from samovar.bundle import Bundle
from samovar.errors import BundleError, InputError, OutputError, UsageError
from samovar.masks import WindowLogits
from samovar.models import load_model
from samovar.prompts import Prompt, Prompts
from samovar_laptop.bundle_command import bundle
from samovar_laptop.onnx_runtime import OnnxRuntime


def bright(rows: int = 90, columns: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a bright rectangle, and the rectangle."""
    truth = np.zeros((rows, columns), dtype=bool)
    truth[rows // 4 : rows // 2, columns // 3 : columns * 2 // 3] = True
    plane = np.where(truth, 220, 40).astype(np.float32)
    return np.repeat(plane[None], 3, axis=0), truth


def segment(model, picture, *prompts):
    [embedding] = model.encode([picture])
    return model.decoder.decode(embedding, Prompts(prompts))


def full(mask, shape):
    out = np.zeros(shape, dtype=bool)
    out[mask.region.slices] = mask.inside
    return out


@pytest.mark.parametrize(("graphs", "least"), [(two_faces, 0.8), (classic, 0.7)])
def test_a_bundle_of_one_s_own_graphs_segments(folder, tmp_path, capsys, graphs, least):
    bundle(**graphs(folder), output=str(tmp_path / "own"), threads=1)
    said = capsys.readouterr().out
    assert "64×64" in said
    assert "taken for granted" in said
    assert "--weights-license" in said
    picture, truth = bright()
    with load_model(tmp_path / "own", threads=1) as model:
        masks = segment(
            model,
            picture,
            Prompt(1, box=(40, 22, 80, 45)),
            Prompt(2, points=((60, 30),), labels=(1,)),
        )
    for mask in masks.masks:
        got = full(mask, truth.shape)
        assert np.count_nonzero(got & truth) / np.count_nonzero(got | truth) > least


def test_what_the_graphs_say_is_in_the_record(folder, tmp_path):
    bundle(
        **two_faces(folder),
        output=str(tmp_path / "own"),
        name="mine",
        modality=["rgb"],
        normalisation="minmax",
        resize="stretch",
        weights_license="MIT",
        mask_selection="box=first,point=best-quality",
    )
    record = Bundle.load(tmp_path / "own")
    assert record.name == "mine"
    assert record.preparation.encode_size == record.preparation.prompt_frame == (64, 64)
    assert record.embedding_shape == (3, 8, 8)
    assert record.taps == {"features_s4": (3, 16, 16)}
    assert record.mask_size == (32, 32)
    assert record.prompt_kinds == ("box", "point", "negative-point", "mask")
    assert record.preparation.resize.policy == "stretch"
    assert record.preparation.normalisation.kind == "min-max"
    assert record.mask_selection.document() == {"box": "first", "point": "best-quality"}
    assert (record.modalities, record.weights_licence) == (("rgb",), "MIT")
    assert not record.classic


def test_several_masks_get_sam_s_own_selection(folder, tmp_path):
    bundle(**two_faces(folder), output=str(tmp_path / "own"))
    selection = Bundle.load(tmp_path / "own").mask_selection
    assert selection.document() == {"box": "first", "point": "best-reading"}


def test_the_classic_masks_are_those_of_its_own_graph(folder, tmp_path):
    """Where nothing is padded, the export's own ``masks`` output is the oracle."""
    options = classic(folder)
    bundle(**options, output=str(tmp_path / "own"))
    cells = np.random.default_rng(5).uniform(0, 255, (3, 6, 6)).astype(np.float32)
    picture = cells.repeat(16, axis=1).repeat(16, axis=2)
    with load_model(tmp_path / "own", threads=1) as model:
        [embedding] = model.encode([picture])
        got = full(
            model.decoder.decode(embedding, Prompts((Prompt(1, box=(1, 1, 9, 9)),))).masks[0],
            (96, 96),
        )
    graph = OnnxRuntime().load(folder / "dec.onnx", threads=1)
    feeds = {
        "image_embeddings": embedding.arrays["image_embeddings"],
        "point_coords": np.array([[[0, 0], [5, 5]]]),
        "point_labels": np.array([[2, 3]]),
        "mask_input": np.zeros((1, 1, 32, 32)),
        "has_mask_input": np.zeros(1),
        "orig_im_size": np.array([96, 96]),
    }
    logits = graph.run(feeds)["masks"][0, 0]
    clear = np.abs(logits) > 1e-4
    assert 0.2 < got.mean() < 0.8
    np.testing.assert_array_equal(got[clear], (logits > 0)[clear])


def test_a_previous_mask_reaches_the_graph(folder, tmp_path):
    bundle(**classic(folder), output=str(tmp_path / "own"))
    dark = np.zeros((3, 64, 64), dtype=np.float32)
    mask = np.zeros((64, 64), dtype=bool)
    mask[:32] = True
    with load_model(tmp_path / "own", threads=1) as model:
        [embedding] = model.encode([dark])
        prior = model.decoder.mask_prompt(mask, embedding)
        ask = Prompt(1, box=(0, 0, 64, 64)), Prompt(2, box=(0, 0, 64, 64), mask=prior)
        without, with_prior = model.decoder.decode(embedding, Prompts(ask)).masks
    assert without.empty
    np.testing.assert_array_equal(full(with_prior, mask.shape), mask)


def test_tensors_beside_a_graph_are_taken_along(folder, tmp_path):
    encoder = save(ENCODER, folder / "enc.onnx")
    decoder = save(CLASSIC, folder / "dec.onnx", external="dec.weights")
    assert (folder / "dec.weights").stat().st_size > 0
    bundle(encoder=str(encoder), decoder=str(decoder), output=str(tmp_path / "own"))
    assert set(Bundle.load(tmp_path / "own").files) == {
        "encoder.onnx",
        "decoder.onnx",
        "dec.weights",
    }
    (tmp_path / "own" / "dec.weights").write_bytes(b"0" * 4)
    with pytest.raises(BundleError, match=r"dec\.weights"):
        load_model(tmp_path / "own")


def test_a_dynamic_encoder_needs_its_size(folder, tmp_path):
    text = ENCODER.replace("3,64,64] image)", "3,rows,columns] image)")
    options = {**classic(folder), "encoder": str(save(text, folder / "dynamic.onnx"))}
    with pytest.raises(UsageError, match=r"dynamic\.onnx.*--encode-size"):
        bundle(**options, output=str(tmp_path / "own"))
    bundle(**options, output=str(tmp_path / "own"), encode_size="64,64")
    assert Bundle.load(tmp_path / "own").preparation.encode_size == (64, 64)


def test_an_embedding_of_another_name_is_told_by_its_shape(folder, tmp_path):
    text = ENCODER.replace("image_embeddings", "neck")
    options = {**two_faces(folder), "encoder": str(save(text, folder / "other.onnx"))}
    bundle(**options, output=str(tmp_path / "own"))
    assert Bundle.load(tmp_path / "own").embedding_name == "neck"


def refuse(tmp_path, error: type[Exception], named: str, **options):
    with pytest.raises(error, match=named) as caught:
        bundle(output=str(tmp_path / "own"), **options)
    assert isinstance(caught.value, InputError), "exit code 2"
    assert not (tmp_path / "own").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["graphs"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"normalisation": "zscore"}, "zscore.*minmax"),
        ({"resize": "crop"}, "policy"),
        ({"interpolation": "lanczos"}, "interpolation"),
        ({"channel_order": "GBR"}, "channel-order"),
        ({"coordinates": "metres"}, "coordinates"),
        ({"mask_selection": "luck"}, "mask_selection"),
        ({"mask_selection": "box="}, "mask_selection"),
        ({"encode_size": "64"}, "ROWS,COLUMNS"),
        ({"encode_size": "32,32"}, "not 32,32"),
        ({"prompt_frame": "0,64"}, "ROWS,COLUMNS"),
        ({"encoder": None}, "needs --encoder"),
        ({"prompt_encoder": None}, "add the graph"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(
    folder, tmp_path, changes, named
):
    refuse(tmp_path, UsageError, named, **{**two_faces(folder), **changes})


def test_one_graph_too_many_is_refused(folder, tmp_path):
    options = {**classic(folder), "prompt_encoder": two_faces(folder)["prompt_encoder"]}
    options["decoder"] = classic(folder)["decoder"]
    refuse(tmp_path, UsageError, "leave --prompt-encoder out", **options)


LAST = """
encoder (float[b,64,64,3] image) => (float[b,64,64,3] image_embeddings)
{ image_embeddings = Identity(image) }
"""
NAN = MASK_DECODER.replace("= Neg(one)", "= Log(one)").replace("(one, two,", "(two, two,")


@pytest.mark.parametrize(
    ("which", "text", "named"),
    [
        ("decoder", ENCODER, "neither SAM's export"),
        ("encoder", ENCODER.replace("features_s4", "b"), "asks for features_s4"),
        ("encoder", LAST, "channels first"),
        ("decoder", MASK_DECODER.replace("low_res_masks", "answers"), "does not return low_res"),
        ("decoder", NAN, "NaN"),
    ],
)  # fmt: skip
def test_graphs_that_do_not_fit_are_named(folder, tmp_path, which, text, named):
    options = {**two_faces(folder), which: str(save(text, folder / "odd.onnx"))}
    with pytest.raises(Exception, match=named) as caught:
        bundle(**options, output=str(tmp_path / "own"))
    assert type(caught.value).__module__ == "samovar.errors"
    assert not (tmp_path / "own").exists()


def test_a_missing_graph_is_named(folder, tmp_path):
    gone = str(folder / "gone.onnx")
    refuse(
        tmp_path, BundleError, r"gone\.onnx.*no such file", **{**classic(folder), "encoder": gone}
    )


def test_a_folder_that_is_there_is_not_touched(folder, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="already there"):
        bundle(**classic(folder), output=str(tmp_path / "own"))
    assert (tmp_path / "own" / "notes.txt").read_text() == "mine"


def test_a_model_blind_to_the_ellipse_is_pointed_out(folder, tmp_path, capsys):
    text = CLASSIC.replace("large = Resize", "seen = Resize").replace(
        "Add(large, prior)", "Sub(prior, seen)"
    )
    options = {**classic(folder), "decoder": str(save(text, folder / "blind.onnx"))}
    bundle(**options, output=str(tmp_path / "own"))
    assert "check --normalisation" in capsys.readouterr().out


def test_the_command_line_takes_short_output(folder, tmp_path):
    from typer.testing import CliRunner

    from samovar.cli.main import build_app

    options = classic(folder)
    words = ["models", "bundle", "--encoder", options["encoder"], "--decoder", options["decoder"]]
    done = CliRunner().invoke(build_app(), [*words, "-o", str(tmp_path / "own")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "own" / "bundle.json").is_file()


def test_the_graphs_of_these_tests_are_valid_onnx(folder):
    for path in two_faces(folder).values():
        onnx.checker.check_model(path)


# the classic graphs look at too coarse a map to see the small spot of the trial
@pytest.mark.parametrize(("graphs", "least"), [(two_faces, 0.8), (classic, 0.0)])
def test_a_region_decoder_of_tokens_is_inferred_tried_and_used(
    folder, tmp_path, capsys, graphs, least
):
    region = save(REGION_OF_TOKENS, folder / "roi.onnx")
    bundle(**graphs(folder), decoder_roi=str(region), output=str(tmp_path / "own"), threads=1)
    rule = Bundle.load(tmp_path / "own").roi
    assert (rule.policy, rule.tokens, rule.stride, rule.mask_size) == ("tokens", 4, 8, (16, 16))
    assert rule.prompt_kinds == ("box", "point", "negative-point")
    assert (rule.margin, rule.default) == (0.25, False)
    said = capsys.readouterr().out
    assert "windows 4×4 encoder cells, logits 16×16, margin 0.25" in said
    assert float(said.split("of a small spot ")[1].split(";")[0]) >= least
    picture, truth = bright()
    box = Prompt(1, box=(45, 24, 65, 40))
    with load_model(tmp_path / "own", threads=1, region_decode="on") as model:
        answer = segment(model, picture, box)
    assert isinstance(answer.low_res[0], WindowLogits)
    got = full(answer.masks[0], truth.shape)
    assert got.any()
    assert (got & truth).sum() / got.sum() > 0.9


def test_a_stretching_region_decoder_is_told_apart(folder, tmp_path):
    region = save(REGION_STRETCHED, folder / "roi.onnx")
    options = {**two_faces(folder), "decoder_roi": str(region), "roi_margin": 0.5}
    bundle(**options, output=str(tmp_path / "own"))
    rule = Bundle.load(tmp_path / "own").roi
    assert (rule.policy, rule.mask_size, rule.margin) == ("stretch", (16, 16), 0.5)


def test_the_rule_of_the_bundled_model_is_found_again(tmp_path):
    """Its own four graphs, made a bundle anew."""
    from samovar.catalogue import look_up

    tiny = Bundle.read(look_up("tiny").folder)
    roles = ("encoder", "prompt_encoder", "decoder_roi")
    options = {role: str(tiny.graph(role)) for role in roles}
    bundle(**options, decoder=str(tiny.graph("mask_decoder")), output=str(tmp_path / "own"),
           roi_margin=tiny.roi.margin, coordinates=tiny.preparation.prompt_coordinates)  # fmt: skip
    rule = Bundle.load(tmp_path / "own").roi
    assert (rule.policy, rule.mask_size, rule.margin) == (
        tiny.roi.policy,
        tiny.roi.mask_size,
        tiny.roi.margin,
    )
    assert set(rule.prompt_kinds) >= set(tiny.roi.prompt_kinds)


@pytest.mark.parametrize(
    ("options", "error", "line"),
    [
        ({"roi_margin": 0.5}, UsageError, "--roi-margin is about --decoder-roi"),
        ({"decoder_roi": "dec.onnx"}, BundleError, r"dec.onnx: the decoder_roi graph has no input"),
        ({"decoder_roi": "none.onnx"}, BundleError, "no such file"),
        ({"decoder_roi": "roi.onnx", "roi_margin": -1.0}, UsageError, "--roi-margin is -1"),
        ({"decoder_roi": "blind.onnx"}, BundleError, "the same whatever the embedding"),
    ],
)
def test_a_region_decoder_that_cannot_be_is_refused(folder, tmp_path, options, error, line):
    given = two_faces(folder)
    save(REGION_OF_TOKENS, folder / "roi.onnx")
    blind = REGION_OF_TOKENS.replace("two = Neg(one)", "none = Mul(one, zero)\n  two = Neg(none)")
    blind = blind.replace("(one, two, one, two)", "(none, two, none, two)")
    save(blind, folder / "blind.onnx")
    if "decoder_roi" in options:
        options = {**options, "decoder_roi": str(folder / options["decoder_roi"])}
    with pytest.raises(error, match=line):
        bundle(**given, **options, output=str(tmp_path / "own"))
    assert not (tmp_path / "own").exists()
