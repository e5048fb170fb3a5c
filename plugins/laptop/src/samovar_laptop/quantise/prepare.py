"""Preparation of a graph: what stands in the way of integer kernels is written another way.

Both steps give the same numbers up to rounding:

- BatchNorm, constants and identities are folded (ONNX Runtime's basic optimisation)
- a transposed convolution whose kernel equals its stride (SAM's upscaling) becomes a 1×1
  convolution and a DepthToSpace: ONNX Runtime has no integer kernel of the former
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from samovar_laptop.quantise.graph import OnnxGraph, attribute, onnx_package, simplified


def prepared(path: Path) -> OnnxGraph:
    """The graph of a file, ready for :mod:`samovar_laptop.quantise.places`.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    graph = simplified(path)
    _name_nodes(graph)
    _split_transposed_convolutions(graph)
    return graph


def written_out_gelu(graph: OnnxGraph) -> bool:
    """Whether GELU is spelled out with Erf: then little is gained. Opset 20 has a node."""
    return any(n.op_type == "Erf" for n in graph.nodes)


def _name_nodes(graph: OnnxGraph) -> None:
    """Every node gets a name of its own, so that it can be named to a person."""
    seen: set[str] = set()
    for number, node in enumerate(graph.nodes):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)


def _split_transposed_convolutions(graph: OnnxGraph) -> None:
    nodes: list[Any] = []
    for node in graph.nodes:
        nodes += _split(graph, node) if _is_upscaling(graph, node) else [node]
    if len(nodes) != len(graph.nodes):
        graph.replace_nodes(nodes)


def _split(graph: OnnxGraph, node: Any) -> list[Any]:
    make = onnx_package().helper.make_node
    weight = graph.constants[node.input[1]]  # (in, out, k, k)
    k = weight.shape[2]
    # depth (out, row, column), which is how DepthToSpace reads in CRD order
    flat = np.ascontiguousarray(weight.transpose(1, 2, 3, 0)).reshape(-1, weight.shape[0], 1, 1)
    graph.constants[f"{node.input[1]}.flat"] = flat
    inputs = [node.input[0], f"{node.input[1]}.flat"]
    if len(node.input) > 2 and node.input[2]:
        graph.constants[f"{node.input[2]}.flat"] = np.repeat(graph.constants[node.input[2]], k * k)
        inputs.append(f"{node.input[2]}.flat")
    deep = f"{node.output[0]}.deep"
    return [
        make("Conv", inputs, [deep], name=node.name, kernel_shape=[1, 1]),
        make(
            "DepthToSpace", [deep], [node.output[0]],
            name=f"{node.name}.space", blocksize=k, mode="CRD",
        ),
    ]  # fmt: skip


def _is_upscaling(graph: OnnxGraph, node: Any) -> bool:
    if node.op_type != "ConvTranspose":
        return False
    weight = graph.constants.get(node.input[1])
    if weight is None or weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        return False
    known_bias = len(node.input) < 3 or not node.input[2] or node.input[2] in graph.constants
    return (
        known_bias
        and list(attribute(node, "strides", [1, 1])) == list(weight.shape[2:])
        and not any(attribute(node, "pads", []))
        and not any(attribute(node, "output_padding", []))
        and all(d == 1 for d in attribute(node, "dilations", []))
        and attribute(node, "group", 1) == 1
        and attribute(node, "auto_pad", "NOTSET") == "NOTSET"
        and not attribute(node, "output_shape")
    )
