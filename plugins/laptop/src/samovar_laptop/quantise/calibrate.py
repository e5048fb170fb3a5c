"""Calibration: what values every rounded tensor takes while the graph runs on samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.processor import cores
from samovar_laptop.onnx_runtime import DTYPES
from samovar_laptop.quantise.attention import attentions, integrate_bimodal, round_softmax
from samovar_laptop.quantise.graph import OnnxGraph, onnx_package
from samovar_laptop.quantise.places import WEIGHTED, Places, channel_axis, find_places
from samovar_laptop.quantise.prepare import prepared
from samovar_laptop.quantise.ranges import PERCENTILE, Histogram, Scale
from samovar_laptop.quantise.samples import Feeds

MOVED = 64
"""Products in whose time one number is written."""

Run = Callable[[Feeds], dict[str, NDArray[Any]]]


class Calibration:
    """One graph in the making: prepared, watched on samples, then its scales are read.

    Args:
        path: the float graph.
        keep: parts of the names of nodes that stay in float.
        threads: of ONNX Runtime.
        way: of treating attention, one of :data:`samovar_laptop.quantise.attention.WAYS`.
    """

    def __init__(
        self,
        path: Path,
        keep: tuple[str, ...] = (),
        threads: int | None = None,
        way: str = "float",
    ) -> None:
        self.path, self.keep, self.threads, self.way = path, keep, threads, way
        self.graph = prepared(path)
        self.costs: dict[str, int] = {}
        self.places = Places()
        """Known once a sample was seen."""
        self._histograms: dict[str, Histogram] = {}
        self._fixed: dict[str, Scale] = {}
        self._watching: Run | None = None
        self.largest: Feeds = {}
        """The largest that it was fed, with the most objects."""

    def see(self, feeds: Feeds) -> None:
        """Run the graph once and count what its tensors hold."""
        if _size(feeds) > _size(self.largest):
            self.largest = feeds
        if self._watching is None:
            self.costs = self._count(feeds)
            further = self._attention(feeds)
            self.places = find_places(self.graph, self.costs, self.keep, further)
            measured = dict.fromkeys(self.places.scale_of(t) for t in self.places.tensors)
            self._histograms = {name: Histogram() for name in measured}
            self._watching = watched(self.graph, list(measured), self.threads)
        for name, values in self._watching(feeds).items():
            self._histograms[name].add(values)

    def scales(self, percentile: float = PERCENTILE) -> dict[str, Scale]:
        """Scale of every measured tensor."""
        measured = {name: h.scale(percentile) for name, h in self._histograms.items()}
        return measured | self._fixed

    def _attention(self, feeds: Feeds) -> list[str]:
        """Tensors that are rounded for attention's sake; may change the graph."""
        if self.way == "float":
            return []

        def look(graph: OnnxGraph, tensors: list[str]) -> dict[str, NDArray[Any]]:
            return watched(graph, tensors, self.threads)(feeds)

        if self.way == "ptq4sam":
            found = attentions(self.graph)
            integrate_bimodal(self.graph, look)
            round_softmax(self.graph, look)
            return [t for a in found for t in (a.queries, a.keys, a.values)]
        found = attentions(self.graph)
        # a percentile would cut off the few cells that are attended to
        self._fixed = {a.share: Scale.of(0.0, 1.0) for a in found}
        return [t for a in found for t in (a.queries, a.keys, a.share, a.values)]

    def _count(self, feeds: Feeds) -> dict[str, int]:
        """What every node with constant weights costs: its products, and what it reads and writes.

        A depthwise convolution has few products, and yet would break a chain of integer kernels.
        """
        nodes = [n for n in self.graph.nodes if n.op_type in (*WEIGHTED, "ConvTranspose")]
        nodes = [n for n in nodes if n.input[1] in self.graph.constants]
        looked = [t for n in nodes for t in (n.input[0], n.output[0])]
        made = watched(self.graph, looked, self.threads)(feeds)
        costs = {}
        for node in nodes:
            weights = self.graph.constants[node.input[1]]
            size = made[node.output[0]].size
            if node.op_type == "ConvTranspose":  # weights (in, out / group, rows, columns)
                products = made[node.input[0]].size * weights.size // len(weights)
            else:
                products = size * weights.size // weights.shape[channel_axis(node)]
            costs[node.name] = products + MOVED * size
        return costs


def _size(feeds: Feeds) -> int:
    return sum(np.asarray(array).size for array in feeds.values())


def watched(graph: OnnxGraph, tensors: list[str], threads: int | None) -> Run:
    """A function from feeds to the values of tensors, graph inputs among them."""
    model = graph.copy().model
    own = {o.name for o in model.graph.output}
    made = [t for t in dict.fromkeys(tensors) if t not in graph.inputs]
    for name in made:
        if name not in own:
            model.graph.output.append(onnx_package().helper.make_empty_tensor_value_info(name))
    compute = runner(model, threads, made) if made else lambda _: {}

    def run(feeds: Feeds) -> dict[str, NDArray[Any]]:
        return compute(feeds) | {t: np.asarray(feeds[t]) for t in tensors if t in graph.inputs}

    return run


def runner(model: Any, threads: int | None, outputs: list[str] | None = None) -> Run:
    """A function from feeds to outputs of a model in memory; what it does not take is left out."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = {i.name: DTYPES.get(i.type) for i in session.get_inputs()}
    wanted = outputs or [o.name for o in session.get_outputs()]

    def run(feeds: Feeds) -> dict[str, NDArray[Any]]:
        given = {n: np.ascontiguousarray(feeds[n], dtype=kind) for n, kind in kinds.items()}
        return dict(zip(wanted, session.run(wanted, given), strict=True))

    return run
