"""Suppression of masks that say the same thing twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region
from samovar.masks import PixelMask


def box_iou(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pairwise IoU of ``(n, 4)`` boxes ``x0, y0, x1, y1`` → ``(n, n)``."""
    b = np.asarray(boxes, dtype=np.float64)
    low = np.maximum(b[:, None, :2], b[None, :, :2])
    high = np.minimum(b[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area = (b[:, 2:] - b[:, :2]).prod(axis=1)
    union = area[:, None] + area[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def overlap(a: PixelMask, b: PixelMask, within: Region | None = None) -> tuple[int, int]:
    """Pixels of intersection and of union of two masks, counted inside ``within`` if given."""
    if within is not None:
        a, b = crop(a, within), crop(b, within)
    common = a.region.intersect(b.region)
    both = 0
    if not common.empty:
        both = int(
            np.count_nonzero(
                a.inside[common.within(a.region)] & b.inside[common.within(b.region)]
            )
        )
    return both, int(np.count_nonzero(a.inside)) + int(np.count_nonzero(b.inside)) - both


def crop(mask: PixelMask, region: Region) -> PixelMask:
    """The part of a mask that lies in ``region``."""
    common = mask.region.intersect(region)
    return PixelMask(common, mask.inside[common.within(mask.region)])


def suppress(
    masks: Sequence[PixelMask], scores: NDArray[np.floating], threshold: float = 0.7
) -> list[int]:
    """Greedy non-maximum suppression by mask IoU.

    Args:
        masks: 2-D masks in one frame.
        scores: ``(n,)``; ties go to the earlier mask.
        threshold: a mask that overlaps a better one by more than this IoU is dropped.

    Returns:
        Positions that stay, best first. Empty masks never stay.
    """
    order = [int(i) for i in np.argsort(-np.asarray(scores), kind="stable")]
    order = [i for i in order if not masks[i].empty]
    if not order:
        return []
    iou = box_iou(
        np.array([[*m.region.start[::-1], *m.region.stop[::-1]] for m in (masks[i] for i in order)])
    )
    kept: list[int] = []
    for row, i in enumerate(order):
        for other in kept:
            if iou[row, other] == 0:
                continue
            both, union = overlap(masks[i], masks[order[other]])
            if both > threshold * union:
                break
        else:
            kept.append(row)
    return [order[row] for row in kept]
