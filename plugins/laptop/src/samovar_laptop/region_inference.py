"""Inference of a ``decoder_roi``'s rule from its graph: how it lays its windows, by trying it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.errors import BundleError
from samovar.faces import EMBEDDING, PROMPT_INPUTS, WINDOWS, RegionFace
from samovar.protocols import Graph
from samovar.roi import RoiRule
from samovar_laptop.failure import in_one_line

LOGITS = "low_res_masks"
Arrays = Mapping[str, NDArray[Any]]


def infer_rule(graph: Graph, path: Path, record: Bundle, margin: float) -> RoiRule:
    """The rule of a ``decoder_roi``, as its answers to generated embeddings tell.

    A graph that answers the same whatever the window's far corner looks at a fixed square of
    encoder cells (``tokens``); how many is found by changing the embedding beyond some column.
    Otherwise it stretches what the window holds.

    Args:
        graph: the ``decoder_roi``.
        record: the bundle in the making: embedding, taps, prompt frame.
        margin: share of a box's size that is laid around it; no graph can say it.

    Raises:
        BundleError: not a ``decoder_roi``; or its answers do not depend on the embedding.
    """
    try:
        RegionFace(graph, record.taps)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    tried = _Tried(graph, path, record)
    rows, columns = record.preparation.prompt_frame
    half, whole = (0, 0, columns / 2, rows / 2), (0, 0, columns, rows)
    answer = tried.answer(half)
    kinds = ("box", "point", "negative-point")
    if "mask_input" in graph.inputs:
        kinds += ("mask",)
    height, width = answer.shape[-2:]
    if not _same(answer, tried.answer(whole)):
        return RoiRule((height, width), "stretch", margin, prompt_kinds=kinds)
    tokens = tried.columns_seen(half)
    stride = columns // record.embedding_shape[-1]
    return RoiRule((height, width), "tokens", margin, tokens, stride, kinds)


class _Tried:
    """A graph with one generated embedding, and one box to ask about."""

    def __init__(self, graph: Graph, path: Path, record: Bundle) -> None:
        self._graph, self._path, self._record = graph, path, record
        rng = np.random.default_rng(0)
        shapes = {EMBEDDING: record.embedding_shape, **record.taps}
        self._features = {
            name: rng.normal(0, 1, (1, *shape)).astype(np.float32) for name, shape in shapes.items()
        }
        self._columns = record.embedding_shape[-1]

    def answer(self, window: tuple[float, ...], changed_from: int | None = None) -> Any:
        """Logits of a box in the window's near quarter.

        Args:
            changed_from: column of the embedding from which on it is another one.
        """
        features = self._features
        if changed_from is not None:
            features = {n: self._changed(a, changed_from) for n, a in features.items()}
        rows, columns = self._record.preparation.prompt_frame
        box = [[columns / 16, rows / 16], [columns / 8, rows / 8]]
        declared = self._graph.inputs.get("mask_input", ())
        size = [n if isinstance(n, int) and n > 0 else 0 for n in declared[-2:]]
        flags = len(self._graph.inputs.get("has_mask_input", ())) or 2
        offered: Arrays = {
            **features,
            WINDOWS: np.array([window], dtype=np.float32),
            **dict(
                zip(
                    PROMPT_INPUTS,
                    (
                        np.array([box], dtype=np.float32),
                        np.array([[2, 3]], dtype=np.int64),
                        np.zeros((1, 1, *(size if all(size) else self._record.mask_size)), "f4"),
                        np.zeros((1,) * flags, dtype=np.float32),
                    ),
                    strict=True,
                )
            ),
        }
        try:
            return self._graph.run({n: offered[n] for n in self._graph.inputs}, [LOGITS])[LOGITS]
        except Exception as error:
            raise BundleError(
                f"{self._path}: the decoder_roi graph fails on a generated embedding "
                f"({in_one_line(error)}): export it again"
            ) from error

    def columns_seen(self, window: tuple[float, ...]) -> int:
        """How many columns, from the window's first on, the answer depends on."""
        plain = self.answer(window)
        if _same(plain, self.answer(window, changed_from=0)):
            raise BundleError(
                f"{self._path}: the decoder_roi graph answers the same whatever the embedding: "
                "export it again"
            )
        low, high = 0, self._columns  # changed from `low` on it differs, from `high` on not
        while high - low > 1:
            middle = (low + high) // 2
            if _same(plain, self.answer(window, changed_from=middle)):
                high = middle
            else:
                low = middle
        return high

    def _changed(self, array: NDArray[Any], column: int) -> NDArray[Any]:
        out = array.copy()
        out[..., column * array.shape[-1] // self._columns :] += 1.0
        return out


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    scale = max(1.0, float(np.abs(one).max()))
    return one.shape == other.shape and float(np.abs(one - other).max()) <= 1e-5 * scale
