"""Mask frame: between a decoder's coarse logits and the pixels of a picture.

A decoder answers in logits over the whole encoder square, coarser than it (``mask_size``). The
picture covers the square's content rectangle. Both directions have half-pixel centres and are
plain element-wise arithmetic, so the bytes do not depend on threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Fit
from samovar.grid import Region
from samovar.interpolation import interval_means
from samovar.masks import PixelMask

MASK_LOGIT = 6.0
"""A mask given as a prompt becomes ± this logit: 99.75 % sure, within what decoders answer."""

_BLOCK = 1 << 20  # pixels interpolated at a time

_NOTHING = PixelMask(Region((0, 0), (0, 0)), np.zeros((0, 0), dtype=bool))


def content_extent(fit: Fit, mask_size: tuple[int, int]) -> tuple[float, float]:
    """Rows and columns of the mask frame that the picture covers, from its upper left corner."""
    return (
        fit.content[0] / fit.encode[0] * mask_size[0],
        fit.content[1] / fit.encode[1] * mask_size[1],
    )


def content_cells(fit: Fit, mask_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of mask cells whose centres lie on the picture, at least 1."""
    rows, columns = content_extent(fit, mask_size)
    return max(1, int(np.ceil(rows - 0.5))), max(1, int(np.ceil(columns - 0.5)))


def stability(
    logits: NDArray[np.float32], fit: Fit, threshold: float, offset: float = 1.0
) -> NDArray[np.float32]:
    """IoU of the masks at ``threshold`` ± ``offset`` over the picture's cells.

    Args:
        logits: ``(…, h, w)`` in the mask frame.

    Returns:
        ``(…)`` float32, 0…1; 0 where even the lower threshold finds nothing.
    """
    rows, columns = content_cells(fit, (logits.shape[-2], logits.shape[-1]))
    inside = logits[..., :rows, :columns]
    smaller = np.count_nonzero(inside > threshold + offset, axis=(-2, -1))
    larger = np.count_nonzero(inside > threshold - offset, axis=(-2, -1))
    return np.asarray(smaller / np.maximum(larger, 1), dtype=np.float32)


def pixel_mask(logits: NDArray[np.float32], fit: Fit, threshold: float = 0.0) -> PixelMask:
    """Pixels of the picture where the bilinearly interpolated logits exceed ``threshold``.

    Only the region around cells above the threshold is interpolated: nowhere else can a mean of
    four neighbours exceed it. Nothing is clipped to a prompt, filled, smoothed or filtered.

    Args:
        logits: ``(h, w)`` float32 in the mask frame.
        fit: how the picture lies in the encoder's square.
    """
    hits = logits > threshold
    rows, columns = np.flatnonzero(hits.any(axis=1)), np.flatnonzero(hits.any(axis=0))
    if rows.size == 0:
        return _NOTHING
    height, width = content_extent(fit, (logits.shape[0], logits.shape[1]))
    y = _span(int(rows[0]), int(rows[-1]), fit.picture[0], height, logits.shape[0])
    x = _span(int(columns[0]), int(columns[-1]), fit.picture[1], width, logits.shape[1])
    if len(y.low) == 0 or len(x.low) == 0:
        return _NOTHING
    inside = np.empty((len(y.low), len(x.low)), dtype=bool)
    step = max(1, _BLOCK // len(x.low))
    for start in range(0, len(y.low), step):
        part = slice(start, start + step)
        fy = y.part[part, None]
        band = logits[y.low[part]] * (1 - fy) + logits[y.high[part]] * fy  # (step, w)
        values = band[:, x.low] * (1 - x.part) + band[:, x.high] * x.part
        inside[part] = values > threshold
    return PixelMask.of(inside, (y.start, x.start))


class _Span:
    """Pixels along one axis and the two cells that each lies between."""

    def __init__(self, start: int, at: NDArray[np.float64], cells: int) -> None:
        self.start = start
        at = np.clip(at, 0.0, cells - 1.0)
        self.low = np.floor(at).astype(np.intp)
        self.high = np.minimum(self.low + 1, cells - 1)
        self.part = (at - self.low).astype(np.float32)


def _span(first: int, last: int, pixels: int, extent: float, cells: int) -> _Span:
    """Pixels whose interpolation touches cells ``first … last``.

    ``extent`` cells hold ``pixels`` pixels.
    """
    scale = extent / pixels  # cells a pixel
    start = 0 if first == 0 else max(0, int(np.floor((first - 0.5) / scale - 0.5)))
    stop = pixels if last == cells - 1 else min(pixels, int(np.ceil((last + 1.5) / scale + 0.5)))
    at = (np.arange(start, max(start, stop), dtype=np.float64) + 0.5) * scale - 0.5
    return _Span(start, at, cells)


def mask_logits(
    mask: NDArray[np.bool_] | NDArray[np.float32], fit: Fit, mask_size: tuple[int, int]
) -> NDArray[np.float32]:
    """A mask over the picture → ``(h, w)`` float32 logits in the mask frame.

    Each cell takes the exact mean over its footprint. True and False count as ±``MASK_LOGIT``, so
    that a half-covered cell gets 0; floating values are taken as logits. Cells outside the
    picture get ``-MASK_LOGIT``.

    Args:
        mask: ``(rows, columns)`` of the picture.
    """
    values = mask if mask.dtype != np.bool_ else np.where(mask, MASK_LOGIT, -MASK_LOGIT)
    logits = np.full(mask_size, -MASK_LOGIT, dtype=np.float32)
    height, width = content_extent(fit, mask_size)
    tall = interval_means(values, _edges(height, mask.shape[0]), 0)
    means = interval_means(tall, _edges(width, mask.shape[1]), 1)
    logits[: means.shape[0], : means.shape[1]] = means
    return logits


def _edges(extent: float, pixels: int) -> NDArray[np.float64]:
    """Where cells begin and end, in pixels; the last one may be cut by the picture's border."""
    cells = np.arange(int(np.ceil(extent - 1e-9)) + 1, dtype=np.float64)
    return np.minimum(cells * (pixels / extent), pixels)
