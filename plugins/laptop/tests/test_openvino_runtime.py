"""OpenVINO behind the Runtime protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from laptop_graphs import CLASSIC, ENCODER, MASK_DECODER, save
from PIL import Image as PillowImage

from samovar.api import segment
from samovar.errors import BundleError, PluginError, UsageError
from samovar.evaluation.metrics import iou
from samovar.masks import WindowLogits
from samovar.models import load_model
from samovar.processor import instruction_set
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Graph, Runtime

openvino = pytest.importorskip("openvino", reason="openvino is not installed")
openvino_runtime = pytest.importorskip("samovar_laptop.openvino_runtime")
OpenvinoRuntime = openvino_runtime.OpenvinoRuntime


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 3, 64, 64)).astype(np.float32)


def scene(seed: int = 0) -> np.ndarray:
    """A picture ``(3, 160, 200)`` with a bright box in it."""
    made = np.random.default_rng(seed).normal(60, 8, (3, 160, 200)).astype(np.float32)
    made[:, 40:110, 50:140] += 110
    return np.clip(made, 0, 255)


ASKED = Prompts(
    (
        Prompt(1, box=(50.0, 40.0, 140.0, 110.0)),
        Prompt(2, points=((95.0, 75.0),), labels=(1,)),
        Prompt(3, box=(45.0, 30.0, 150.0, 120.0), points=((10.0, 10.0),), labels=(0,)),
    )
)


def answers(times=1, **options):
    """What a model is said to be, and its answers to the same question asked several times."""
    with load_model("tiny", **options) as model:
        made = []
        for _ in range(times):
            [embedding] = model.encode([scene()])
            made.append(model.decoder.decode(embedding, ASKED))
        return model.describe(), made


def test_a_graph_says_its_inputs_outputs_and_what_runs_it(folder):
    runtime = OpenvinoRuntime()
    graph = runtime.load(save(ENCODER, folder / "e.onnx"), threads=2, precision="fp32")
    assert isinstance(runtime, Runtime)
    assert isinstance(graph, Graph)
    assert graph.inputs == {"image": (None, 3, 64, 64)}
    assert graph.outputs == {
        "image_embeddings": (None, 3, 8, 8), "features_s4": (None, 3, 16, 16)
    }  # fmt: skip
    info = graph.info
    assert info.runtime == "openvino"
    assert openvino.__version__.startswith(info.version)
    assert (info.device, info.precision, info.threads) == ("cpu", "fp32", 2)
    assert info.instruction_set == instruction_set()


def test_it_computes(folder):
    graph = OpenvinoRuntime().load(save(ENCODER, folder / "e.onnx"), threads=1)
    image = picture()
    made = graph.run({"image": image})
    blocks = image.reshape(1, 3, 8, 8, 8, 8).mean(axis=(3, 5))
    np.testing.assert_allclose(made["image_embeddings"], blocks, atol=1e-6)
    assert list(graph.run({"image": image}, ["features_s4"])) == ["features_s4"]
    again = graph.run({"image": picture(1)})
    assert not np.array_equal(made["features_s4"], again["features_s4"])  # no shared memory


def test_it_computes_in_single_precision_unless_asked(folder):
    """Left alone, OpenVINO takes bf16 where the processor has it."""
    load = OpenvinoRuntime().load
    path = save(ENCODER, folder / "e.onnx")
    for precision in ("", "fp32", "int8"):
        compiled = load(path, threads=1, precision=precision)._compiled
        assert openvino_runtime._computes_in(compiled) == "f32"
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_half_precision_is_had_or_refused(folder):
    path = save(ENCODER, folder / "e.onnx")
    if "bf16" in instruction_set():
        assert OpenvinoRuntime().load(path, precision="bf16").info.precision == "bf16"
    else:
        with pytest.raises(UsageError, match="does not compute in bf16"):
            OpenvinoRuntime().load(path, precision="bf16")
    with pytest.raises(UsageError, match="fp32, int8, bf16, not fp8"):
        OpenvinoRuntime().load(path, precision="fp8")


def test_feeds_are_cast_to_what_the_graph_declares(folder):
    graph = OpenvinoRuntime().load(save(CLASSIC, folder / "d.onnx"), threads=1)
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


def test_several_threads_may_ask_at_once(folder):
    graph = OpenvinoRuntime().load(save(ENCODER, folder / "e.onnx"), threads=1)
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
        OpenvinoRuntime().load(path)
    assert "\n" not in str(caught.value)


def test_a_failing_run_is_one_line_with_the_graph_s_name(folder):
    graph = OpenvinoRuntime().load(save(MASK_DECODER, folder / "d.onnx"), threads=1)
    with pytest.raises(PluginError, match=r"d\.onnx") as caught:
        graph.run({"image_embeddings": np.zeros((1, 5, 8, 8))})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:0", "abacus", "gpu:7"])
def test_a_device_that_is_not_there_lists_those_that_are(folder, device):
    with pytest.raises(UsageError, match=f"{device}.* has cpu"):
        OpenvinoRuntime().load(save(ENCODER, folder / "e.onnx"), device=device)


def values(low_res):
    """Logits over the mask frame or over a window."""
    return low_res.values if isinstance(low_res, WindowLogits) else low_res


def test_masks_are_the_same_bytes_run_to_run_and_with_any_number_of_threads():
    _, [first, second] = answers(2, runtime="openvino", threads=1)
    _, [parallel] = answers(runtime="openvino", threads=2)
    for other in (second, parallel):
        for one, same in zip(first.low_res, other.low_res, strict=True):
            np.testing.assert_array_equal(values(one), values(same))
        np.testing.assert_array_equal(first.quality, other.quality)


def test_masks_agree_with_onnx_runtime():
    said, [ours] = answers(runtime="openvino", threads=1)
    _, [theirs] = answers(runtime="onnxruntime", threads=1)
    assert said["runtime"]["name"] == "openvino"
    for one, other in zip(ours.low_res, theirs.low_res, strict=True):
        np.testing.assert_allclose(values(one), values(other), atol=1e-3)
    for one, other in zip(ours.masks, theirs.masks, strict=True):
        assert iou(one, other) >= 0.999


def test_a_whole_segmentation_runs_through_it(tmp_path):
    file = tmp_path / "scene.png"
    PillowImage.fromarray(scene().transpose(1, 2, 0).astype(np.uint8)).save(file)
    objects = segment(file, boxes=[(50, 40, 140, 110)], runtime="openvino", threads=1)
    assert objects.provenance["model"]["runtime"]["name"] == "openvino"
    [found] = objects
    assert found.pixels > 0.9 * 90 * 70


@pytest.mark.parametrize(
    ("cap", "left"),
    [
        ("", "sse4_2+avx2+fma+avx512f"),
        ("ALL", "sse4_2+avx2+fma+avx512f"),
        ("AVX2", "sse4_2+avx2+fma (ONEDNN_MAX_CPU_ISA=AVX2)"),
        ("avx512_core", "sse4_2+avx2+fma+avx512f (ONEDNN_MAX_CPU_ISA=avx512_core)"),
        ("AVX99", "sse4_2+avx2+fma+avx512f (ONEDNN_MAX_CPU_ISA=AVX99)"),
    ],
)
def test_a_cap_on_the_instruction_set_is_told(cap, left):
    assert openvino_runtime.capped("sse4_2+avx2+fma+avx512f", cap) == left
