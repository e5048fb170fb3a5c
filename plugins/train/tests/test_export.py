"""The graphs say what torch says, for any number of prompts and points, always alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from samovar_train.export import DYNAMIC, INPUTS, OUTPUTS, digest, export_bundle, fold, parity
from samovar_train.model.tiny import Tiny


@pytest.fixture(scope="module")
def model() -> Tiny:
    torch.manual_seed(3)
    model = Tiny()
    for parameter in model.parameters():  # the exporter merges initialisers that are equal
        torch.nn.init.normal_(parameter, std=0.05) if parameter.ndim == 1 else None
    for module in model.modules():  # statistics that folding must not lose
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
    return model.eval()


@pytest.fixture(scope="module")
def bundle(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export_bundle(model, folder, {"modalities": ["ct"]})
    return folder


def test_folding_changes_nothing(model: Tiny) -> None:
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        for a, b in zip(model.encoder(image), fold(model).encoder(image), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("role", list(INPUTS))
def test_parity(model: Tiny, bundle: Path, role: str) -> None:
    assert parity(fold(model), role, bundle / f"{role}.onnx") < 1e-4


@pytest.mark.parametrize("role", list(INPUTS))
def test_interface_and_names(model: Tiny, bundle: Path, role: str) -> None:
    import onnx

    graph = onnx.load(str(bundle / f"{role}.onnx")).graph
    assert [i.name for i in graph.input] == INPUTS[role]
    assert [o.name for o in graph.output] == OUTPUTS[role]
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            assert bool(dim.dim_param) == (axis in DYNAMIC.get(value.name, {})), (value.name, axis)
    folded = dict(getattr(fold(model), role).state_dict())
    names = {i.name for i in graph.initializer}
    assert names and names <= set(folded), names - set(folded)
    assert {n for n, p in getattr(fold(model), role).named_parameters()} <= names


def test_bundle_json(bundle: Path) -> None:
    spec = json.loads((bundle / "bundle.json").read_text())
    assert spec["schema"] == 1 and spec["name"] == "tiny" and spec["modalities"] == ["ct"]
    for name, told in spec["files"].items():
        assert digest(bundle / name) == told
    assert sum(f["bytes"] for f in spec["files"].values()) <= 24_000_000
    assert spec["encoder_gmac"] <= 1.5 and spec["parameters"] <= 6_000_000
    assert not list(bundle.glob("*.part*"))


def test_same_weights_same_bytes(model: Tiny, bundle: Path, tmp_path: Path) -> None:
    export_bundle(model, tmp_path)
    for role in INPUTS:
        assert digest(tmp_path / f"{role}.onnx") == digest(bundle / f"{role}.onnx")
