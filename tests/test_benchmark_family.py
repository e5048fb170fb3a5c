"""``samovar bench family``: every registered model, what fails noted, every score with its rule."""

from __future__ import annotations

import csv
import json
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image as PillowImage

from samovar.benchmark import family, family_report
from samovar.benchmark.family import Subject, run_family, subjects
from samovar.benchmark.family_accuracy import Protocols, labelled, measure_accuracy
from samovar.benchmark.family_case import Request
from samovar.cli.main import main
from samovar.errors import SamovarError, UsageError
from samovar.models import load_model
from samovar.plugins import registry, reset
from samovar.specs import DecoderSpec, EncoderSpec
from test_models import plugin

MEASURED = {
    "request": {"threads": 1, "quick": False},
    "model": {
        "weights_sha256": "0" * 64,
        "encode_size": [64, 64],
        "runtime": {"name": "onnxruntime", "version": "1", "precision": "fp32",
                    "instruction_set": "avx2"},
    },
    "load_s": 0.1,
    "encode": {"cpu_s": 0.1, "wall_s": 0.2},
    "decode": {"1": {"cpu_s": 0.01, "wall_s": 0.02}, "10": {"cpu_s": 0.05, "wall_s": 0.07}},
    "everything": {"16": {"points": 256, "decoded": 256, "cpu_s": 2.0, "wall_s": 3.0}},
    "peak_mib": 100.0, "parameters": 2_000_000, "encoder_gmac": 1.5, "decoder_gmac": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A set of one picture with bright discs, as instances."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[:160, :200]
    labels = np.zeros((160, 200), dtype=np.uint8)
    for number, (cy, cx, r) in enumerate([(40, 50, 20), (110, 140, 30)], start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = number
    picture = np.where(labels > 0, 200, 60).astype(np.uint8)
    PillowImage.fromarray(np.repeat(picture[..., None], 3, -1)).save(folder / "images" / "a.png")
    PillowImage.fromarray(labels).save(folder / "masks" / "a.png")
    (folder / "classes.json").write_text('{"*": "disc"}')
    return folder


@pytest.fixture(scope="module")
def accuracy(cells):
    with load_model("tiny", threads=1) as model:
        protocols = Protocols(proposals="grid:points=3")
        return measure_accuracy(model, labelled(str(cells)), protocols)


def test_every_protocol_is_measured_and_states_its_rule(accuracy):
    rows, failures = accuracy
    assert failures == []
    told = {row["protocol"]: row["selection"] for row in rows}
    assert told == {
        "box": "first", "box +1": "first", "box +2": "first",
        "point": "best-quality", "point +1": "first", "point +2": "first",
        "detector: the labels' own boxes": "first",
        "proposals: grid:points=3": "best-quality, then the generator's own filter",
    }  # fmt: skip
    assert {row["objects"] for row in rows} == {2}
    scores = {row["protocol"]: row["scores"] for row in rows}
    assert scores["box"]["miou"] > 0.7
    detector = scores["detector: the labels' own boxes"]
    assert detector["ap50"] == 1.0
    assert detector["ap_large"] is None
    assert 0 < detector["boundary_iou"] <= 1
    assert set(scores["proposals: grid:points=3"]) == {"ar10", "ar100", "ar1000"}


def test_boxes_of_a_detector_and_coco_labels(cells, tmp_path):
    """The same picture through COCO's files: one disc detected well, the other not at all."""
    document = {
        "images": [{"id": 5, "file_name": "a.png", "height": 160, "width": 200}],
        "categories": [{"id": 1, "name": "disc"}],
        "annotations": [
            {"id": n, "image_id": 5, "category_id": 1,
             "segmentation": [[x, y, x + w, y, x + w, y + w, x, y + w]]}
            for n, (x, y, w) in enumerate([(31, 21, 39), (111, 81, 59)], start=1)
        ],
    }  # fmt: skip
    file, found = tmp_path / "instances.json", tmp_path / "found.json"
    file.write_text(json.dumps(document))
    found.write_text(json.dumps(
        [{"image_id": 5, "category_id": 1, "bbox": [31, 21, 39, 39], "score": 0.9}]
    ))  # fmt: skip
    sets = labelled(str(file), str(cells / "images"))
    with load_model("tiny", threads=1) as model:
        rows, failures = measure_accuracy(model, sets, Protocols(str(found)))
    assert failures == []
    [row] = [r for r in rows if r["protocol"].startswith("detector")]
    assert row["protocol"] == "detector: detector's boxes"
    assert row["scores"]["ap50"] == pytest.approx(51 / 101, abs=1e-3)


def test_models_without_weights_are_named_as_such():
    reset()
    try:
        found = {s.name: s for s in subjects(())}
        assert found["samovar-laptop/tiny"].weights == "its own"
        assert subjects(["tiny"]) == [found["samovar-laptop/tiny"]]
        architectures = [s for n, s in found.items() if n.startswith("samovar-encoders/")]
        for subject in architectures:
            assert subject.weights == "generated"
            assert not subject.source
        if architectures:
            assert "volumes" in found["samovar-encoders/sam-med3d"].note
            assert "no prompts" in found["samovar-encoders/samed"].note
        with pytest.raises(UsageError, match="nearest"):
            subjects(["tinny"])
    finally:
        reset()


def test_code_of_a_plugin_is_noted(monkeypatch):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "nobody")
    reset()
    encoder = EncoderSpec(name="plain", target="a:B", decoder="plain", prompt_kinds=("box",))
    decoder = DecoderSpec(name="plain", target="a:B")
    registry().register(plugin(samovar_encoders=[encoder], samovar_decoders=[decoder]), "acme")
    try:
        [subject] = subjects(())
        assert "not a bundle" in subject.note
    finally:
        reset()


def test_what_fails_is_noted_and_the_rest_goes_on(monkeypatch):
    asked = []

    def case(request):
        asked.append((request.source, request.runtime, request.precision, request.accept))
        if request.runtime == "broken":
            raise SamovarError("it fell over")
        return MEASURED

    def export(name, say):
        if name == "acme/bad":
            raise SamovarError("cannot be exported")
        return "/cache/new"

    monkeypatch.setattr(family, "_case", case)
    monkeypatch.setattr(family, "_export", export)
    chosen = [Subject("acme/own", "acme/own"), Subject("acme/new", ""), Subject("acme/bad", ""),
              Subject("acme/deep", "", "works on whole volumes")]  # fmt: skip
    settings = [("onnxruntime", "auto"), ("broken", "int8")]
    record = run_family(chosen, Request(""), settings)
    assert asked[0] == ("acme/own", "onnxruntime", "auto", ())
    assert asked[2] == ("/cache/new", "onnxruntime", "auto", ("new",))
    assert [(r["model"], r["weights"]) for r in record["efficiency"]] == [
        ("acme/own", "its own"), ("acme/new", "generated")
    ]  # fmt: skip
    assert record["notes"] == [
        "acme/deep: not measured: works on whole volumes",
        "acme/own, broken, int8: it fell over",
        "acme/new, broken, int8: it fell over",
        "acme/bad: not measured: cannot be exported",
    ]
    row = record["efficiency"][0]
    assert (row["encoder_ms_cpu"], row["decoder_ms_per_prompt_cpu"]) == (100.0, 10.0)
    assert (row["total_ms_1_cpu"], row["total_ms_10_cpu"]) == (110.0, 150.0)
    assert (row["everything_16_s_cpu"], row["everything_16_s_wall"]) == (2.1, 3.2)
    assert row["images_per_s_cpu"] == pytest.approx(1 / 0.11, abs=1e-3)
    with pytest.raises(UsageError, match="no model could be measured"):
        run_family(chosen[3:], Request(""), settings)


def record_of(rows=1):
    made = [family._row(Subject(f"acme/m{i}", "x" if i else ""), MEASURED) for i in range(rows)]
    scores = [
        {"model": "acme/m1", "runtime": "onnxruntime", "precision": "fp32", "set": "s",
         "protocol": "box", "objects": 3, "selection": "first", "scores": {"miou": 0.8}},
        {"model": "acme/m1", "runtime": "onnxruntime", "precision": "fp32", "set": "s",
         "protocol": "detector: x", "objects": 3, "selection": "first", "scores": {"ap": 0.5}},
    ]  # fmt: skip
    machine = {"processor": "P", "cores": 2, "system": "Linux", "instruction_sets": ["avx2"],
               "versions": {"samovar": "0"}}  # fmt: skip
    return {
        "name": "family", "created": "2030-01-02", "machine": machine, "load": [0.1, 0.2],
        "asked": {"rounds": 3, "threads": 1}, "protocols": {"detections": "truth"},
        "efficiency": made, "accuracy": scores, "notes": ["acme/x: not measured: y"],
    }  # fmt: skip


def test_the_reports_hold_the_same_figures(tmp_path):
    files, problem = family_report.write_reports(record_of(2), tmp_path / "out")
    names = {f.name for f in files}
    assert {"family.json", "family.md", "family-efficiency.csv", "family-accuracy.csv"} <= names
    assert problem or "family.svg" in names
    rows = list(csv.DictReader((tmp_path / "out" / "family-efficiency.csv").open()))
    assert rows[1]["encoder_ms_cpu"] == "100.0"
    text = (tmp_path / "out" / "family.md").read_text()
    assert (
        "| acme/m0 | generated | onnxruntime fp32 | 2.0 | 1.5 | 0.30 | 100 | 10.0 | 110 |" in text
    )
    assert "| acme/m1 | onnxruntime fp32 | s | box | 3 | first | 0.800 |" in text
    assert family_report.GENERATED in text
    assert "- acme/x: not measured: y" in text
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)


def test_the_plot_names_every_model():
    pytest.importorskip("matplotlib", reason="matplotlib draws the plot")
    drawn = family_report.to_svg(record_of(2))
    ElementTree.fromstring(drawn)
    assert b">m0<" in drawn
    assert b">m1<" in drawn
    assert drawn == family_report.to_svg(record_of(2))


def test_without_matplotlib_everything_else_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files, problem = family_report.write_reports(record_of(1), tmp_path / "out")
    assert "pip install matplotlib" in problem
    assert "family.svg" not in {f.name for f in files}


def test_the_front_is_what_nothing_beats_in_both():
    points = [(3, 5), (1, 1), (2, 4), (2, 3), (4, 5)]
    assert family_report.front(points) == [1, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing would be written"),
        (["--json", "--prompts", "many"], "--prompts 'many'"),
        (["--json", "--grids", "0"], "--grids '0'"),
        (["--json", "--rounds", "0"], "1 or more"),
        (["--json", "--data", "/no/such/place"], "no such file"),
        (["--json", "tinny"], "tinny"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_measured(
    arguments, message, capsys, monkeypatch
):
    monkeypatch.setattr(family, "_case", lambda request: pytest.fail("measured"))
    assert main(["bench", "family", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_command_measures_a_model_in_a_fresh_process(tmp_path, capsys):
    """The real thing, as small as it gets."""
    arguments = [
        "tiny",
        "--prompts",
        "1",
        "--grids",
        "2",
        "--rounds",
        "1",
        "-o",
        str(tmp_path / "o"),
    ]
    assert main(["bench", "family", *arguments]) == 0
    [row] = json.loads((tmp_path / "o" / "family.json").read_text())["efficiency"]
    assert row["encoder_gmac"] == pytest.approx(1.444, abs=0.002)
    assert row["encoder_ms_cpu"] > 0
    assert row["decoder_gmac"] > 0.1
    assert "wrote" in capsys.readouterr().out
