"""The benchmark of int8: its bookkeeping, not its speed."""

from __future__ import annotations

import json

import pytest

from samovar.benchmark import int8, int8_case
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.report import page
from samovar.evaluation.sets import find_sets


def row(runtime, stage, before, after, **more):
    ratio = before / after
    return {"runtime": runtime, "stage": stage, "fp32_ms": before, "int8_ms": after,
            "ratio": ratio, **more}  # fmt: skip


def measured():
    rows = [row("onnxruntime", "encoder", 12.0, 5.0, share=0.56), row("onnxruntime", "job", 24, 16)]
    rows += [row("openvino", "encoder", 16.0, 8.0), row("openvino", "job", 30, 20)]
    return {"rows": rows, "gemm_gmac_s": 450.0, "instruction_set": "avx2"}


def test_the_record_has_encoders_and_whole_jobs(monkeypatch):
    def case(model, isa, rounds, folder):
        if model == "repvit-sam":
            raise BenchmarkError("no torch")
        return measured()

    monkeypatch.setattr(int8, "_case", case)
    record = int8.run_int8(2, ["tiny", "repvit-sam"], ["best"])
    encoders, jobs = record["tables"]
    assert encoders["rows"][0] == ["tiny", "best", "onnxruntime", "12.0", "5.0", "2.40", "56 %"]
    assert encoders["rows"][1][-1] == ""
    assert [r[2] for r in jobs["rows"]] == ["onnxruntime", "openvino"]
    assert record["notes"] == ["repvit-sam, best: no torch"]
    assert json.loads(json.dumps(record)) == record
    assert "56 %" in page([record])


def test_nothing_measured_is_an_error(monkeypatch):
    def case(*_):
        raise BenchmarkError("nobody can quantise")

    monkeypatch.setattr(int8, "_case", case)
    with pytest.raises(BenchmarkError, match="nobody can quantise"):
        int8.run_int8(1, ["tiny"], ["best"])


def test_a_runtime_that_cannot_be_capped_is_left_out_under_a_cap(monkeypatch, tmp_path):
    seen = []

    def case(module, *arguments, environment):
        seen.append(environment.get("ONEDNN_MAX_CPU_ISA", ""))
        return measured()

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(int8, "run_case", case)
    capped = int8._case("tiny", "AVX2", 1, tmp_path)
    best = int8._case("tiny", "best", 1, tmp_path)
    assert {r["runtime"] for r in capped["rows"]} == {"openvino"}
    assert {r["runtime"] for r in best["rows"]} == {"onnxruntime", "openvino"}
    assert seen == ["AVX2", ""]


def test_the_pictures_are_a_set(tmp_path):
    int8.write_pictures(tmp_path / "pictures")
    [where], _ = find_sets(tmp_path / "pictures")
    assert len(where.cases()) == int8.PICTURES


def test_the_rate_of_the_machine_is_a_number():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert 0.1 < int8_case.gemm_rate() < 1e6
