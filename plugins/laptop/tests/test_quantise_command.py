"""``samovar quantize`` from a bundle and labelled pictures to a bundle with int8 in it."""

from __future__ import annotations

import builtins
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from laptop_graphs import CLASSIC, MASK_DECODER, PROMPT_ENCODER, save
from quantise_graphs import brightness, write_set

from samovar.bundle import Bundle
from samovar.errors import DependencyError, InputError, OutputError, UsageError
from samovar.evaluation.sets import find_sets
from samovar.models import load_model
from samovar.processor import instruction_set
from samovar.prompts import Prompt, Prompts
from samovar_laptop.bundle_command import bundle as make_bundle
from samovar_laptop.quantise import gate as gates
from samovar_laptop.quantise import graph as graphs
from samovar_laptop.quantise.command import quantize
from samovar_laptop.quantise.kernels import onnxruntime_kernels
from samovar_laptop.quantise.samples import draw, find_sources


@pytest.fixture
def own(folder, tmp_path, capsys):
    """A bundle of graphs of three kinds."""
    make_bundle(
        encoder=str(brightness(folder / "enc.onnx")),
        prompt_encoder=str(save(PROMPT_ENCODER, folder / "prompt.onnx")),
        decoder=str(save(MASK_DECODER, folder / "dec.onnx")),
        output=str(tmp_path / "own"),
        threads=1,
    )
    capsys.readouterr()
    return tmp_path / "own"


@pytest.fixture
def data(tmp_path):
    return write_set(tmp_path / "rectangles")


def test_a_bundle_gets_int8_graphs_and_their_record(own, data, tmp_path, capsys):
    out = tmp_path / "both"
    code = quantize(bundle=str(own), data=[str(data)], output=str(out), samples=4, threads=1)
    said = capsys.readouterr().out
    assert code == 0
    assert "gate: passed" in said
    assert "CPU ms" in said
    before, after = Bundle.load(own), Bundle.load(out)
    assert after.precision_names == ("fp32", "int8")
    assert after.weights_hash == before.weights_hash
    table = after.precisions["int8"].gate.table
    assert after.precisions["int8"].passed
    assert set(table) == {"other", "all"}
    assert table["all"]["objects"] == 2
    assert abs(table["all"]["drop"]) <= 0.5
    made = json.loads((out / "bundle.json").read_text())["precisions"]["int8"]["made"]
    assert (made["method"], made["sets"]) == ("ptq", ["rectangles"])
    small = after.in_precision("int8")
    found = onnxruntime_kernels(small.graph("encoder"))
    assert (found.integer["QLinearConv"], found.floating) == (4, ())


def test_what_runs_on_request_is_int8_and_no_torch_was_needed(own, data, tmp_path, monkeypatch):
    for module in ("torch", "samovar_train"):
        monkeypatch.setitem(sys.modules, module, None)
    out = tmp_path / "both"
    quantize(bundle=str(own), data=[str(data)], output=str(out), samples=4, threads=1, no_gate=True)
    assert not Bundle.load(out).precisions["int8"].passed
    picture = np.full((3, 80, 96), 50, np.float32)
    picture[:, 20:50, 30:66] = 210
    areas = []
    for precision in ("fp32", "int8"):
        with load_model(out, precision=precision, threads=1) as model:
            [embedding] = model.encode([picture])
            asked = Prompts((Prompt(1, box=(30, 20, 66, 50)),))
            [mask] = model.decoder.decode(embedding, asked).masks
            areas.append(int(mask.inside.sum()))
    assert areas[1] == pytest.approx(areas[0], rel=0.03)


def test_half_precision_needs_no_graphs_and_has_its_gate_measured(own, data, tmp_path, capsys):
    pytest.importorskip("openvino", reason="openvino is not installed")
    if "bf16" not in instruction_set():
        pytest.skip("this processor has no bf16")
    out = tmp_path / "half"
    assert quantize(bundle=str(own), data=[str(data)], output=str(out), method="bf16") == 0
    said = capsys.readouterr().out
    assert "gate: passed" in said
    assert "openvino, encode" in said
    before, after = Bundle.load(own), Bundle.load(out)
    assert after.precisions["bf16"].passed
    assert after.precisions["bf16"].roles == {}
    assert (after.files, after.weights_hash) == (before.files, before.weights_hash)
    assert after.precisions["bf16"].gate.table["all"]["objects"] == 2


def test_what_is_not_in_single_precision_is_not_converted(own, data, tmp_path):
    record = json.loads((own / "bundle.json").read_text())
    record["precision"] = "fp16"
    (own / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="bf16 is made of fp32, not of fp16"):
        quantize(bundle=str(own), data=[str(data)], output=str(tmp_path / "x"), method="bf16")


def test_further_fields_of_the_record_are_kept(own, data, tmp_path):
    record = json.loads((own / "bundle.json").read_text())
    record["licence"]["note"] = "kept"
    (own / "bundle.json").write_text(json.dumps(record))
    for name in ("once", "twice"):
        source = own if name == "once" else tmp_path / "once"
        quantize(
            bundle=str(source), data=[str(data)], output=str(tmp_path / name),
            samples=2, threads=1, no_gate=True,
        )  # fmt: skip
    twice = json.loads((tmp_path / "twice" / "bundle.json").read_text())
    assert twice["licence"]["note"] == "kept"
    assert sorted(twice["files"]) == sorted([*record["files"], "encoder.int8.onnx"])


def test_the_classic_decoder_is_taken_too(folder, data, tmp_path, capsys):
    make_bundle(
        encoder=str(brightness(folder / "enc.onnx")),
        decoder=str(save(CLASSIC, folder / "dec.onnx")),
        output=str(tmp_path / "classic"),
        threads=1,
    )
    out = tmp_path / "both"
    quantize(
        bundle=str(tmp_path / "classic"), data=[str(data)], output=str(out), samples=3, threads=1
    )
    assert Bundle.load(out).precision_names == ("fp32", "int8")


def test_hard_samples_are_found(own, data, tmp_path):
    out = tmp_path / "both"
    code = quantize(
        bundle=str(own), data=[str(data)], output=str(out), samples=2, threads=1,
        hard_samples=True, no_gate=True,
    )  # fmt: skip
    assert code == 0


@pytest.mark.skipif(find_spec("samovar_train") is None, reason="samovar-train is not installed")
def test_training_makes_a_bundle_too(own, data, tmp_path, capsys):
    out = tmp_path / "trained"
    quantize(
        bundle=str(own), data=[str(data)], output=str(out), method="qat", minutes=0.03,
        samples=4, threads=1,
    )  # fmt: skip
    said = capsys.readouterr().out
    for stage in ("encoder:", "encoder and decoder:", "end to end:"):
        assert stage in said
    assert "gate: passed" in said
    found = onnxruntime_kernels(Bundle.load(out).in_precision("int8").graph("encoder"))
    assert (found.integer["QLinearConv"], found.floating) == (4, ())


def test_without_torch_training_says_what_to_install(own, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "samovar_train.quantise.stages", None)
    with pytest.raises(DependencyError, match="pip install samovar-train"):
        quantize(
            bundle=str(own), data=[str(data)], output=str(tmp_path / "x"), method="qat", samples=2
        )
    assert not (tmp_path / "x").exists()


def test_without_onnx_it_says_what_to_install(own, data, tmp_path, monkeypatch):
    def missing(name, *rest):
        if name == "onnx":
            raise ImportError(name)
        return builtins.__import__(name, *rest)

    monkeypatch.setattr(graphs, "import_module", missing)
    with pytest.raises(DependencyError, match=r"pip install 'samovar-laptop\[quantise\]'"):
        quantize(bundle=str(own), data=[str(data)], output=str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "magic"}, "ptq, qat, bf16"),
        ({"data": None}, "needs --data"),
        ({"output": None}, "needs --output"),
        ({"weight_bits": 4}, "--weight-bits"),
        ({"percentile": 10.0}, "--percentile"),
        ({"samples": 0}, "--samples"),
        ({"attention": "log"}, "--attention"),
        ({"role": ["prompt_encoder"]}, "encoder, mask_decoder"),
        ({"bundle": "nobody"}, "nobody"),
        ({"limit": -1}, "--limit"),
        ({"minutes": -1.0}, "--minutes"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(own, data, tmp_path, wrong, words):
    given = {"bundle": str(own), "data": [str(data)], "output": str(tmp_path / "x")}
    with pytest.raises(InputError, match=words):
        quantize(**{**given, **wrong})
    assert not (tmp_path / "x").exists()


def test_an_output_that_is_there_is_left_alone(own, data, tmp_path):
    with pytest.raises(OutputError, match="already there"):
        quantize(bundle=str(own), data=[str(data)], output=str(own))


def with_manifest(folder, **record):
    """A second set beside the manifest."""
    write_set(folder / "a", 6)
    entry = {"path": "a", "train": True, "modality": "CT angiography", **record}
    (folder / "MANIFEST.json").write_text(json.dumps({"datasets": [entry]}))
    return folder


def test_validation_stems_are_for_the_gate_alone(tmp_path):
    [source] = find_sources([str(with_manifest(tmp_path / "d", validation=["p1", "p4"]))])
    assert [c.stem for c in source.held] == ["p1", "p4"]
    assert [c.stem for c in source.cases] == ["p0", "p2", "p3", "p5"]
    assert [c.stem for _, c in draw([source], 2)] == ["p2", "p5"] or len(draw([source], 2)) == 2


def test_without_validation_stems_every_fifth_case_is_held_back(data):
    [source] = find_sources([str(data)])
    assert [c.stem for c in source.held] == ["p2", "p7"]
    assert len(source.cases) == 6


def test_sets_that_nobody_may_learn_from_are_refused(tmp_path):
    with pytest.raises(UsageError, match="train: false"):
        find_sources([str(with_manifest(tmp_path / "d", train=False))])


def test_each_set_gives_as_many_cases_as_the_others(tmp_path):
    write_set(tmp_path / "d" / "a", 12)
    write_set(tmp_path / "d" / "b", 4)
    sources = find_sources([str(tmp_path / "d")])
    drawn = draw(sources, 6)
    names = [where.name for where, _ in drawn]
    assert (names.count("a"), names.count("b")) == (3, 3)
    assert len(draw(sources, 100)) == sum(len(s.cases) for s in sources)


@pytest.mark.parametrize(
    ("wording", "modality"),
    [
        ("CT angiography", "ct"), ("MR T1 7T", "mr"), ("ultrasound", "us"), ("aerial RGB", "rgb"),
        ("Landsat false colour", "ms"), ("UAV/satellite RGB", "rgb"), ("microscopy", "microscopy"),
        ("Sentinel-2 RGB, NIR false colour, Sentinel-1 VV", "ms"), ("SAR", "sar"), ("", "other"),
        ("fundus photo", "fundus"), ("PET", "pet"), ("structure", "other"),
    ],
)  # fmt: skip
def test_modalities_are_read_from_the_wording(tmp_path, wording, modality):
    folder = with_manifest(tmp_path / "d", modality=wording)
    [where] = find_sets(folder)[0]
    assert gates.modality_of(where) == modality


def found(**dice):
    return {name: (name.split("_")[0], np.array(values)) for name, values in dice.items()}


def test_the_gate_closes_where_one_modality_loses_more_than_a_point():
    before = found(ct_a=[0.9, 0.9], ct_b=[0.8], mr_a=[0.9], us_a=[0.9], rgb_a=[0.9])
    good = found(ct_a=[0.895, 0.9], ct_b=[0.8], mr_a=[0.891], us_a=[0.9], rgb_a=[0.9])
    bad = {**good, "mr_a": ("mr", np.array([0.889]))}
    assert gates.judge(before, good, "fp32", "int8").passed
    verdict = gates.judge(before, bad, "fp32", "int8")
    assert not verdict.passed
    assert verdict.table["mr"]["drop"] == 1.1
    assert verdict.table["all"]["drop"] < 0.5
    assert "more than 1.0" in "\n".join(gates.lines(verdict, "fp32", "int8"))


def test_the_gate_closes_where_the_mean_loses_more_than_half_a_point():
    before = found(ct_a=[0.9], mr_a=[0.9])
    verdict = gates.judge(before, found(ct_a=[0.894], mr_a=[0.894]), "fp32", "int8")
    assert not verdict.passed
    assert verdict.table["all"]["drop"] == 0.6


def test_sets_count_the_same_whatever_their_objects():
    before = found(ct_a=[0.9] * 100, ct_b=[0.5])
    after = found(ct_a=[0.9] * 100, ct_b=[0.48])
    table = gates.judge(before, after, "fp32", "int8").table
    assert table["ct"]["fp32"] == 0.7
    assert table["ct"]["drop"] == 1.0
