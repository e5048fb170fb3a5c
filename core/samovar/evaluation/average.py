"""Averages over thresholds: mask AP by size and AR by number of proposals, as COCO defines them.

Lin et al., "Microsoft COCO", ECCV 2014: IoU thresholds 0.5 … 0.95, precision at 101 recalls,
best-scored predictions first, each object found once; objects outside a size range, and crowds,
count neither way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.evaluation.metrics import iou, overlap
from samovar.masks import PixelMask

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
SIZES = {
    "all": (0, 1 << 60),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1 << 60),
}
"""Areas in pixels: from, below."""
MOST = 100
"""Predictions of one class a picture that count for AP."""
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Predicted:
    mask: PixelMask
    score: float
    class_id: int = 0


@dataclass(frozen=True, eq=False)
class Truth:
    """A true object; crowds are there to be ignored."""

    mask: PixelMask
    class_id: int = 0
    crowd: bool = False


Pictures = Sequence[tuple[Sequence[Predicted], Sequence[Truth]]]


def average_precision(pictures: Pictures) -> dict[str, float | None]:
    """``ap``, ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large``: means over classes.

    None where there is no object of that size.
    """
    classes = sorted({t.class_id for _, true in pictures for t in true})
    parts = [[_of_class(*p, wanted) for p in pictures] for wanted in classes]
    found: dict[str, float | None] = {}
    for name, limits in SIZES.items():
        tables = [t for own in parts if (t := _precisions(own, limits)) is not None]
        table = np.array(tables) if tables else None  # (classes, thresholds)
        found["ap" if name == "all" else f"ap_{name}"] = (
            None if table is None else float(table.mean())
        )
        if name == "all":
            for threshold in (0.5, 0.75):
                column = THRESHOLDS.index(threshold)
                key = f"ap{round(100 * threshold)}"
                found[key] = None if table is None else float(table[:, column].mean())
    return found


def average_recall(pictures: Pictures, most: Sequence[int] = (10, 100, 1000)) -> dict[str, float]:
    """``ar10``, ``ar100``, ``ar1000``: share of objects found, over thresholds, classes aside."""
    tables = []
    for predicted, true in pictures:
        ordered = sorted(predicted, key=lambda p: -p.score)
        kept = [t for t in true if not t.crowd]
        tables.append(np.array([[iou(p.mask, t.mask) for t in kept] for p in ordered]).reshape(
            len(ordered), len(kept)
        ))  # fmt: skip
    total = sum(table.shape[1] for table in tables)
    return {
        f"ar{k}": float(
            np.mean([sum(_matched(t[:k], at) for t in tables) / total for at in THRESHOLDS])
        )
        if total
        else 0.0
        for k in most
    }


def _matched(table: NDArray[np.float64], threshold: float) -> int:
    """Objects found by predictions in their order, each by one."""
    free = np.ones(table.shape[1], dtype=bool)
    for row in table:
        candidates = np.where(free, row, -1.0)
        if candidates.size and candidates.max() >= threshold:
            free[int(np.argmax(candidates))] = False
    return int((~free).sum())


@dataclass(frozen=True, eq=False)
class _Picture:
    """One class in one picture: predictions best first, and how they overlap the objects."""

    scores: tuple[float, ...]
    areas: NDArray[np.int64]
    table: NDArray[np.float64]
    true_areas: NDArray[np.int64]
    crowds: NDArray[np.bool_]


def _of_class(predicted: Sequence[Predicted], true: Sequence[Truth], wanted: int) -> _Picture:
    own = sorted((p for p in predicted if p.class_id == wanted), key=lambda p: -p.score)[:MOST]
    objects = [t for t in true if t.class_id == wanted]
    table = [[_overlap(p.mask, t) for t in objects] for p in own]
    return _Picture(
        tuple(p.score for p in own),
        np.array([p.mask.inside.sum() for p in own], dtype=np.int64),
        np.array(table, dtype=np.float64).reshape(len(own), len(objects)),
        np.array([t.mask.inside.sum() for t in objects], dtype=np.int64),
        np.array([t.crowd for t in objects], dtype=bool),
    )


def _overlap(mask: PixelMask, true: Truth) -> float:
    """IoU; with a crowd the share of the prediction that lies in it."""
    if not true.crowd:
        return iou(mask, true.mask)
    area = int(mask.inside.sum())
    return overlap(mask, true.mask) / area if area else 0.0


def _precisions(pictures: Sequence[_Picture], limits: tuple[int, int]) -> list[float] | None:
    """Average precision of one class at each threshold; None without an object of that size."""
    ignored = [
        p.crowds | (p.true_areas < limits[0]) | (p.true_areas >= limits[1]) for p in pictures
    ]
    total = sum(int((~i).sum()) for i in ignored)
    if not total:
        return None
    return [_at(pictures, ignored, limits, threshold, total) for threshold in THRESHOLDS]


def _at(
    pictures: Sequence[_Picture],
    ignored: Sequence[NDArray[np.bool_]],
    limits: tuple[int, int],
    threshold: float,
    total: int,
) -> float:
    scores: list[float] = []
    hits: list[bool] = []
    for picture, skip in zip(pictures, ignored, strict=True):
        free = np.ones(len(skip), dtype=bool)
        for row, score in enumerate(picture.scores):
            own = picture.table[row]
            for pool in (free & ~skip, (free | picture.crowds) & skip):
                candidates = np.where(pool, own, -1.0)
                if candidates.size and candidates.max() >= threshold:
                    best = int(np.argmax(candidates))
                    free[best] = False
                    if not skip[best]:
                        scores.append(score)
                        hits.append(True)
                    break
            else:
                if limits[0] <= picture.areas[row] < limits[1]:
                    scores.append(score)
                    hits.append(False)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits, dtype=float)[order]) if hits else np.zeros(0)
    recall, precision = right / total, right / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    padded = np.append(envelope, 0.0)
    return float(padded[np.minimum(at, len(envelope))].mean())
