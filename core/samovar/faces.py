"""Faces: the graphs that answer prompts. Two of them (prompt encoder and mask decoder), or one;
and the one that answers over windows alone.

Inputs are fed by name, so a graph without taps, without a mask prompt or with another rank of
``has_mask_input`` works as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Embedding, Fit
from samovar.errors import BundleError, PluginError
from samovar.mask_frame import content_cells, mask_logits
from samovar.protocols import Graph

EMBEDDING = "image_embeddings"
PROMPT_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
WINDOWS = "windows"
LOW_RES, FULL, QUALITY = "low_res_masks", "masks", "iou_predictions"


@dataclass(frozen=True, eq=False)
class Asked:
    """N objects with equally many tokens, ready for a graph."""

    coords: NDArray[np.float32]
    """``(N, P, 2)`` x, y in the prompt frame."""
    labels: NDArray[np.int64]
    """``(N, P)``."""
    masks: NDArray[np.float32]
    """``(N, 1, h, w)`` logits in the mask frame; zeros where there is none."""
    has_mask: NDArray[np.float32]
    """``(N,)`` 1 or 0."""
    sparse: NDArray[np.float32] | None = None
    """``(N, k, channels)`` learned tokens."""
    only_sparse: bool = False
    """Nothing but the learned tokens: leave the padding token out."""
    dense: tuple[NDArray[np.float32] | None, ...] = ()
    """One an object: ``(channels, h, w)`` in place of the mask's."""
    windows: NDArray[np.float32] | None = None
    """``(N, 4)`` x0, y0, x1, y1 in the prompt frame: masks are asked and answered over these."""


class Face(Protocol):
    """Answers batches of prompts."""

    kinds: frozenset[str]
    """What its graphs can be asked."""
    batch: int | None
    """How many objects a call takes; None: any number."""
    tokens: int | None
    """How many tokens an object must have; None: any number."""

    def answer(
        self, embedding: Embedding, asked: Asked
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits ``(N, M, h, w)`` in the mask frame, or over the windows, and predicted IoU."""
        ...


class TwoFaces:
    """``prompt_encoder`` and ``mask_decoder``: takes learned sparse and dense embeddings too.

    Raises:
        BundleError: a graph wants an input, or lacks an output, that no bundle has.
    """

    def __init__(self, prompt_encoder: Graph, mask_decoder: Graph, taps: Mapping[str, Any]) -> None:
        made = ("sparse_embeddings", "dense_embeddings")
        _check("prompt_encoder", prompt_encoder, PROMPT_INPUTS, made)
        _check("mask_decoder", mask_decoder, (EMBEDDING, *taps, *made), (LOW_RES, QUALITY))
        self._prompt_encoder, self._mask_decoder = prompt_encoder, mask_decoder
        self.kinds = _kinds(prompt_encoder) | {"sparse", "dense"}
        self.batch = _batch((prompt_encoder, PROMPT_INPUTS), (mask_decoder, made))
        self.tokens = _fixed(prompt_encoder, "point_coords", 1)

    def answer(
        self, embedding: Embedding, asked: Asked
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        coded = self._prompt_encoder.run(_prompt_feeds(self._prompt_encoder, asked))
        sparse, dense = coded["sparse_embeddings"], coded["dense_embeddings"]
        if asked.only_sparse:
            sparse = sparse[:, :0]
        if asked.sparse is not None:
            sparse = np.concatenate([sparse, asked.sparse], axis=1)
        if any(d is not None for d in asked.dense):
            rows = zip(dense, asked.dense, strict=True)
            dense = np.stack([own if given is None else given for own, given in rows])
        offered: dict[str, NDArray[Any]]
        offered = {**embedding.arrays, "sparse_embeddings": sparse, "dense_embeddings": dense}
        feeds = {name: offered[name] for name in self._mask_decoder.inputs}
        out = self._mask_decoder.run(feeds, [LOW_RES, QUALITY])
        return _answers(out[LOW_RES], out[QUALITY], len(asked.coords))


class ClassicFace:
    """The single graph of SAM's official ONNX export.

    ``image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size`` →
    ``masks, iou_predictions, low_res_masks``. It cannot take learned embeddings. Masks are made
    from ``low_res_masks``; a graph that has only ``masks`` is brought back to the mask frame.
    Taps of the encoder that it asks for by name are given too.

    Raises:
        BundleError: the graph wants an input, or lacks an output, that the export has not.
    """

    def __init__(self, decoder: Graph, mask_size: tuple[int, int], taps: Mapping[str, Any]) -> None:
        self._answers = LOW_RES if LOW_RES in decoder.outputs else FULL
        known = (EMBEDDING, *taps, *PROMPT_INPUTS, "orig_im_size")
        _check("decoder", decoder, known, (self._answers, QUALITY))
        self._decoder, self._mask_size = decoder, mask_size
        self.kinds = _kinds(decoder)
        self.batch = _batch((decoder, PROMPT_INPUTS))
        self.tokens = _fixed(decoder, "point_coords", 1)

    def answer(
        self, embedding: Embedding, asked: Asked
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        offered: dict[str, NDArray[Any]] = {
            **embedding.arrays,
            **_prompt_feeds(self._decoder, asked),
            "orig_im_size": np.array(self._size(embedding.fit), dtype=np.float32),
        }
        feeds = {name: offered[name] for name in self._decoder.inputs}
        out = self._decoder.run(feeds, [self._answers, QUALITY])
        logits = out[self._answers]
        if self._answers == FULL:
            planes = logits.reshape(-1, *logits.shape[-2:])
            small = [mask_logits(p, embedding.fit, self._mask_size) for p in planes]
            logits = np.stack(small).reshape(*logits.shape[:2], *self._mask_size)
        return _answers(logits, out[QUALITY], len(asked.coords))

    def _size(self, fit: Fit) -> tuple[int, int]:
        """What ``masks`` is sized to: a runtime computes it even where nobody asks for it."""
        if self._answers == FULL:
            return fit.picture
        cells = content_cells(fit, self._mask_size)
        return min(fit.picture[0], cells[0]), min(fit.picture[1], cells[1])


class RegionFace:
    """``decoder_roi``: answers over a window around each object's box, not over the whole picture.

    ``image_embeddings``, taps by name, ``windows``, ``point_coords``, ``point_labels``,
    ``mask_input``, ``has_mask_input`` → ``low_res_masks``, ``iou_predictions``.

    Raises:
        BundleError: the graph wants an input, or lacks an output, that no bundle has.
    """

    def __init__(self, decoder: Graph, taps: Mapping[str, Any]) -> None:
        known = (EMBEDDING, *taps, WINDOWS, *PROMPT_INPUTS)
        _check("decoder_roi", decoder, known, (LOW_RES, QUALITY))
        if WINDOWS not in decoder.inputs:
            raise BundleError(f"the decoder_roi graph has no input {WINDOWS}: it cannot know where")
        self._decoder = decoder
        self.kinds = _kinds(decoder)
        self.batch = _batch((decoder, (WINDOWS, *PROMPT_INPUTS)))
        self.tokens = _fixed(decoder, "point_coords", 1)

    def answer(
        self, embedding: Embedding, asked: Asked
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        offered: dict[str, NDArray[Any]] = {
            **embedding.arrays,
            **_prompt_feeds(self._decoder, asked),
        }
        if asked.windows is not None:
            offered[WINDOWS] = asked.windows
        feeds = {name: offered[name] for name in self._decoder.inputs}
        out = self._decoder.run(feeds, [LOW_RES, QUALITY])
        return _answers(out[LOW_RES], out[QUALITY], len(asked.coords))


def _prompt_feeds(graph: Graph, asked: Asked) -> dict[str, NDArray[Any]]:
    """What the graph wants of the prompts, in the rank that it declares."""
    has_mask = asked.has_mask
    if len(graph.inputs.get("has_mask_input", ())) == 2:
        has_mask = has_mask[:, None]
    offered: dict[str, NDArray[Any]] = {
        "point_coords": asked.coords,
        "point_labels": asked.labels,
        "mask_input": asked.masks,
        "has_mask_input": has_mask,
    }
    return {name: array for name, array in offered.items() if name in graph.inputs}


def _kinds(graph: Graph) -> frozenset[str]:
    kinds = {"box", "point", "negative-point"}
    return frozenset(kinds | {"mask"} if "mask_input" in graph.inputs else kinds)


def _fixed(graph: Graph, name: str, axis: int) -> int | None:
    """A declared dimension when it is a number."""
    size = graph.inputs[name][axis] if axis < len(graph.inputs[name]) else None
    return size if isinstance(size, int) and size > 0 else None


def _batch(*sides: tuple[Graph, tuple[str, ...]]) -> int | None:
    """How many objects the graphs take at once: 1, or None for any number."""
    fixed = {_fixed(graph, n, 0) for graph, names in sides for n in names if n in graph.inputs}
    many = sorted(n for n in fixed if n is not None and n > 1)
    if many:
        raise BundleError(
            f"the decoder takes exactly {many[0]} objects a call: "
            "export it for one object, or with a dynamic first axis"
        )
    return 1 if 1 in fixed else None


def _check(role: str, graph: Graph, known: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    strange = [name for name in graph.inputs if name not in known]
    missing = [name for name in wanted if name not in graph.outputs]
    if "point_coords" in known and "point_coords" not in graph.inputs:
        raise BundleError(f"the {role} graph has no input point_coords: export it as SAM's is")
    if strange:
        raise BundleError(
            f"the {role} graph wants {', '.join(strange)}; it can be given {', '.join(known)}"
        )
    if missing:
        raise BundleError(
            f"the {role} graph does not return {', '.join(missing)}; "
            f"it returns {', '.join(graph.outputs)}"
        )


def _answers(
    logits: NDArray[Any], quality: NDArray[Any], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if logits.ndim != 4 or logits.shape[:2] != quality.shape or len(logits) != count:
        raise PluginError(
            f"the decoder was asked about {count} objects and returned masks {logits.shape} with "
            f"qualities {quality.shape}: (N, M, h, w) and (N, M) are expected"
        )
    return logits.astype(np.float32, copy=False), quality.astype(np.float32, copy=False)
