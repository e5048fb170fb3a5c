"""Writing: the graph with its QuantizeLinear and DequantizeLinear nodes and int8 initialisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_laptop.quantise.graph import OnnxGraph, onnx_package
from samovar_laptop.quantise.places import KEPT, Places
from samovar_laptop.quantise.ranges import Scale, channel_steps, rounded_weights


def quantised(
    graph: OnnxGraph,
    places: Places,
    scales: Mapping[str, Scale],
    bits: int = 8,
) -> Any:
    """The model in int8: one QDQ graph that ONNX Runtime and OpenVINO fuse.

    Args:
        scales: of every tensor that ``places`` measures.
        bits: of the weights; with 7 no sum of two products overflows on CPUs without VNNI.
    """
    return _Writer(graph.copy(), places, scales, bits).run()


class _Writer:
    def __init__(
        self, graph: OnnxGraph, places: Places, scales: Mapping[str, Scale], bits: int
    ) -> None:
        self.graph, self.places, self.scales, self.bits = graph, places, scales, bits
        self.make = onnx_package().helper.make_node
        self.read: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.steps: dict[str, NDArray[np.float32]] = {}

    def run(self) -> Any:
        for name in self.graph.inputs:
            self.round(name, name)
        for node in self.graph.nodes:
            self.add(node)
        self.graph.replace_nodes(self.nodes)
        return self.graph.proto()

    def add(self, node: Any) -> None:
        before = [str(i) for i in node.input]
        if self.places.left.get(node.name) != KEPT:
            for i, name in enumerate(before):
                node.input[i] = self.read.get(name, name)
        if node.name in self.places.inputs:
            self.weigh(node, before)
        made = [str(o) for o in node.output]
        for i, name in enumerate(made):
            if name in self.places.tensors and name in self.graph.outputs:
                node.output[i] = f"{name}.float"
        self.nodes.append(node)
        for name, now in zip(made, [str(o) for o in node.output], strict=True):
            self.round(name, now)

    def round(self, name: str, made: str) -> None:
        """Add the pair for the tensor ``name``, which is now made under the name ``made``."""
        if name not in self.places.tensors:
            return
        scale = self.scales[self.places.scale_of(name)]
        step, zero = self.scale_constants(self.places.scale_of(name), scale)
        back = name if name in self.graph.outputs else f"{name}.rounded"
        self.nodes += [
            self.make("QuantizeLinear", [made, step, zero], [f"{name}.int8"], name=f"{name}.q"),
            self.make("DequantizeLinear", [f"{name}.int8", step, zero], [back], name=f"{name}.dq"),
        ]
        self.read[name] = back

    def scale_constants(self, name: str, scale: Scale) -> tuple[str, str]:
        names = f"{name}.step", f"{name}.zero"
        self.graph.constants[names[0]] = np.array(scale.step, np.float32)
        self.graph.constants[names[1]] = np.array(scale.zero, np.uint8)
        return names

    def weigh(self, node: Any, before: list[str]) -> None:
        """Integers in place of a node's weights and bias."""
        name = before[1]
        axis = self.places.weights[name]
        weights = self.graph.constants[name].astype(np.float32)
        if name not in self.steps:
            self.steps[name] = channel_steps(weights, axis, self.bits)
            whole = rounded_weights(weights, self.steps[name], axis, self.bits)
            self.constant_pair(name, whole, self.steps[name], axis)
        node.input[1] = f"{name}.rounded"
        if len(before) > 2 and before[2] in self.graph.constants:
            step = self.scales[self.places.scale_of(before[0])].step * self.steps[name]
            bias = self.graph.constants[before[2]].astype(np.float64)
            limit = 2**31 - 1
            whole = np.clip(np.rint(bias / step), -limit, limit).astype(np.int32)
            own = f"{node.name}.bias"
            self.constant_pair(own, whole, step.astype(np.float32), 0)
            node.input[2] = f"{own}.rounded"

    def constant_pair(
        self, name: str, whole: NDArray[Any], step: NDArray[np.float32], axis: int
    ) -> None:
        self.graph.constants[f"{name}.int8"] = whole
        self.graph.constants[f"{name}.step"] = step
        self.graph.constants[f"{name}.zero"] = np.zeros(len(step), whole.dtype)
        self.nodes.append(
            self.make(
                "DequantizeLinear", [f"{name}.int8", f"{name}.step", f"{name}.zero"],
                [f"{name}.rounded"], name=f"{name}.dq", axis=axis,
            )
        )  # fmt: skip
