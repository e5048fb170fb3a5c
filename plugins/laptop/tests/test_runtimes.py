"""What every runtime here does: one contract, run over ONNX Runtime and over OpenVINO."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest
from laptop_graphs import CLASSIC, ENCODER, MASK_DECODER, save

from samovar.errors import BundleError, PluginError, UsageError
from samovar.processor import instruction_set
from samovar.protocols import Graph, Runtime

RUNTIMES = {
    "onnxruntime": ("samovar_laptop.onnx_runtime", "OnnxRuntime", "batch"),
    "openvino": ("samovar_laptop.openvino_runtime", "OpenvinoRuntime", None),
}
"""Library → module, class, and how it writes the graph's free axis."""


@pytest.fixture(params=RUNTIMES)
def library(request):
    """The name of a runtime whose library is installed."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture
def runtime(library):
    module, name, _ = RUNTIMES[library]
    return getattr(import_module(module), name)()


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 3, 64, 64)).astype(np.float32)


def test_a_graph_says_its_inputs_outputs_and_what_runs_it(runtime, library, folder):
    graph = runtime.load(save(ENCODER, folder / "e.onnx"), threads=2, precision="fp32")
    assert isinstance(runtime, Runtime)
    assert isinstance(graph, Graph)
    free = RUNTIMES[library][2]
    assert graph.inputs == {"image": (free, 3, 64, 64)}
    assert graph.outputs == {
        "image_embeddings": (free, 3, 8, 8), "features_s4": (free, 3, 16, 16)
    }  # fmt: skip
    info = graph.info
    assert info.runtime == library
    assert import_module(library).__version__.startswith(info.version)
    assert (info.device, info.precision, info.threads) == ("cpu", "fp32", 2)
    assert info.instruction_set == instruction_set()


def test_it_computes(runtime, folder):
    graph = runtime.load(save(ENCODER, folder / "e.onnx"), threads=1)
    image = picture()
    made = graph.run({"image": image})
    blocks = image.reshape(1, 3, 8, 8, 8, 8).mean(axis=(3, 5))
    np.testing.assert_allclose(made["image_embeddings"], blocks, atol=1e-6)
    assert list(graph.run({"image": image}, ["features_s4"])) == ["features_s4"]
    again = graph.run({"image": picture(1)})
    assert not np.array_equal(made["features_s4"], again["features_s4"])  # no shared memory


def test_feeds_are_cast_to_what_the_graph_declares(runtime, folder):
    graph = runtime.load(save(CLASSIC, folder / "d.onnx"), threads=1)
    embedding = np.zeros((1, 3, 8, 8))
    embedding.setflags(write=False)
    feeds = {
        "image_embeddings": embedding,
        "point_coords": np.zeros((1, 2, 2), dtype=np.float64),
        "point_labels": np.array([[2, 3]], dtype=np.int64),
        "mask_input": np.zeros((1, 1, 32, 32), dtype=np.float16),
        "has_mask_input": np.zeros(1, dtype=bool),
        "orig_im_size": np.array([20, 30]),
    }
    assert graph.run(feeds)["masks"].shape == (1, 1, 20, 30)


def test_several_threads_may_ask_at_once(runtime, folder):
    graph = runtime.load(save(ENCODER, folder / "e.onnx"), threads=1)
    alone = [graph.run({"image": picture(i)})["features_s4"] for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda i: graph.run({"image": picture(i)})["features_s4"], range(8))
        )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"\x08\x08", b"not a graph"])
def test_a_broken_graph_is_named(runtime, folder, content):
    path = folder / "e.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"e\.onnx.*export it again") as caught:
        runtime.load(path)
    assert "\n" not in str(caught.value)


def test_a_failing_run_is_one_line_with_the_graph_s_name(runtime, folder):
    graph = runtime.load(save(MASK_DECODER, folder / "d.onnx"), threads=1)
    with pytest.raises(PluginError, match=r"d\.onnx") as caught:
        graph.run({"image_embeddings": np.zeros((1, 5, 8, 8))})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["abacus", "gpu:7"])
def test_a_device_that_is_not_there_lists_those_that_are(runtime, folder, device):
    with pytest.raises(UsageError, match=f"{device}.* has cpu"):
        runtime.load(save(ENCODER, folder / "e.onnx"), device=device)
