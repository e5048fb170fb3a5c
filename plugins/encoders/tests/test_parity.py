"""Every registered model against its fixtures: keys, preprocessing, embedding, masks, quality.

A new model is tested by being registered. Those that take longer than a few seconds are ``slow``.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import parity_fixtures
import pytest
import torch
from deterministic import fill

from samovar_encoders.registry import RECORDS, ModelRecord

QUICK = {"lite-medsam", "mobile-sam"}
"""Of the default suite."""


def shape_test(record: ModelRecord) -> pytest.param:
    return pytest.param(record, id=record.name, marks=pytest.mark.shared)


def parity_test(record: ModelRecord) -> pytest.param:
    marks = [pytest.mark.shared] + ([] if record.name in QUICK else [pytest.mark.slow])
    return pytest.param(record, id=record.name, marks=marks)


WITH_LAYOUT = [shape_test(r) for r in RECORDS.values() if r.parity]
PLANAR = [parity_test(r) for r in RECORDS.values() if r.parity and r.has_fixture]


@pytest.mark.parametrize("record", WITH_LAYOUT)
def test_keys_and_shapes(record: ModelRecord, parity: Path) -> None:
    """The state dict has upstream's keys and shapes."""
    with torch.device("meta"):
        state = record.build().state_dict()
    ours = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert ours == parity_fixtures.layout(record, parity / record.parity)


@pytest.mark.parametrize("record", PLANAR)
def test_numbers(record: ModelRecord, parity: Path, record_property) -> None:
    """Deterministic weights give upstream's numbers on the fixture's picture and prompts."""
    result = parity_fixtures.compare(record, fill(record.build()), parity / record.parity)
    record_property("parity", str(result))
    print(f"{record.name}: {result}")
    assert result.verdict != "fail", str(result)
    if result.verdict == "look into it":
        warnings.warn(f"{record.name}: {result}", stacklevel=1)
