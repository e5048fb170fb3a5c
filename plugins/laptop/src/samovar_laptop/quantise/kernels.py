"""Kernels: which of a graph's nodes a runtime really runs in integers, once it has optimised it.

A graph may be in int8 and yet run in float, silently and slower than before. So what was fused is
counted, and what was left in float is named.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from samovar_laptop.quantise.graph import onnx_package

INTEGER = frozenset(
    {
        "QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat",
        "QGemm", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearGlobalAveragePool",
        "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QLinearReduceMean",
    }
)  # fmt: skip
"""Kinds of node that compute in integers in ONNX Runtime."""
FLOAT = frozenset({"Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm"})
"""Kinds of node that multiply with weights and have an integer kind that they could be."""

OPENVINO_HEAVY = frozenset({"Convolution", "Deconvolution", "MatMul", "FullyConnected"})


@dataclass(frozen=True)
class Kernels:
    """What an optimised graph consists of."""

    integer: Mapping[str, int]
    """Kind of node that computes in integers → how many."""
    floating: tuple[str, ...]
    """Names of the nodes that multiply with weights in float."""

    @property
    def products(self) -> int:
        """Integer nodes that multiply with weights."""
        light = {k for k in self.integer if k.startswith("QLinear") and k not in _PRODUCTS}
        return sum(n for kind, n in self.integer.items() if kind not in light)


_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul"})


def onnxruntime_kernels(graph: Path) -> Kernels:
    """What ONNX Runtime makes of a graph on this machine's CPU."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "optimised.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(out)
        options.log_severity_level = 4
        ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        model = onnx_package().load(str(out))
    constants = {t.name for t in model.graph.initializer}
    # weights that no kernel took are made float again before each product
    constants |= {
        n.output[0]
        for n in model.graph.node
        if n.op_type == "DequantizeLinear" and n.input[0] in constants
    }
    kinds = Counter(n.op_type for n in model.graph.node if n.op_type in INTEGER)
    left = [
        n.name for n in model.graph.node if n.op_type in FLOAT and constants & set(n.input[1:2])
    ]
    return Kernels(dict(sorted(kinds.items())), tuple(left))


def openvino_kernels(graph: Path) -> Kernels | None:
    """What OpenVINO makes of a graph on this machine's CPU; None where it is not installed."""
    if find_spec("openvino") is None:
        return None
    core = import_module("openvino").Core()
    compiled = core.compile_model(
        str(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    kinds: Counter[str] = Counter()
    left = []
    for node in compiled.get_runtime_model().get_ops():
        kind = _told(node, "layerType")
        if kind not in OPENVINO_HEAVY:
            continue
        if _told(node, "runtimePrecision") in ("i8", "u8"):
            kinds[kind] += 1
        else:
            left.append(_told(node, "originalLayersNames") or node.get_friendly_name())
    return Kernels(dict(sorted(kinds.items())), tuple(left))


def _told(node: Any, key: str) -> str:
    info = node.get_rt_info()
    return str(info[key].astype(str)) if key in info else ""
