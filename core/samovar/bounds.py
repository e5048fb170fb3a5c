"""Bounds: boxes around masks, and how well a mask fills a box."""

from __future__ import annotations

import numpy as np

from samovar.masks import PixelMask
from samovar.suppression import box_iou

Box = tuple[float, ...]

MARGIN = 0.06
"""Share of a mask's larger side by which the box grows with which it is asked about again."""


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
