"""ONNX Runtime behind the Runtime protocol."""

from __future__ import annotations

import onnxruntime
import pytest
from laptop_graphs import ENCODER, save

from samovar.errors import UsageError
from samovar_laptop import onnx_runtime
from samovar_laptop.onnx_runtime import OnnxRuntime


@pytest.mark.parametrize("device", ["cuda:0", "directml", "abacus", "cuda:x"])
def test_a_device_that_is_not_there_lists_those_that_are(folder, monkeypatch, device):
    monkeypatch.setattr(onnx_runtime.ort, "get_available_providers", lambda: [onnx_runtime.CPU])
    with pytest.raises(UsageError, match=f"{device}.* has cpu"):
        OnnxRuntime().load(save(ENCODER, folder / "e.onnx"), device=device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_no_silent_fallback(folder, monkeypatch):
    """ONNX Runtime itself warns and goes on with the CPU."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has CUDA")
    providers = ["CUDAExecutionProvider", onnx_runtime.CPU]
    monkeypatch.setattr(onnx_runtime.ort, "get_available_providers", lambda: providers)
    assert OnnxRuntime().devices() == ("cpu", "cuda:0")
    with pytest.raises(UsageError, match="--device cpu"):
        OnnxRuntime().load(save(ENCODER, folder / "e.onnx"), device="cuda:0")


@pytest.mark.parametrize(
    ("device", "provider", "options"),
    [
        ("cpu", "CPUExecutionProvider", {}),
        ("cuda:1", "CUDAExecutionProvider", {"device_id": 1}),
        ("CUDA", "CUDAExecutionProvider", {"device_id": 0}),
        ("directml", "DmlExecutionProvider", {"device_id": 0}),
        ("openvino:gpu", "OpenVINOExecutionProvider", {"device_type": "GPU"}),
        ("coreml", "CoreMLExecutionProvider", {}),
    ],
)
def test_devices_map_to_providers(monkeypatch, device, provider, options):
    every = list(onnx_runtime.PROVIDERS.values())
    monkeypatch.setattr(onnx_runtime.ort, "get_available_providers", lambda: every)
    assert OnnxRuntime()._provider(device) == (provider, options)
