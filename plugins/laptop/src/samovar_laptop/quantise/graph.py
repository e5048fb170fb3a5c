"""A graph that can be looked at and changed: nodes, who makes and who reads a tensor, constants."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import BundleError, DependencyError


def onnx_package() -> Any:
    """The ``onnx`` package. Raises DependencyError with the command that installs it."""
    try:
        return import_module("onnx")
    except ImportError as error:
        raise DependencyError(
            "quantising needs onnx: pip install 'samovar-laptop[quantise]'"
        ) from error


class OnnxGraph:
    """An ONNX model, indexed. Indices are made anew by :meth:`index` after nodes were changed."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.constants: dict[str, NDArray[Any]] = {
            t.name: onnx_package().numpy_helper.to_array(t) for t in model.graph.initializer
        }
        self.index()

    def copy(self) -> OnnxGraph:
        """Another graph with the same nodes; the constants' values are shared."""
        model = onnx_package().ModelProto()
        model.CopyFrom(self.proto())
        return type(self)(model)

    def index(self) -> None:
        """Read again who makes and who reads each tensor."""
        self.nodes: list[Any] = list(self.model.graph.node)
        self.inputs = [i.name for i in self.model.graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in self.model.graph.output]
        self.producer: dict[str, Any] = {o: n for n in self.nodes for o in n.output if o}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)

    def only_read_by(self, tensor: str, node: Any) -> bool:
        return tensor not in self.outputs and all(n is node for n in self.readers[tensor])

    def replace_nodes(self, nodes: Iterable[Any]) -> None:
        """Put these nodes, in an order in which each finds its inputs made, in place of all."""
        kept = list(nodes)
        del self.model.graph.node[:]
        self.model.graph.node.extend(kept)
        self.index()

    def proto(self) -> Any:
        """The model, with those constants that its nodes still read."""
        onnx = onnx_package()
        used = {name for node in self.nodes for name in node.input} | set(self.outputs)
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
            for name, array in self.constants.items()
            if name in used
        )
        return self.model


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """Value of a node's attribute; names are texts."""
    for a in node.attribute:
        if a.name == name:
            value = onnx_package().helper.get_attribute_value(a)
            return value.decode() if isinstance(value, bytes) else value
    return default


def simplified(path: Path) -> OnnxGraph:
    """A graph as ONNX Runtime's basic optimisation leaves it: BatchNorm folded, constants computed.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    onnx = onnx_package()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "simplified.onnx"
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(out)
        options.log_severity_level = 4
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BundleError(
                f"{path}: ONNX Runtime cannot load the graph ({error}): export it again"
            ) from error
        model = onnx.load(str(out))
    used = {n.domain for n in model.graph.node}
    kept = [o for o in model.opset_import if o.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return OnnxGraph(model)
