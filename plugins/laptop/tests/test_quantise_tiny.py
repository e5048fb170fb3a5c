"""The bundled model in int8: what runs in integers, and what the bundle says of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from samovar.bundle import Bundle
from samovar.models import verify_model
from samovar_laptop.quantise.calibrate import Calibration
from samovar_laptop.quantise.kernels import onnxruntime_kernels, openvino_kernels
from samovar_laptop.quantise.prepare import prepared
from samovar_laptop.quantise.ptq import Recipe, models

MOST_BYTES = 30 * 2**20


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return verify_model("tiny")


@pytest.fixture(scope="module")
def calibrated(bundle) -> Calibration:
    calibration = Calibration(bundle.graph("encoder"), threads=1)
    rng = np.random.default_rng(0)
    calibration.see({"image": rng.normal(0, 1, (1, 3, 512, 512)).astype(np.float32)})
    return calibration


@pytest.fixture
def encoder(calibrated, tmp_path):
    path = tmp_path / "encoder.onnx"
    onnx.save(models({"encoder": calibrated}, Recipe())["encoder"], path)
    return path


def weighted(path) -> Counter[str]:
    kinds = Counter(n.op_type for n in prepared(path).nodes)
    return Counter({k: kinds[k] for k in ("Conv", "ConvTranspose", "MatMul", "Gemm")})


def test_every_large_convolution_of_the_encoder_is_fused(bundle, calibrated, encoder):
    left = calibrated.places.left
    assert all("context" in name for name in left), left
    assert sum(calibrated.costs[n] for n in left) < 0.001 * sum(calibrated.costs.values())
    found = onnxruntime_kernels(encoder)
    assert found.integer["QLinearConv"] == weighted(bundle.graph("encoder"))["Conv"] - len(left)
    assert len(found.floating) <= len(left)
    assert all("context" in name for name in found.floating)


def test_openvino_fuses_it_too(bundle, calibrated, encoder):
    found = openvino_kernels(encoder)
    if found is None:
        pytest.skip("OpenVINO is not installed")
    convolutions = weighted(bundle.graph("encoder"))["Conv"]
    assert found.integer["Convolution"] >= convolutions - len(calibrated.places.left)
    assert all("context" in name for name in found.floating)


def test_the_bundle_s_int8_graphs_are_in_integers(bundle):
    if "int8" not in bundle.precisions:
        pytest.skip("the bundled model has no int8 graphs")
    small = bundle.in_precision("int8")
    found = onnxruntime_kernels(small.graph("encoder"))
    assert found.integer["QLinearConv"] >= weighted(bundle.graph("encoder"))["Conv"] - 2
    assert all("context" in name for name in found.floating)
    for role in bundle.precisions["int8"].roles:
        assert onnxruntime_kernels(small.graph(role)).products > 0, role


def test_the_bundle_s_int8_graphs_have_passed_their_gate(bundle):
    if "int8" not in bundle.precisions:
        pytest.skip("the bundled model has no int8 graphs")
    gate = bundle.precisions["int8"].gate
    assert gate is not None
    assert gate.passed
    rows = dict(gate.table)
    assert rows.pop("all")["drop"] <= 0.5
    assert all(row["drop"] <= 1.0 for row in rows.values())
    assert {"ct", "mr", "us", "rgb", "ms", "microscopy"} <= set(rows)


def test_all_graphs_together_are_small(bundle):
    assert sum(f.bytes for f in bundle.files.values()) <= MOST_BYTES


@pytest.mark.shared
@pytest.mark.slow
def test_the_bundled_model_passes_its_gate(shared, tmp_path):
    from samovar_laptop.quantise.command import quantize

    out = tmp_path / "tiny"
    quantize(bundle="tiny", data=[str(shared / "data")], output=str(out), samples=24, limit=3)
    assert Bundle.load(out).precisions["int8"].passed
