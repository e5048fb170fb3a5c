"""Drift: whether the mask of a slice goes on from that of the slice before it."""

from __future__ import annotations

import numpy as np

from samovar.masks import Masks, PixelMask
from samovar.suppression import overlap

DOUBTFUL = 0.3
"""A slice is asked again whose mask has a lower quality, shares less than this part of the smaller
of it and the mask before, or is GROWN times as large as that."""
GROWN = 3.0


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
