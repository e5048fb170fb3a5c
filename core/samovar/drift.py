"""Drift: whether the mask of a slice goes on from that of the slice before it."""

from __future__ import annotations

import numpy as np

from samovar.masks import Masks, PixelMask
from samovar.suppression import box_iou, overlap

Box = tuple[float, ...]

MARGIN = 0.06
"""Share of the previous mask's larger side by which its box grows for the next slice."""
DOUBTFUL = 0.3
"""A slice is asked again whose mask has a lower quality, shares less than this part of the smaller
of it and the mask before, or is GROWN times as large as that."""
GROWN = 3.0


def fit(mask: PixelMask, box: Box) -> float:
    """IoU of a mask's bounding box with a box."""
    if mask.empty:
        return 0.0
    own = (*mask.region.start[::-1], *mask.region.stop[::-1])
    return float(box_iou(np.array([own, box]))[0, 1])


def grown(start: tuple[float, ...], stop: tuple[float, ...], limit: Box | None) -> Box:
    """Bounds in rows and columns → a box with a margin, inside ``limit``."""
    (y0, x0), (y1, x1) = start, stop
    margin = max(1.0, MARGIN * max(y1 - y0, x1 - x0))
    box = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    if limit is None:
        return box
    low = tuple(max(a, b) for a, b in zip(box[:2], limit[:2], strict=True))
    high = tuple(min(a, b) for a, b in zip(box[2:], limit[2:], strict=True))
    if any(b <= a for a, b in zip(low, high, strict=True)):
        return limit
    return low[0], low[1], high[0], high[1]


def iou(a: PixelMask, b: PixelMask) -> float:
    if a.empty or b.empty:
        return 0.0
    both, union = overlap(a, b)
    return both / max(1, union)


def doubtful(before: PixelMask, masks: Masks, row: int) -> bool:
    """Whether a mask is hardly the next cross-section of the object that was there before."""
    mask = masks.masks[row]
    if mask.empty or masks.quality[row] < DOUBTFUL:
        return True
    areas = np.count_nonzero(before.inside), np.count_nonzero(mask.inside)
    both, _ = overlap(before, mask)
    return bool(both < DOUBTFUL * min(areas) or areas[1] > GROWN * areas[0] + 50)


def better(
    before: PixelMask, first: tuple[Masks, int], second: tuple[Masks, int]
) -> tuple[Masks, int]:
    """The first answer if it goes on; the second if that does; of two that jump the surer."""
    if not doubtful(before, *first):
        return first
    if not doubtful(before, *second):
        return second
    sure = [float(m.quality[i] * m.stability[i]) for m, i in (first, second)]
    return second if sure[1] > sure[0] and not second[0].masks[second[1]].empty else first
