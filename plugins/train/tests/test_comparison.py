"""Encoders are compared on equal terms: the same batches, the same steps, at any moment."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from samovar_train import comparison as comparing
from samovar_train.compare import main, products, sizes
from samovar_train.comparison import Candidate, load_comparison, take_turns, write_decoders
from samovar_train.comparison_page import comparison_page
from samovar_train.evaluate import bounds, inscribed
from samovar_train.model.choice import Choice
from samovar_train.model.tiny import Tiny

RECIPE = Path(__file__).parents[1] / "recipes" / "compare_encoders.toml"


def toy(pack: Path, folder: Path, extra: str = "") -> Path:
    path = folder / "compare.toml"
    path.write_text(
        f"""output = "page.md"
turn = 2
{extra}
[training]
name = "toy"
seed = 1
steps = 3
pack = "{pack.as_posix()}"
run = "runs"
images = 1
prompts = 0
regions = 2
warmup = 1

[[candidates]]
encoder = "tiny"
frame = 256

[[candidates]]
encoder = "repvit"
frame = 256

[[candidates]]
encoder = "tinyvit"
trained = false
"""
    )
    return path


def test_the_recipe_of_the_page_loads() -> None:
    found = load_comparison(RECIPE)
    names = [c.name for c in found.candidates]
    assert len(set(names)) == len(names) >= 6
    families = {c.choice.encoder for c in found.candidates if c.trained}
    assert families == {"tiny", "repvit", "efficientvit", "tinyvit"}
    assert {c.choice.frame for c in found.candidates if c.trained} == {256, 512}
    first = found.recipe(found.candidates[0])
    assert first.model == found.candidates[0].choice and first.run.name == names[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("seed = 1", "seeds = 1"), "seeds"),
        (("turn = 2", "turns = 2"), "turns"),
        (('"repvit"', '"resnet"'), "candidate 1.*resnet"),
        (('output = "page.md"', ""), "output"),
        (("warmup = 1", "processes = 2"), "one process"),
    ],
)
def test_recipe_errors(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    path = toy(tmp_path, tmp_path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ValueError, match=word):
        load_comparison(path)
    assert main([str(path)]) == 2


def test_turns_are_equal_whenever_they_are_cut(
    toy_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = (tmp_path / name for name in ("whole", "parts"))
    for folder in (whole, parts):
        folder.mkdir()
    done = take_turns(load_comparison(toy(toy_pack, whole)))
    assert {k: v["steps"] for k, v in done.items()} == {"tiny-relu-256": 3, "repvit-relu-256": 3}
    assert all(v["cpu_seconds"] > 0 for v in done.values())
    cut = load_comparison(toy(toy_pack, parts, "minutes = 1e-9"))
    assert {v["steps"] for v in take_turns(cut).values()} == {2}
    again = load_comparison(toy(toy_pack, parts))
    assert take_turns(again).keys() == done.keys()
    for name in done:
        a, b = (
            torch.load(f / "runs" / name / "last.pt", weights_only=True) for f in (whole, parts)
        )
        assert a["step"] == b["step"] == 3
        assert all(torch.equal(a["ema"][k], b["ema"][k]) for k in a["ema"])
    monkeypatch.setattr(comparing, "train", lambda *a, **k: pytest.fail("it was done"))
    take_turns(again)


def test_decoders_start_alike_and_encoders_from_nothing(toy_pack: Path, tmp_path: Path) -> None:
    weights = torch.load(
        write_decoders(load_comparison(toy(toy_pack, tmp_path))), weights_only=True
    )["ema"]
    parts = {k.split(".")[0] for k in weights}
    assert parts == {"prompt_encoder", "mask_decoder", "decoder_roi"}
    for frame in (256, 512):
        model = Tiny(Choice("repvit", "relu", frame))
        _, unexpected = model.load_state_dict(weights, strict=False)
        assert not unexpected


def row(name: str, medical: float, trained: bool = True) -> dict:
    candidate = Candidate(Choice(name, "relu", 256), trained)
    found = sizes(candidate)
    time = {"fp32_ms": 20.0, "int8_ms": 10.0, "ratio": 2.0}
    found |= {
        "times": {"onnxruntime": time, "openvino": time},
        "products": {"integer": 30, "float": 2},
        "instruction_set": "avx2",
    }
    if trained:
        scores = {"medical": medical, "remote_sensing": 0.7}
        found |= {"fp32": scores, "int8": {**scores, "medical": medical - 0.012}}
        found |= {"steps": 40, "cpu_seconds": 12.3}
    return found


def test_the_page_says_what_was_done(tmp_path: Path) -> None:
    figures = {
        "recipe": "r.toml", "seed": 1, "steps_planned": 60, "images": 4, "regions": 6,
        "decoders": "tiny", "per_set": 3, "samples": 8, "note": "Mind this.",
        "ellipse": {"medical": 0.79, "remote_sensing": 0.69},
        "rows": [row("tiny", 0.8), row("repvit", 0.82), row("tinyvit", 0, trained=False)],
    }  # fmt: skip
    page = comparison_page(figures)
    scores, costs = page.split("## What each costs")
    assert "Mind this." in page and "are +1.0 to +2.0 points from that" in page
    assert "best score is that of `repvit`" in page
    assert "40 steps of 4 pictures" in page and "planned: 60" in page
    assert scores.index("| repvit |") < scores.index("| tiny |")  # the better one first
    assert (
        "| repvit | relu | 256² | 40 | 12 | 0.820 | 0.700 | 0.808 | 0.700 | +1.20 | +0.00 |" in page
    )
    assert "| tinyvit |" not in scores and "| tinyvit | relu | 256² |" in costs
    assert "2 of 32" in costs
    recipe = toy(tmp_path, tmp_path)
    assert main([str(recipe), "--page"]) == 2  # no figures yet
    (tmp_path / "page.json").write_text(json.dumps(figures))
    assert main([str(recipe), "--page"]) == 0
    assert (tmp_path / "page.md").read_text() == page


def test_products_are_counted_in_the_optimised_graph(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(torch.ones(4, 4).numpy(), "w")
    nodes = [helper.make_node("MatMul", [a, b], [c]) for a, b, c in ("xwy", "yyz")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4, 4])],
        [weights],
    )  # fmt: skip
    path = tmp_path / "g.onnx"
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    assert products(path) == {"integer": 0, "float": 1}  # a product of two activations is none


@pytest.mark.slow
@pytest.mark.shared
def test_whole(toy_pack: Path, data: Path, tmp_path: Path) -> None:
    path = toy(toy_pack, tmp_path, "per_set = 1\nsamples = 2\nrounds = 2")
    text = path.read_text().split("[[candidates]]")
    path.write_text("[[candidates]]".join([text[0], text[2]]))  # repvit alone
    assert main([str(path)]) == 0
    [found] = json.loads((tmp_path / "page.json").read_text())["rows"]
    assert found["steps"] == 3 and found["products"]["integer"] > 10 * found["products"]["float"]
    assert set(found["fp32"]) >= {"medical", "remote_sensing"} and found["times"]
    with (tmp_path / "runs" / "repvit-relu-256" / "train.csv").open() as lines:
        assert [r["step"] for r in csv.DictReader(lines)] == ["3"]


def test_an_ellipse_fills_its_box() -> None:
    mask = np.zeros((60, 90), bool)
    mask[10:50, 20:80] = True
    found = inscribed(mask)
    assert found.sum() == pytest.approx(np.pi / 4 * 40 * 60, rel=0.01)
    assert np.array_equal(bounds(found), bounds(mask))
    assert np.array_equal(found, inscribed(found))
