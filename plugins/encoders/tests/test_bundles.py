"""Every model as a bundle, run by the host without torch, beside the module that it came from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import bundle_agreement
import pytest
from deterministic import fill

from samovar.models import load_model
from samovar_encoders.architectures import SamArchitecture
from samovar_encoders.registry import RECORDS, ModelRecord

NEAR_UPSTREAM = 0.9
"""IoU with the mask of upstream's own road, which enlarges twice, or by a cubic, where the host
does once and linearly; generated weights make masks of noise, so this only catches what is
misplaced."""


def bundle_test(record: ModelRecord) -> pytest.param:
    skip = pytest.mark.skipif(
        not record.parity, reason="no layout to compare with: hundreds of millions of parameters"
    )
    return pytest.param(record, id=record.name, marks=[pytest.mark.slow, pytest.mark.shared, skip])


@pytest.mark.parametrize("record", [bundle_test(r) for r in RECORDS.values() if r.can_be_bundle])
def test_masks(record: ModelRecord, parity: Path, tmp_path: Path, record_property) -> None:
    """Export, verify, load as a user does, and compare masks on the fixture's prompts."""
    architecture = SamArchitecture(record)
    fill(architecture.module)
    bundle = architecture.export(tmp_path / "bundle")
    folder = parity / (record.parity if record.has_fixture else bundle_agreement.FALLBACK)
    picture, prompts = bundle_agreement.fixture_prompts(folder, record)
    assert prompts
    seen = {"onnx": bundle.validation["onnx_against_torch"]}
    consent = (record.name,)
    with (
        load_model(bundle.folder, threads=1, accept_license=consent) as full,
        load_model(bundle.folder, threads=1, region_decode="on", accept_license=consent) as region,
    ):
        assert full.decoder.roi is None
        seen["full"] = bundle_agreement.agreement(full, architecture, picture, prompts)
        seen["region"] = bundle_agreement.agreement(region, architecture, picture, prompts)
        seen["region_to_full"] = bundle_agreement.region_agreement(full, region, picture)
    record_property("agreement", json.dumps(seen))
    if log := os.environ.get("SAMOVAR_BUNDLE_LOG"):
        with Path(log).open("a") as stream:
            stream.write(json.dumps({"model": record.name, **seen}) + "\n")
    assert min(seen["full"]["torch"] + seen["region"]["torch"]) >= 0.999
    assert min(seen["full"]["upstream"]) >= NEAR_UPSTREAM
