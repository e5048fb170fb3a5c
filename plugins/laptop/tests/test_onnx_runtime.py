"""ONNX Runtime behind the Runtime protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from laptop_graphs import CLASSIC, ENCODER, MASK_DECODER, save

from samovar.errors import BundleError, PluginError, UsageError
from samovar.protocols import Graph, Runtime
from samovar_laptop import onnx_runtime
from samovar_laptop.onnx_runtime import OnnxRuntime


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 3, 64, 64)).astype(np.float32)


def test_a_graph_says_its_inputs_outputs_and_what_runs_it(folder):
    runtime = OnnxRuntime()
    graph = runtime.load(save(ENCODER, folder / "e.onnx"), threads=2, precision="fp32")
    assert isinstance(runtime, Runtime)
    assert isinstance(graph, Graph)
    assert graph.inputs == {"image": ("batch", 3, 64, 64)}
    assert list(graph.outputs) == ["image_embeddings", "features_s4"]
    info = graph.info
    assert (info.runtime, info.version) == ("onnxruntime", onnxruntime.__version__)
    assert (info.device, info.precision, info.threads) == ("cpu", "fp32", 2)
    assert info.instruction_set


def test_it_computes(folder):
    graph = OnnxRuntime().load(save(ENCODER, folder / "e.onnx"), threads=1)
    image = picture()
    made = graph.run({"image": image})
    blocks = image.reshape(1, 3, 8, 8, 8, 8).mean(axis=(3, 5))
    np.testing.assert_allclose(made["image_embeddings"], blocks, atol=1e-6)
    assert list(graph.run({"image": image}, ["features_s4"])) == ["features_s4"]


def test_feeds_are_cast_to_what_the_graph_declares(folder):
    graph = OnnxRuntime().load(save(CLASSIC, folder / "d.onnx"), threads=1)
    feeds = {
        "image_embeddings": np.zeros((1, 3, 8, 8)),
        "point_coords": np.zeros((1, 2, 2), dtype=np.float64),
        "point_labels": np.array([[2, 3]], dtype=np.int64),
        "mask_input": np.zeros((1, 1, 32, 32), dtype=np.float16),
        "has_mask_input": np.zeros(1, dtype=bool),
        "orig_im_size": np.array([20, 30]),
    }
    assert graph.run(feeds)["masks"].shape == (1, 1, 20, 30)


def test_several_threads_may_ask_at_once(folder):
    graph = OnnxRuntime().load(save(ENCODER, folder / "e.onnx"), threads=1)
    alone = [graph.run({"image": picture(i)})["features_s4"] for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda i: graph.run({"image": picture(i)})["features_s4"], range(8))
        )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"\x08\x08", b"not a graph"])
def test_a_broken_graph_is_named(folder, content):
    path = folder / "e.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"e\.onnx.*export it again") as caught:
        OnnxRuntime().load(path)
    assert "\n" not in str(caught.value)


def test_a_failing_run_is_one_line_with_the_graph_s_name(folder):
    graph = OnnxRuntime().load(save(MASK_DECODER, folder / "d.onnx"), threads=1)
    with pytest.raises(PluginError, match=r"d\.onnx") as caught:
        graph.run({"image_embeddings": np.zeros((1, 5, 8, 8))})
    assert "\n" not in str(caught.value)


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
