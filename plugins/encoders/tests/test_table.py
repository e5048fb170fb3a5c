"""The table of models: speeds come from the family's benchmark, or are not given."""

from __future__ import annotations

from samovar_encoders.table import conditions, fastest

RECORD = {
    "created": "2030-01-02T03:04:05",
    "asked": {"threads": 1},
    "machine": {"processor": "P", "instruction_sets": ["avx2"]},
    "efficiency": [
        {"model": "samovar-encoders/mobile-sam", "runtime": "onnxruntime", "encoder_ms_cpu": 669.8},
        {"model": "samovar-encoders/mobile-sam", "runtime": "openvino", "encoder_ms_cpu": 585.1},
        {"model": "samovar-encoders/sam2.1-b-plus", "runtime": "openvino", "encoder_ms_cpu": 4000},
    ],
}


def test_the_fastest_runtime_is_named() -> None:
    assert fastest(RECORD, "mobile-sam", "encoder_ms_cpu") == "585 (openvino)"
    assert fastest(RECORD, "sam2.1-b+", "encoder_ms_cpu") == "4000 (openvino)"


def test_what_was_not_measured_is_empty() -> None:
    assert fastest(RECORD, "tiny-sam", "encoder_ms_cpu") == ""
    assert fastest({}, "mobile-sam", "encoder_ms_cpu") == ""


def test_the_conditions_are_stated() -> None:
    assert "1 thread" in conditions(RECORD)
    assert "P (avx2)" in conditions(RECORD)
    assert conditions({}).startswith("No speeds")
