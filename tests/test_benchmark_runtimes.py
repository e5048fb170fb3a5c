"""The benchmark of runtimes against torch: its bookkeeping, not its speed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from samovar.benchmark import runtime_case, runtimes
from samovar.benchmark.float_rate import float_rate
from samovar.benchmark.generated import value
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.report import page


def measured(model, isa):
    def role(*figures):
        names = ("torch", "onnxruntime", "openvino")
        return {n: {"cpu_ms": f, "all_ms": [f], "ratio": figures[0] / f}
                for n, f in zip(names, figures, strict=True)}  # fmt: skip

    encoder = role(1000.0, 200.0, 500.0)
    half = {}
    if isa == "best":
        encoder[runtime_case.BF16] = {"cpu_ms": 100.0, "all_ms": [100.0], "ratio": 10.0}
        half = {"bf16_iou": 0.975}
    return {"model": model, "isa": isa, "instruction_set": isa.lower(), "encoder": encoder,
            "decoder": role(60.0, 20.0, 30.0), "encoder_gmac": 40.0,
            "float_gmac_s": {"onnxruntime": 400.0, "openvino": 100.0}, **half}  # fmt: skip


def test_the_record_has_a_table_for_each_instruction_set(monkeypatch):
    def case(kind, model, isa, rounds):
        if kind == "region":
            raise BenchmarkError("its bundle has no region decoder")
        if model == "sam-vit-b":
            raise BenchmarkError("no torch")
        return measured(model, isa)

    monkeypatch.setattr(runtimes, "_case", case)
    record = runtimes.run_runtimes(2)
    capped, best = record["tables"]
    # under AVX2 a runtime that cannot be capped does not count as the best
    assert capped["rows"][0] == [
        "mobile-sam",
        "1000.0",
        "500.0",
        "2.00",
        "2.3",
        "2.50",
        "60.0",
        "30.0",
        "2.00",
    ]
    assert best["rows"][0] == [
        "mobile-sam", "1000.0", "200.0", "500.0", "5.00", "3", "10.00", "10.00 (IoU 0.975)",
        "60.0", "20.0", "30.0", "3.00",
    ]  # fmt: skip
    assert "cannot be capped" in capped["about"]
    assert record["notes"] == [
        "sam-vit-b, AVX2: no torch", "sam-vit-b, best: no torch",
        "tiny, 64 boxes: its bundle has no region decoder",
        "mobile-sam, 64 boxes: its bundle has no region decoder",
    ]  # fmt: skip
    text = page([record])
    assert "### Capped at AVX2" in text
    assert "| mobile-sam | 1000.0 | 500.0 | 2.00 | 2.3 | 2.50 |" in text
    assert "- sam-vit-b, best: no torch" in text
    json.dumps(record)


def test_without_anything_measured_it_fails(monkeypatch):
    def case(*_args):
        raise BenchmarkError("no torch")

    monkeypatch.setattr(runtimes, "_case", case)
    with pytest.raises(BenchmarkError, match="mobile-sam, AVX2: no torch"):
        runtimes.run_runtimes(1)


def test_a_case_that_fails_says_its_last_line():
    with pytest.raises(BenchmarkError, match="no model 'nothing-like-it'"):
        runtimes._case("speed", "nothing-like-it", "AVX2", 1)


def test_cases_take_turns_and_the_best_rounds_are_compared(monkeypatch):
    clock = [0.0]
    taken = iter([9.0, 9.0, 4.0, 2.0, 3.0, 6.0, 8.0, 4.0])  # an uncounted turn, then three

    def work():
        clock[0] += next(taken)

    monkeypatch.setattr(runtime_case.time, "process_time", lambda: clock[0])
    found = runtime_case.compared({"slow": work, "fast": work}, 3, "slow")
    # the second counted round runs in the other order
    assert found["slow"]["all_ms"] == [4000.0, 6000.0, 8000.0]
    assert found["fast"]["all_ms"] == [2000.0, 3000.0, 4000.0]
    assert found["fast"]["ratio"] == 2.0
    assert found["slow"]["cpu_ms"] == 4000.0


def test_the_rate_of_single_precision_is_a_number():
    pytest.importorskip("onnx")
    onnx_runtime = pytest.importorskip("samovar_laptop.onnx_runtime")
    assert 0.1 < float_rate(onnx_runtime.OnnxRuntime()) < 1e5


def test_generated_weights_are_the_same_everywhere_and_in_range():
    key = "image_encoder.layers.1.blocks.0.mlp.fc1.weight"
    first = value(key, (64, 32))
    np.testing.assert_array_equal(first, value(key, (64, 32)))
    assert not np.array_equal(first, value(key, (64, 32), seed=1))
    assert first.std() == pytest.approx(32**-0.5, rel=0.1)
    assert (value("bn.running_var", (50,)) >= 1).all()
    assert abs(value("norm.weight", (500,)).mean() - 1) < 0.05
    assert value("fc.bias", (500,)).std() == pytest.approx(0.02, rel=0.2)
