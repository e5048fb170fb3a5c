"""Places: which tensors are rounded to 8 bits, and which nodes stay in float, and why.

A place is a tensor that gets a QuantizeLinear and a DequantizeLinear. They are put where the
runtimes' optimisers fuse them: at the input of every convolution and of every matrix product with
constant weights, after its ReLU, on both sides of a residual sum, before *and* after GELU. Products
of two activations (attention), softmax and LayerNorm stay in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from samovar_laptop.quantise.graph import OnnxGraph, attribute

WEIGHTED = {"Conv": 0, "MatMul": 1, "Gemm": 1}
"""Kinds of node with weights that have integer kernels → axis of the output channels."""
ACTIVATIONS = frozenset({"Relu", "Clip"})
"""Absorbed by the rounding of what they return."""
JOINS = frozenset({"Add", "Mul", "Concat"})
"""Nodes with integer kernels and no weights."""
CURVES = frozenset({"Gelu", "HardSwish", "HardSigmoid", "Sigmoid"})
"""Float nodes between two rounded tensors, so that the nodes around them fuse."""
MOVES = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "MaxPool", "DepthToSpace"}
)
"""Nodes that only move values: input and output share one scale."""

KEPT = "kept in float on request"
"""Why; such a node reads values that were not rounded, and so the node before it is in float too:
between two rounded tensors ONNX Runtime would round its weights on its own."""
LEAST_SHARE = 1e-3
"""Nodes with a smaller share of the work stay in float: rounding costs them more."""


@dataclass(frozen=True)
class Places:
    """What is rounded in a graph."""

    tensors: tuple[str, ...] = ()
    """In the order of the graph; a tensor is named after its ReLU."""
    same: Mapping[str, str] = field(default_factory=dict)
    """Tensor → the one whose scale it shares."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Constant → axis of its output channels."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Weighted node → the constant that it multiplies with."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Node with weights that stays in float → why."""

    def scale_of(self, tensor: str) -> str:
        """The tensor whose range is measured for this one."""
        while tensor in self.same:
            tensor = self.same[tensor]
        return tensor


def find_places(
    graph: OnnxGraph,
    costs: Mapping[str, int],
    keep: tuple[str, ...] = (),
    further: Iterable[str] = (),
) -> Places:
    """Where a graph is rounded.

    Args:
        costs: work by node name, in a typical run.
        keep: parts of the names of nodes that stay in float.
        further: tensors that are rounded too.
    """
    return _Search(graph, costs, keep).run(further)


class _Search:
    def __init__(self, graph: OnnxGraph, costs: Mapping[str, int], keep: tuple[str, ...]) -> None:
        self.graph, self.costs, self.keep = graph, costs, keep
        self.total = max(1, sum(costs.values()))
        self.wanted: set[str] = set()
        self.same: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.chosen: dict[str, Any] = {}
        self.rooted: dict[str, bool] = {}

    def run(self, further: Iterable[str]) -> Places:
        weighted = [n for n in self.graph.nodes if n.op_type in (*WEIGHTED, "ConvTranspose")]
        self.chosen = chosen = {n.name: n for n in weighted if self.worth_it(n)}
        for node in chosen.values():
            self.want(node.input[0])
        for node in chosen.values():
            # without a rounded output ONNX Runtime has an integer MatMul, but no integer Conv
            if node.op_type == "Conv" or self.goes_on_in_integers(node):
                self.want(self.after_activation(node))
        for tensor in further:
            self.want(tensor)
        order = [*self.graph.inputs, *(o for n in self.graph.nodes for o in n.output)]
        return Places(
            tuple(t for t in order if t in self.wanted),
            self.same,
            {n.input[1]: channel_axis(n) for n in chosen.values()},
            {name: n.input[1] for name, n in chosen.items()},
            self.left,
        )

    def worth_it(self, node: Any) -> bool:
        weight = self.graph.constants.get(node.input[1])
        if node.op_type == "ConvTranspose":
            self.left[node.name] = "ONNX Runtime has no integer transposed convolution"
            return False
        if weight is None:
            if node.op_type != "MatMul":
                self.left[node.name] = "its weights are computed"
            return False  # a product of two activations
        share = self.costs.get(node.name, 0) / self.total
        if any(part in node.name for part in self.keep):
            self.left[node.name] = KEPT
        elif share < LEAST_SHARE:
            self.left[node.name] = f"{100 * share:.2g} % of the work"
        elif self.summed(node):
            self.left[node.name] = "its channels are summed, which is done in float"
        elif node.op_type == "MatMul" and weight.ndim != 2:
            self.left[node.name] = f"weights with {weight.ndim} axes"
        elif node.op_type == "Gemm" and not _plain(node):
            self.left[node.name] = "Gemm with factors or a transposed input"
        return node.name not in self.left

    def summed(self, node: Any) -> bool:
        """Whether a convolution channel by channel is only the first half of one to few channels.

        Rounding between the halves would add up the channels' errors.
        """
        apart = node.op_type == "Conv" and attribute(node, "group", 1) > 1
        readers = self.graph.readers[str(node.output[0])]
        return apart and bool(readers) and all(r.op_type == "ReduceSum" for r in readers)

    def want(self, tensor: str) -> None:
        """Round this tensor, and what has to be rounded for the node that makes it to fuse."""
        if tensor in self.wanted or tensor in self.graph.constants or not tensor:
            return
        self.wanted.add(tensor)
        node = self.graph.producer.get(tensor)
        if node is not None and node.op_type in ACTIVATIONS:
            source = node.input[0]
            maker = self.graph.producer.get(source)
            absorbed = maker is not None and maker.op_type in (*WEIGHTED, *JOINS)
            if not absorbed or not self.graph.only_read_by(source, node):
                self.want(source)
                return
            node = maker
        if node is None or not self.comes_of_weights(str(node.output[0])):
            return
        if node.op_type in JOINS:
            if not any(i in self.graph.constants for i in node.input):
                for name in node.input:
                    self.want(name)
        elif node.op_type in CURVES:
            self.want(node.input[0])
        elif node.op_type in MOVES or _nearest(node):
            self.same[tensor] = node.input[0]
            self.want(node.input[0])

    def comes_of_weights(self, tensor: str) -> bool:
        """Whether a weighted node stands behind a tensor, with nothing but what fuses between.

        Elsewhere (coordinates, sums of graph inputs) rounding would cost and gain nothing.
        """
        if tensor not in self.rooted:
            node = self.graph.producer.get(tensor)
            found = False
            if node is not None and node.op_type in (
                *ACTIVATIONS,
                *CURVES,
                *MOVES,
                *JOINS,
                "Resize",
            ):
                ways = [self.comes_of_weights(i) for i in node.input if i]
                found = all(ways) if node.op_type == "Mul" else any(ways)
            elif node is not None:
                found = node.name in self.chosen
            self.rooted[tensor] = found
        return self.rooted[tensor]

    def after_activation(self, node: Any) -> str:
        """What a node returns, after the ReLU that alone reads it."""
        tensor = str(node.output[0])
        for reader in self.graph.readers[tensor]:
            if reader.op_type in ACTIVATIONS and self.graph.only_read_by(tensor, reader):
                return str(reader.output[0])
        return tensor

    def goes_on_in_integers(self, node: Any) -> bool:
        return self.after_activation(node) in self.wanted


def channel_axis(node: Any) -> int:
    """Axis of the output channels in the weights of a weighted node."""
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return WEIGHTED[node.op_type]


def _plain(node: Any) -> bool:
    factors = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
    return factors == (1.0, 1.0) and not attribute(node, "transA", 0)


def _nearest(node: Any) -> bool:
    return node.op_type == "Resize" and attribute(node, "mode", "nearest") == "nearest"
