"""Attention in integers, as PTQ4SAM treats it (Lv et al., CVPR 2024, arXiv:2405.03144).

Products of two activations stay in float by default. On request they are rounded too, after two
changes of the graph:

- *Bimodal integration*: keys often have two humps, since some channels are mostly negative. The
  sign of such a channel is flipped in the weights that make the keys, and in those that make the
  queries: their product stays the same, and the keys have one hump.
- *Adaptive granularity*: softmax is rounded to powers of ``2^(-1/τ)``, with the power of two ``τ``
  that changes attention's result least. No runtime has an integer kernel for this: it is written
  in float nodes, so it shows the accuracy, not the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_laptop.quantise.graph import OnnxGraph, onnx_package
from samovar_laptop.quantise.places import MOVES, WEIGHTED, channel_axis

WAYS = ("float", "uint8", "ptq4sam")
GRANULARITIES = (1, 2, 4, 8, 16, 32)
LEVELS = 255
SAME = 1e-4
"""Largest relative change of the graph's outputs that still counts as rounding."""

Look = Callable[[OnnxGraph, list[str]], Mapping[str, NDArray[Any]]]
"""Values of tensors of a graph on typical feeds."""


@dataclass(frozen=True)
class Attention:
    """``softmax(queries · keys) · values``, by names."""

    queries: str
    keys: str
    """Transposed: ``(…, channels, tokens)``."""
    share: str
    """Softmax's result."""
    values: str
    softmax: str
    """Name of the node."""


def attentions(graph: OnnxGraph) -> list[Attention]:
    """Every softmax between two products of activations, scaled or biased on the way in."""
    found = []
    for softmax in (n for n in graph.nodes if n.op_type == "Softmax"):
        scores = graph.producer.get(softmax.input[0])
        while scores is not None and scores.op_type in ("Mul", "Div", "Add"):
            scores = next(
                (graph.producer[i] for i in scores.input
                 if i in graph.producer and i not in graph.constants), None,
            )  # fmt: skip
        mixes = [n for n in graph.readers[softmax.output[0]] if _product(graph, n)]
        if scores is not None and _product(graph, scores) and len(mixes) == 1:
            names = (*scores.input, *mixes[0].input, softmax.name)
            found.append(Attention(*map(str, names)))
    return found


def _product(graph: OnnxGraph, node: Any) -> bool:
    return node.op_type == "MatMul" and not any(i in graph.constants for i in node.input)


def integrate_bimodal(graph: OnnxGraph, look: Look) -> int:
    """Flip the signs of mostly negative key channels, with those of their queries.

    Args:
        look: sees what the graph computes on typical feeds.

    Returns:
        How many channels were flipped; a change that alters the outputs is taken back.
    """
    flipped = 0
    for attention in attentions(graph):
        sources = [_source(graph, t) for t in (attention.queries, attention.keys)]
        if None in sources:
            continue
        q, k = (s for s in sources if s is not None)
        before = dict(graph.constants)
        wanted = look(graph, graph.outputs)
        count = _flip(graph, attention, q, k, look)
        if count and not _same(wanted, look(graph, graph.outputs)):
            graph.constants.clear()
            graph.constants.update(before)
            count = 0
        flipped += count
    return flipped


@dataclass(frozen=True, eq=False)
class _Source:
    """The node whose weights make queries or keys, and what its bias is added by."""

    node: Any
    bias: str
    """Constant; empty where there is none."""
    output: str
    """After the bias."""
    factor: float
    """By which the values are multiplied on the way."""


def _source(graph: OnnxGraph, tensor: str) -> _Source | None:
    factor, bias, output = 1.0, "", ""
    while True:
        node = graph.producer.get(tensor)
        if node is None:
            return None
        if node.op_type in WEIGHTED and node.input[1] in graph.constants:
            own = str(node.input[2]) if len(node.input) > 2 else ""
            return _Source(node, bias or own, output or tensor, factor)
        scalar = _scalar(graph, node)
        if node.op_type in (*MOVES, "Split", "Gather"):
            tensor = str(node.input[0])
        elif node.op_type in ("Mul", "Div") and scalar is not None:
            factor *= scalar if node.op_type == "Mul" else 1 / scalar
            tensor = str(next(i for i in node.input if i not in graph.constants))
        elif node.op_type == "Add" and not bias and _vector(graph, node):
            bias, output = _vector(graph, node), tensor
            tensor = str(next(i for i in node.input if i != bias))
        else:
            return None


def _scalar(graph: OnnxGraph, node: Any) -> float | None:
    values = [graph.constants[i] for i in node.input if i in graph.constants]
    return float(values[0].reshape(())) if len(values) == 1 and values[0].size == 1 else None


def _vector(graph: OnnxGraph, node: Any) -> str:
    names = [i for i in node.input if i in graph.constants and graph.constants[i].ndim == 1]
    return str(names[0]) if len(names) == 1 else ""


def _flip(graph: OnnxGraph, attention: Attention, q: _Source, k: _Source, look: Look) -> int:
    """Flip where the mean over tokens is negative; columns are found by sending their numbers."""
    keys = look(graph, [attention.keys])[attention.keys]
    columns = {}
    for tensor, source in ((attention.queries, q), (attention.keys, k)):
        sent = _send_numbers(graph, source, tensor, look)
        if sent is None:
            return 0
        columns[tensor] = sent
    # one number a head and channel, whatever the batch, the window and the token
    of_keys = columns[attention.keys][..., 0].ravel()
    of_queries = columns[attention.queries][..., 0, :].ravel()
    if of_keys.shape != of_queries.shape:
        return 0
    sums = np.bincount(of_keys, keys.mean(axis=-1).ravel() * np.sign(k.factor))
    chosen = np.flatnonzero(sums < 0)
    partners = np.unique(of_queries[np.isin(of_keys, chosen)])
    if k.node is q.node and np.intersect1d(chosen, partners).size:
        return 0
    _negate(graph, k, chosen)
    _negate(graph, q, partners)
    return int(chosen.size)


def _send_numbers(
    graph: OnnxGraph, source: _Source, tensor: str, look: Look
) -> NDArray[np.int64] | None:
    """What reaches ``tensor`` when each output channel of a source is its own number."""
    shape = look(graph, [source.output])[source.output].shape
    axis = 1 if source.node.op_type == "Conv" else len(shape) - 1
    numbers = np.arange(shape[axis], dtype=np.float32)
    numbers = np.broadcast_to(numbers.reshape([-1 if i == axis else 1 for i in range(len(shape))]),
                              shape)  # fmt: skip
    probe = graph.copy()
    probe.constants["sent.numbers"] = np.ascontiguousarray(numbers)
    for node in probe.nodes:
        for i, name in enumerate(node.input):
            if name == source.output:
                node.input[i] = "sent.numbers"
    probe.index()
    got = look(probe, [tensor])[tensor] / source.factor
    return np.rint(got).astype(np.int64) if np.allclose(got, np.rint(got), atol=1e-2) else None


def _negate(graph: OnnxGraph, source: _Source, columns: NDArray[np.int64]) -> None:
    name = str(source.node.input[1])
    axis = channel_axis(source.node)
    weights = graph.constants[name].copy()
    np.moveaxis(weights, axis, 0)[columns] *= -1
    graph.constants[name] = weights
    if source.bias:
        bias = graph.constants[source.bias].copy()
        bias[columns] *= -1
        graph.constants[source.bias] = bias


def _same(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> bool:
    return all(
        np.abs(before[k] - after[k]).max() <= SAME * max(1.0, float(np.abs(before[k]).max()))
        for k in before
    )


def round_softmax(graph: OnnxGraph, look: Look) -> dict[str, int]:
    """Write the rounding to powers of two behind every attention's softmax.

    Returns:
        Softmax node → granularity τ.
    """
    chosen: dict[str, int] = {}
    while left := attentions(graph):  # one that is written is no longer found
        attention = left[0]
        seen = look(graph, [attention.share, attention.values])
        share, values = seen[attention.share], seen[attention.values]
        errors = {t: _loss(share, values, t) for t in GRANULARITIES}
        tau = min(errors, key=lambda t: errors[t])
        chosen[attention.softmax] = tau
        _write_rounding(graph, attention, tau)
    return chosen


def rounded_softmax(share: NDArray[np.float32], tau: int) -> NDArray[np.float32]:
    """What is left of softmax when it is rounded to powers of ``2^(-1/τ)``, 256 of them."""
    power = np.clip(np.rint(-tau * np.log2(np.maximum(share, 1e-30))), 0, LEVELS)
    return np.exp2(-power / tau).astype(np.float32)


def _loss(share: NDArray[np.float32], values: NDArray[np.float32], tau: int) -> float:
    return float(np.square((rounded_softmax(share, tau) - share) @ values).mean())


def _write_rounding(graph: OnnxGraph, attention: Attention, tau: int) -> None:
    make = onnx_package().helper.make_node
    share = attention.share
    step = np.log(2.0) / tau
    numbers = {"least": 1e-30, "up": -1 / step, "zero": 0.0, "levels": LEVELS, "down": -step}
    named = {key: f"{share}.{key}" for key in numbers}
    for key, value in numbers.items():
        graph.constants[named[key]] = np.array(value, np.float32)
    chain = [
        ("Max", [named["least"]]), ("Log", []), ("Mul", [named["up"]]), ("Round", []),
        ("Clip", [named["zero"], named["levels"]]), ("Mul", [named["down"]]), ("Exp", []),
    ]  # fmt: skip
    nodes, last = [], share
    for number, (kind, more) in enumerate(chain):
        made = f"{share}.log{number}"
        nodes.append(make(kind, [last, *more], [made], name=made))
        last = made
    for node in graph.readers[share]:
        for i, name in enumerate(node.input):
            if name == share:
                node.input[i] = last
    at = next(i for i, n in enumerate(graph.nodes) if n.name == attention.softmax) + 1
    graph.replace_nodes([*graph.nodes[:at], *nodes, *graph.nodes[at:]])
