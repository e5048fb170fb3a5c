"""An ONNX graph as a torch module: the same numbers, with gradients and, on request, rounding.

So quantisation-aware training needs no torch code of the model: any bundle's graphs can be trained,
rounded exactly where the int8 graph will round, and written back by the names of their constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samovar_train.quantise.operators import OPERATORS
from samovar_train.quantise.rounding import RoundActivation, RoundWeight

TRAINED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LayerNormalization", "Add", "Mul")
"""Kinds of node whose constants are trained."""


@dataclass(frozen=True)
class Rounding:
    """Where a graph is rounded: by tensor, and by constant."""

    tensors: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """Name → step and zero."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Name → axis of the output channels."""
    bits: int = 8


class UnknownOperatorError(ValueError):
    """A graph has a kind of node that training does not know."""


class GraphModule(nn.Module):
    """Runs a graph's nodes in their order.

    Args:
        model: an ``onnx.ModelProto`` whose constants are initialisers.
        rounding: None: float, as the graph itself.

    Raises:
        UnknownOperatorError: a kind of node that is not in
            :mod:`samovar_train.quantise.operators`.
    """

    def __init__(self, model: Any, rounding: Rounding | None = None) -> None:
        super().__init__()
        from onnx import numpy_helper

        self.nodes = [_Node.of(n) for n in model.graph.node]
        strange = sorted({n.kind for n in self.nodes} - set(OPERATORS))
        if strange:
            raise UnknownOperatorError(f"training does not know {', '.join(strange)}")
        self.inputs = [i.name for i in model.graph.input]
        self.outputs = [o.name for o in model.graph.output]
        self.rounding = rounding or Rounding()
        trained = {i for n in self.nodes if n.kind in TRAINED for i in n.inputs}
        self.names: dict[str, str] = {}
        for number, tensor in enumerate(model.graph.initializer):
            value = torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            self.names[tensor.name] = f"c{number}"
            if value.is_floating_point() and value.ndim and tensor.name in trained:
                self.register_parameter(f"c{number}", nn.Parameter(value))
            else:
                self.register_buffer(f"c{number}", value, persistent=False)
        pairs = self.rounding.tensors.items()
        self.activations = {name: RoundActivation(*pair) for name, pair in pairs}
        bits = self.rounding.bits
        self.weights = {n: RoundWeight(axis, bits) for n, axis in self.rounding.weights.items()}

    def forward(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The graph's outputs by name."""
        values: dict[str, Tensor] = {n: getattr(self, own) for n, own in self.names.items()}
        for name, round_weight in self.weights.items():
            values[name] = round_weight(values[name])
        for name in self.inputs:
            values[name] = self._rounded(name, feeds[name])
        for node in self.nodes:
            given = [values[i] if i else None for i in node.inputs]
            made = OPERATORS[node.kind](node.attributes, *given)
            made = made if isinstance(made, tuple) else (made,)
            for name, value in zip(node.outputs, made, strict=False):
                values[name] = self._rounded(name, value)
        return {name: values[name] for name in self.outputs}

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        rounding = self.activations.get(name)
        return value if rounding is None else rounding(value)

    def constants(self) -> dict[str, NDArray[np.float32]]:
        """What was trained, by the names of the graph."""
        return {
            name: getattr(self, own).detach().numpy().copy()
            for name, own in self.names.items()
            if isinstance(getattr(self, own), nn.Parameter)
        }


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, node: Any) -> _Node:
        from onnx import helper, numpy_helper

        attributes: dict[str, Any] = {"kind": node.op_type, "outputs": len(node.output)}
        for a in node.attribute:
            value = helper.get_attribute_value(a)
            if isinstance(value, bytes):
                value = value.decode()
            elif a.type == a.TENSOR:
                value = torch.from_numpy(np.array(numpy_helper.to_array(value)))
            attributes[a.name] = value
        return cls(node.op_type, tuple(node.input), tuple(node.output), attributes)
