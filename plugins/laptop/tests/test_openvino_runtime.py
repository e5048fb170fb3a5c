"""OpenVINO behind the Runtime protocol."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from laptop_graphs import ENCODER, save
from PIL import Image as PillowImage

from samovar.api import segment
from samovar.errors import UsageError
from samovar.evaluation.metrics import iou
from samovar.masks import WindowLogits
from samovar.models import load_model
from samovar.processor import instruction_set
from samovar.prompts import Prompt, Prompts

openvino = pytest.importorskip("openvino", reason="openvino is not installed")
openvino_runtime = pytest.importorskip("samovar_laptop.openvino_runtime")
OpenvinoRuntime = openvino_runtime.OpenvinoRuntime


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


@pytest.mark.skipif("bf16" not in instruction_set(), reason="this processor has no bf16")
def test_in_half_precision_the_encoder_alone_is_converted_and_it_is_said():
    said, [ours] = answers(runtime="openvino", threads=1, precision="bf16")
    _, [exact] = answers(runtime="openvino", threads=1)
    assert said["runtime"]["precision"] == "bf16"
    assert not said["gate"]["passed"]
    assert not np.array_equal(values(ours.low_res[0]), values(exact.low_res[0]))
    for one, other in zip(ours.masks, exact.masks, strict=True):
        assert iou(one, other) >= 0.98


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


def test_the_core_outlives_its_runtimes():
    """OpenVINO frees its signal stack with its last Core: Ctrl-C would then be a crash."""
    first = id(OpenvinoRuntime()._core)
    gc.collect()
    others = [openvino.Core() for _ in range(3)]  # would take the place of one that was freed
    assert id(OpenvinoRuntime()._core) == first
    assert first not in map(id, others)
