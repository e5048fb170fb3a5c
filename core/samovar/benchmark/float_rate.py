"""The machine's rate in single precision: what bounds any runtime's time for a model."""

from __future__ import annotations

import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from samovar.errors import DependencyError
from samovar.protocols import Runtime

CHANNELS, SIDE, LAYERS = 128, 64, 4
TURNS = 12


def float_rate(runtime: Runtime) -> float:
    """Multiply-accumulates a nanosecond of bare 3 × 3 convolutions, one thread.

    Four in a row, 128 channels at 64 × 64: large enough for a runtime to be at its best.

    Raises:
        DependencyError: onnx is missing.
    """
    try:
        onnx: Any = import_module("onnx")
    except ImportError as error:
        raise DependencyError("this benchmark needs onnx: pip install onnx") from error
    shape = [1, CHANNELS, SIDE, SIDE]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "convolutions.onnx"
        onnx.save(_convolutions(onnx, rng, shape), str(path))
        graph = runtime.load(path, threads=1)
        feeds = {"x0": rng.normal(size=shape).astype(np.float32)}
        best = float("inf")
        for _ in range(TURNS):
            started = time.process_time()
            graph.run(feeds)
            best = min(best, time.process_time() - started)
    macs = LAYERS * CHANNELS * CHANNELS * 9 * SIDE * SIDE
    return macs / max(best, 1e-9) / 1e9


def _convolutions(onnx: Any, rng: np.random.Generator, shape: list[int]) -> Any:
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes, weights = [], []
    for i in range(LAYERS):
        values = rng.normal(0, 0.03, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(values, f"w{i}"))
        nodes.append(make.make_node("Conv", [f"x{i}", f"w{i}"], [f"x{i + 1}"], pads=[1] * 4))
    graph = make.make_graph(
        nodes, "convolutions", [make.make_tensor_value_info("x0", kind, shape)],
        [make.make_tensor_value_info(f"x{LAYERS}", kind, shape)], weights,
    )  # fmt: skip
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=9)
