"""The table of models: speeds come from the benchmarks' records, or are not given."""

from __future__ import annotations

import json

from samovar_encoders.speeds import fastest, read_speeds

HEAD = {
    "created": "2030-01-02T03:04:05",
    "machine": {"processor": "P", "instruction_sets": ["avx2"]},
}


def step(model, runtime, encoder, decoder=9.0, precision="fp32"):
    return {"model": f"samovar-encoders/{model}", "runtime": runtime, "precision": precision,
            "encoder_ms_cpu": encoder, "decoder_ms_per_prompt_cpu": decoder}  # fmt: skip


FAMILY = {
    **HEAD,
    "efficiency": [
        step("mobile-sam", "onnxruntime", 669.8, 36.0),
        step("mobile-sam", "openvino", 585.1, 50.0),
        step("mobile-sam", "openvino", 100.0, 5.0, "int8"),
        step("sam2.1-b-plus", "openvino", 4000.0),
    ],
}


def graphs(model, isa, torch, openvino):
    figures = {"torch": {"cpu_ms": torch}, "openvino": {"cpu_ms": openvino}}
    return {"model": model, "isa": isa, "encoder": figures, "decoder": figures}


RUNTIMES = {
    **HEAD,
    "measured": [
        graphs("repvit-sam", "AVX2", 1.0, 1.0),
        graphs("repvit-sam", "best", 3774.0, 1111.7),
        graphs("mobile-sam", "best", 1.0, 1.0),
    ],
}


def read(tmp_path):
    files = []
    for name, record in (("f", FAMILY), ("r", RUNTIMES)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(record))
    return read_speeds([tmp_path / "not-there.json", *files])


def test_the_fastest_runtime_in_single_precision_is_named(tmp_path) -> None:
    speeds, _ = read(tmp_path)
    assert fastest(speeds, "mobile-sam", "encoder") == "585 (openvino)"
    assert fastest(speeds, "mobile-sam", "decoder") == "36 (onnxruntime)"
    assert fastest(speeds, "sam2.1-b+", "encoder") == "4000 (openvino)"


def test_what_one_record_lacks_comes_from_the_next_without_torch_or_caps(tmp_path) -> None:
    speeds, _ = read(tmp_path)
    assert fastest(speeds, "repvit-sam", "encoder") == "1112 (openvino)"


def test_what_was_not_measured_is_empty(tmp_path) -> None:
    speeds, _ = read(tmp_path)
    assert fastest(speeds, "tiny-sam", "encoder") == ""
    assert read_speeds([]) == ([], [])


def test_the_conditions_are_stated(tmp_path) -> None:
    _, [steps, alone] = read(tmp_path)
    assert "whole steps" in steps
    assert "graphs alone" in alone
    assert "P (avx2), 2030-01-02" in alone


def test_the_status_says_what_runs_a_model() -> None:
    from samovar_encoders.registry import record
    from samovar_encoders.table import status

    assert status(record("mobile-sam")) == "parity"
    assert status(record("sam-med3d")) == status(record("samed")) == "parity, segmenter"
    assert status(record("esp-medsam")) == "parity, no bundle"
