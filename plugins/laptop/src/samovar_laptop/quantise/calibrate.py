"""Calibration: what values every rounded tensor takes while the graph runs on samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_laptop.quantise.graph import OnnxGraph, onnx_package
from samovar_laptop.quantise.places import WEIGHTED, Places, channel_axis, find_places
from samovar_laptop.quantise.prepare import prepared
from samovar_laptop.quantise.ranges import PERCENTILE, Histogram, Scale
from samovar_laptop.quantise.samples import Feeds


class Calibration:
    """One graph in the making: prepared, watched on samples, then its scales are read.

    Args:
        path: the float graph.
        keep: parts of the names of nodes that stay in float.
        threads: of ONNX Runtime.
    """

    def __init__(self, path: Path, keep: tuple[str, ...] = (), threads: int | None = None) -> None:
        self.path, self.keep, self.threads = path, keep, threads
        self.graph = prepared(path)
        self.costs: dict[str, int] = {}
        self._places: Places | None = None
        self._histograms: dict[str, Histogram] = {}
        self._watching: Any = None

    @property
    def places(self) -> Places:
        if self._places is None:
            raise RuntimeError("no sample was seen yet")
        return self._places

    def see(self, feeds: Feeds) -> None:
        """Run the graph once and count what its tensors hold."""
        if self._places is None:
            self.costs = self._count(feeds)
            self._places = find_places(self.graph, self.costs, self.keep)
            measured = dict.fromkeys(self._places.scale_of(t) for t in self._places.tensors)
            self._histograms = {name: Histogram() for name in measured}
            self._watching = watched(self.graph, list(measured), self.threads)
        for name, values in self._watching(feeds).items():
            self._histograms[name].add(values)

    def scales(self, percentile: float = PERCENTILE) -> dict[str, Scale]:
        """Scale of every measured tensor."""
        return {name: h.scale(percentile) for name, h in self._histograms.items()}

    def _count(self, feeds: Feeds) -> dict[str, int]:
        """Multiply-accumulates of every node with constant weights."""
        nodes = [n for n in self.graph.nodes if n.op_type in (*WEIGHTED, "ConvTranspose")]
        nodes = [n for n in nodes if n.input[1] in self.graph.constants]
        looked = [n.input[0] if n.op_type == "ConvTranspose" else n.output[0] for n in nodes]
        made = watched(self.graph, looked, self.threads)(feeds)
        costs = {}
        for node in nodes:
            weights = self.graph.constants[node.input[1]]
            if node.op_type == "ConvTranspose":  # weights (in, out / group, rows, columns)
                costs[node.name] = made[node.input[0]].size * weights.size // len(weights)
            else:
                size = made[node.output[0]].size
                costs[node.name] = size * weights.size // weights.shape[channel_axis(node)]
        return costs


def watched(graph: OnnxGraph, tensors: list[str], threads: int | None) -> Any:
    """A function from feeds to the values of tensors, graph inputs among them."""
    import onnxruntime as ort

    onnx = onnx_package()
    model = onnx.ModelProto()
    model.CopyFrom(graph.proto())
    own = {o.name for o in model.graph.output}
    for name in dict.fromkeys(tensors):
        if name not in own and name not in graph.inputs:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = {i.name: i.type for i in session.get_inputs()}
    made = [t for t in dict.fromkeys(tensors) if t not in graph.inputs]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = {name: _typed(feeds[name], kind) for name, kind in kinds.items()}
        values = dict(zip(made, session.run(made, given), strict=True)) if made else {}
        values |= {t: np.asarray(feeds[t]) for t in tensors if t in graph.inputs}
        return values

    return run


def _typed(array: NDArray[Any], kind: str) -> NDArray[Any]:
    from samovar_laptop.onnx_runtime import DTYPES

    return np.ascontiguousarray(array, dtype=DTYPES.get(kind))
