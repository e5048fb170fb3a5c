"""Graphs in numpy with the interfaces that bundles have, which remember what they were fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from samovar.bundle import Bundle
from samovar.embedding import Embedding, Fit
from samovar.protocols import RuntimeInfo
from samovar.resize import Preparation

Shapes = Mapping[str, tuple[int | str | None, ...]]

INFO = RuntimeInfo("fake", "1", "cpu", "fp32", 1, "none")
CELLS = 16
"""Rows and columns of the fake mask frame."""


class FakeGraph:
    """Base: declares inputs and outputs, records feeds."""

    inputs: ClassVar[Shapes] = {}
    outputs: ClassVar[Shapes] = {}
    info = INFO

    def __init__(self, **changes: Any) -> None:
        self.calls: list[dict[str, Any]] = []
        vars(self).update(changes)

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        assert set(feeds) == set(self.inputs)
        self.calls.append(dict(feeds))
        made = self.compute(feeds)
        return {name: made[name] for name in (outputs or made)}

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class FakePromptEncoder(FakeGraph):
    """Sparse tokens are ``x, y, label``; the dense embedding is the mask prompt's mean."""

    inputs: ClassVar[Shapes] = {
        "point_coords": ("n", "p", 2),
        "point_labels": ("n", "p"),
        "mask_input": ("n", 1, CELLS, CELLS),
        "has_mask_input": ("n", 1),
    }
    outputs: ClassVar[Shapes] = {
        "sparse_embeddings": ("n", "p", 3),
        "dense_embeddings": ("n", 1, 2, 2),
    }

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        labels = feeds["point_labels"][..., None].astype(np.float32)
        sparse = np.concatenate([feeds["point_coords"], labels], axis=-1)
        mean = feeds["mask_input"].mean(axis=(1, 2, 3)).reshape(-1, 1, 1, 1)
        return {
            "sparse_embeddings": sparse.astype(np.float32),
            "dense_embeddings": np.broadcast_to(mean, (len(mean), 1, 2, 2)).astype(np.float32),
        }


class FakeMaskDecoder(FakeGraph):
    """Answers M masks: the m-th is positive in the rows above ``m + 2``."""

    inputs: ClassVar[Shapes] = {
        "image_embeddings": (1, 1, 2, 2),
        "features_s8": (1, 1, 4, 4),
        "sparse_embeddings": ("n", "k", 3),
        "dense_embeddings": ("n", 1, 2, 2),
    }
    outputs: ClassVar[Shapes] = {
        "low_res_masks": ("n", 4, CELLS, CELLS),
        "iou_predictions": ("n", 4),
    }
    quality = (0.4, 0.9, 0.3, 1.2)
    slope = (1.0, 1.0, 9.0, 1.0)

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        count = len(feeds["sparse_embeddings"])
        rows = np.arange(CELLS)[None, :, None] + 0.5
        edges = np.arange(len(self.quality))[:, None, None] + 2
        logits = (edges - rows) * np.array(self.slope)[:, None, None] * np.ones((1, 1, CELLS))
        return {
            "low_res_masks": np.repeat(logits[None], count, axis=0).astype(np.float32),
            "iou_predictions": np.tile(np.array(self.quality, dtype=np.float32), (count, 1)),
        }


class FakeClassicDecoder(FakeGraph):
    """The interface of SAM's official export; the first answer is the upper ``x`` rows."""

    inputs: ClassVar[Shapes] = {
        "image_embeddings": (1, 1, 2, 2),
        "point_coords": (1, "num_points", 2),
        "point_labels": (1, "num_points"),
        "mask_input": (1, 1, CELLS, CELLS),
        "has_mask_input": (1,),
        "orig_im_size": (2,),
    }
    outputs: ClassVar[Shapes] = {
        "masks": (None, None, None, None),
        "iou_predictions": (None, 1),
        "low_res_masks": (None, 1, None, None),
    }

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        edge = float(feeds["point_coords"][0, 0, 0])
        rows = np.arange(CELLS, dtype=np.float32)[:, None] + 0.5
        low = np.broadcast_to(edge - rows, (1, 1, CELLS, CELLS)).astype(np.float32)
        height, width = (int(n) for n in feeds["orig_im_size"])
        tall = np.arange(height, dtype=np.float32)[:, None] + 0.5
        big = np.broadcast_to(edge * height / CELLS - tall, (1, 1, height, width))
        return {
            "masks": big.astype(np.float32),
            "iou_predictions": np.full((1, 1), 0.8, dtype=np.float32),
            "low_res_masks": low,
        }


def bundle(**changes: Any) -> Bundle:
    """A bundle of a 64 × 64 encoder with a mask frame of ``CELLS``."""
    fields: dict[str, Any] = {
        "name": "fake",
        "version": "1",
        "roles": {"encoder": "e.onnx", "prompt_encoder": "p.onnx", "mask_decoder": "m.onnx"},
        "files": {},
        "preparation": Preparation((64, 64), (128, 128), "continuous"),
        "embedding_shape": (1, 2, 2),
        "mask_size": (CELLS, CELLS),
        "taps": {"features_s8": (1, 4, 4)},
        "prompt_kinds": ("box", "point", "negative-point", "mask"),
    }
    return Bundle(**{**fields, **changes})


def embedding(
    picture: tuple[int, int] = (64, 64), content: tuple[int, int] = (64, 64)
) -> Embedding:
    """Read-only arrays, so that writing into them would raise."""
    arrays = {
        "image_embeddings": np.zeros((1, 1, 2, 2), dtype=np.float32),
        "features_s8": np.zeros((1, 1, 4, 4), dtype=np.float32),
    }
    for array in arrays.values():
        array.setflags(write=False)
    return Embedding(arrays, Fit(picture, content, (64, 64), (128, 128)), "fake@0")
