"""Measures of agreement between two masks, and between two lists of masks.

All work on :class:`~samovar.masks.PixelMask`, so that a small object in a large picture costs what
the object costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

from samovar.masks import PixelMask

BOUNDARY_RATIO = 0.02
"""Width of the boundary band as a share of the picture's diagonal (Cheng et al., CVPR 2021)."""


def overlap(a: PixelMask, b: PixelMask) -> int:
    """Count of pixels that both masks hold."""
    common = a.region.intersect(b.region)
    if a.empty or b.empty or common.empty:
        return 0
    both = a.inside[common.within(a.region)] & b.inside[common.within(b.region)]
    return int(both.sum())


def dice(a: PixelMask, b: PixelMask) -> float:
    """``2|A∩B| / (|A|+|B|)``; two empty masks agree (1)."""
    total = int(a.inside.sum()) + int(b.inside.sum())
    return 2.0 * overlap(a, b) / total if total else 1.0


def iou(a: PixelMask, b: PixelMask) -> float:
    """``|A∩B| / |A∪B|``; two empty masks agree (1)."""
    common = overlap(a, b)
    union = int(a.inside.sum()) + int(b.inside.sum()) - common
    return common / union if union else 1.0


def boundary_iou(a: PixelMask, b: PixelMask, shape: tuple[int, ...]) -> float:
    """IoU of the inner boundary bands of both masks (Cheng et al., "Boundary IoU", CVPR 2021).

    The band holds the mask's pixels within 2 % of the diagonal of a picture of ``shape`` (at
    least 1 pixel) from its edge, in chessboard distance.
    """
    width = max(1, round(BOUNDARY_RATIO * float(np.linalg.norm(shape))))
    return iou(_band(a, width), _band(b, width))


def _band(mask: PixelMask, width: int) -> PixelMask:
    if mask.empty:
        return mask
    core = ndimage.minimum_filter(mask.inside, size=2 * width + 1, mode="constant", cval=0)
    return PixelMask(mask.region, mask.inside & ~core)


def surface_dice(a: PixelMask, b: PixelMask, spacing: Sequence[float], tolerance: float) -> float:
    """Normalised surface Dice: the share of both outlines that lies near the other one.

    An outline holds the pixels of a mask that have a neighbour outside it (Nikolov et al.,
    arXiv:1809.04430, on pixels). Two empty masks agree (1).

    Args:
        spacing: of the pixels, in array order.
        tolerance: how far apart is near, in the unit of ``spacing``.
    """
    if a.empty or b.empty:
        return float(a.empty and b.empty)
    region = a.region.union(b.region)
    outlines = []
    for mask in (a, b):
        block = np.zeros([n + 2 for n in region.shape], dtype=bool)
        inner = tuple(slice(s.start + 1, s.stop + 1) for s in mask.region.within(region))
        block[inner] = mask.inside
        outlines.append(block & ~ndimage.binary_erosion(block))
    near = total = 0
    for one, other in (outlines, outlines[::-1]):
        apart = ndimage.distance_transform_edt(~other, sampling=tuple(spacing))[one]
        near += int(np.count_nonzero(apart <= tolerance))
        total += apart.size
    return near / total


def iou_matrix(predicted: Sequence[PixelMask], true: Sequence[PixelMask]) -> NDArray[np.float64]:
    """``(len(predicted), len(true))``."""
    return np.array([[iou(p, t) for t in true] for p in predicted], dtype=np.float64).reshape(
        len(predicted), len(true)
    )


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Area under the ROC curve: how often a positive scores higher than a negative, ties half.

    None where all are positive or none is.
    """
    flags = np.asarray(positive, dtype=bool)
    n, others = int(flags.sum()), int((~flags).sum())
    if n == 0 or others == 0:
        return None
    ranks = rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[flags].sum() - n * (n + 1) / 2) / (n * others))


@dataclass(frozen=True)
class Found:
    """What one picture's predictions found: input of :func:`detection`."""

    scores: tuple[float, ...]
    """One a prediction."""
    hits: tuple[bool, ...]
    """Whether the prediction found a true object that no better scored one had found."""
    truths: int


def match(
    predicted: Sequence[PixelMask],
    scores: Sequence[float],
    true: Sequence[PixelMask],
    threshold: float = 0.5,
) -> Found:
    """Greedy matching, best score first, each true object found once, at an IoU of 0.5 or more."""
    table = iou_matrix(predicted, true)
    free = np.ones(len(true), dtype=bool)
    hits = [False] * len(predicted)
    for i in sorted(range(len(predicted)), key=lambda i: (-scores[i], i)):
        candidates = np.where(free, table[i], -1.0)
        if candidates.size and candidates.max() >= threshold:
            free[int(np.argmax(candidates))] = False
            hits[i] = True
    return Found(tuple(float(s) for s in scores), tuple(hits), len(true))


def detection(found: Sequence[Found]) -> dict[str, float]:
    """AP50 (area under the interpolated precision–recall curve), F1 and counts over pictures.

    Returns ``ap50``, ``f1`` (all predictions kept), ``predicted``, ``true`` and ``count_error``,
    the mean over pictures of the absolute difference of the counts.
    """
    scores = np.array([s for f in found for s in f.scores], dtype=np.float64)
    hits = np.array([h for f in found for h in f.hits], dtype=bool)
    truths = sum(f.truths for f in found)
    differences = [abs(len(f.scores) - f.truths) for f in found]
    return {
        "ap50": _average_precision(scores, hits, truths),
        "f1": 2.0 * float(hits.sum()) / (len(hits) + truths) if len(hits) + truths else 1.0,
        "predicted": len(hits),
        "true": truths,
        "count_error": float(np.mean(differences)) if differences else 0.0,
    }


def _average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_], truths: int) -> float:
    if truths == 0 or hits.size == 0:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    true_positives = np.cumsum(hits[order])
    precision = true_positives / np.arange(1, hits.size + 1)
    recall = true_positives / truths
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((steps * envelope).sum())
