"""The card: made from figures alone, hiding no set that is worse than a reference."""

import json
from xml.etree import ElementTree

import pytest

from evaluation_fakes import BoxModel, rectangle, write_set
from samovar.errors import InputError
from samovar.evaluation.asking import Asking
from samovar.evaluation.card import main, rewrite_page, shared_manifest
from samovar.evaluation.card_page import card_page
from samovar.evaluation.curves import draw_curves, read_curves
from samovar.evaluation.run import Settings, evaluate
from samovar.evaluation.summary import summarise

FACTS = {
    "name": "tiny",
    "version": "9.8",
    "parameters": 2_500_000,
    "encode_size": [512, 512],
    "licence": {"code": "Apache-2.0", "weights": "CC-BY-SA-4.0"},
    "intended_use": "For tests.",
    "validation": {
        "protocol": "as told",
        "by_input": [
            {"side": 288, "encoder_gmac": 0.457, "decoder_roi": {"medical": 0.7, "x_y": 0.61}},
            {"side": 512, "encoder_gmac": 1.444, "decoder_roi": {"medical": 0.8, "x_y": 0.72}},
        ],
    },
    "provenance": {
        "steps": 7,
        "minutes": 90,
        "data": [
            {"name": "easy", "licence": "x", "source": "y"},
            {"name": "elsewhere", "licence": "CC0", "source": "z"},
        ],
    },
}
RUNNING = {
    "name": "laptop/tiny",
    "weights_sha256": "ab" * 32,
    "runtime": {"name": "ort", "version": "1", "precision": "fp32", "instruction_set": "avx2"},
}


@pytest.fixture
def figures(tmp_path) -> dict:
    hole = rectangle((60, 80), (10, 10, 40, 40))
    hole[15:35, 15:35] = 0
    write_set(tmp_path / "easy", [rectangle((60, 80), (10, 10, 40, 40))] * 2)
    write_set(tmp_path / "hard", [hole] * 2)
    easy = summarise(evaluate(str(tmp_path / "easy"), BoxModel(), Settings()))
    hard = summarise(evaluate(str(tmp_path / "hard"), BoxModel(), Settings()))
    clicked = summarise(
        evaluate(str(tmp_path / "hard"), BoxModel(), Settings(Asking.parse("box", clicks=1)))
    )
    row = {"name": "easy", "domain": "medical", "modality": "CT", "train": True, "cases": 2,
           "validation": 1, "licence": "CC BY 4.0", "source": "somewhere"}  # fmt: skip
    return {
        "validation": easy,
        "unseen": hard,
        "prompts": {"box, then a click": {**clicked["domains"], "all": clicked["means"]["all"]}},
        "prompt_limit": 5,
        "data": [row],
        "limit": 0,
        "failures": [],
    }


def test_the_page_says_what_was_measured(figures):
    page = card_page(FACTS, RUNNING, figures, "tiny-curves.svg")
    for wanted in (
        "# tiny 9.8", "not a medical device", "| parameters | 2.50 M |", "ort 1, fp32, avx2",
        "| unseen sets | 1 | 2 | **0.714** |", "0.714 → 1.000", "![Course of the training",
        "| easy | CT | 2 | 1 | yes | CC BY 4.0 | somewhere |",
        "| elsewhere | | | not evaluated | yes | CC0 | z |", "7 steps in 1.5 h",
    ):  # fmt: skip
        assert wanted in page, wanted


def test_sets_that_are_worse_than_a_reference_are_listed(figures):
    page = card_page(FACTS, RUNNING, figures, "")
    assert "- hard (unseen): 0.714, otsu 1.000" in page
    assert "easy (validation)" not in page
    assert "![Course" not in page


def test_the_page_is_made_anew_from_its_figures(figures, tmp_path):
    card = tmp_path / "tiny.md"
    with pytest.raises(InputError, match="without --page first"):
        rewrite_page(card)
    content = {"model": RUNNING, "facts": FACTS, **figures}
    card.with_suffix(".json").write_text(json.dumps(content))
    (tmp_path / "tiny-curves.csv").write_text("step,minutes,medical\n1,2,0.5\n2,3,0.6\n")
    assert main(["--page", "--output", str(card)]) == 0
    assert "# tiny 9.8" in card.read_text()
    assert (tmp_path / "tiny-curves.svg").read_text().startswith("<svg")
    assert "tiny-encoders.md" not in card.read_text()
    (tmp_path / "tiny-encoders.md").write_text("# Encoders\n")
    assert main(["--page", "--output", str(card)]) == 0
    assert "(tiny-encoders.md)" in card.read_text()


def test_curves_are_read_and_drawn(tmp_path):
    table = tmp_path / "c.csv"
    table.write_text("step,minutes,medical,rate,empty\n100,1,0.5,40,\n200,2,0.8,30,0.1\n")
    curves = read_curves(table)
    assert curves == {"medical": [(100, 0.5), (200, 0.8)], "empty": [(200, 0.1)]}
    root = ElementTree.fromstring(draw_curves(curves, "Dice"))
    line = next(e for e in root.iter() if e.tag.endswith("polyline"))
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in line.attrib["points"].split())
    assert x1 > x0
    assert y1 < y0  # higher is better is up
    table.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no table of curves"):
        read_curves(table)


def test_sample_data_are_found_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMOVAR_SHARED", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "MANIFEST.json").write_text("{}")
    assert shared_manifest() == tmp_path / "data" / "MANIFEST.json"


def test_card_tells_what_a_smaller_input_costs(figures) -> None:
    text = card_page(FACTS, RUNNING, figures, "")
    assert "| 288² | 0.46 | 0.700 | 0.610 |" in text and "decoder_roi, x y" in text
    assert "What a smaller input costs" not in card_page({}, RUNNING, figures, "")
