"""Mask frame: between a decoder's coarse logits and the pixels of a picture.

A decoder answers in logits over the whole encoder square, coarser than it (``mask_size``), whose
content rectangle the picture covers; or over a window of the picture. All ways have half-pixel
centres and are plain element-wise arithmetic, so the bytes do not depend on threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Fit
from samovar.grid import Region
from samovar.interpolation import interval_means
from samovar.masks import PixelMask

MASK_LOGIT = 6.0
"""A mask given as a prompt becomes ± this logit: 99.75 % sure, within what decoders answer."""

Window = tuple[float, float, float, float]
"""x0, y0, x1, y1: edges in pixels of a picture, where pixel ``i`` covers ``[i, i + 1)``."""

_SLACK = 1e-9
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
    logits: NDArray[np.float32],
    fit: Fit,
    threshold: float,
    offset: float = 1.0,
    window: Window | None = None,
) -> NDArray[np.float32]:
    """IoU of the masks at ``threshold`` ± ``offset`` over the cells that lie on the picture.

    Args:
        logits: ``(…, h, w)`` in the mask frame, or over ``window``.

    Returns:
        ``(…)`` float32, 0…1; 0 where even the lower threshold finds nothing.
    """
    rows, columns = _layout(fit, (logits.shape[-2], logits.shape[-1]), window)
    inside = logits[..., rows.on_picture(), columns.on_picture()]
    smaller = np.count_nonzero(inside > threshold + offset, axis=(-2, -1))
    larger = np.count_nonzero(inside > threshold - offset, axis=(-2, -1))
    return np.asarray(smaller / np.maximum(larger, 1), dtype=np.float32)


def pixel_mask(
    logits: NDArray[np.float32], fit: Fit, threshold: float = 0.0, window: Window | None = None
) -> PixelMask:
    """Pixels of the picture where the bilinearly interpolated logits exceed ``threshold``.

    Only the region around cells above the threshold is interpolated: nowhere else can a mean of
    four neighbours exceed it. Nothing is clipped to a prompt, filled, smoothed or filtered; pixels
    whose centres lie outside ``window`` are background.

    Args:
        logits: ``(h, w)`` float32 in the mask frame, or over ``window``.
        fit: how the picture lies in the encoder's square.
        window: x0, y0, x1, y1, edges in pixels of the picture.
    """
    hits = logits > threshold
    rows, columns = np.flatnonzero(hits.any(axis=1)), np.flatnonzero(hits.any(axis=0))
    if rows.size == 0:
        return _NOTHING
    down, across = _layout(fit, (logits.shape[0], logits.shape[1]), window)
    y = _Span(down, int(rows[0]), int(rows[-1]))
    x = _Span(across, int(columns[0]), int(columns[-1]))
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


@dataclass(frozen=True)
class _Axis:
    """How cells lie along one axis of a picture."""

    cells: int
    pixels: int
    """Of the picture."""
    scale: float
    """Cells a pixel."""
    origin: float = 0.0
    """Edge of the first cell, in pixels."""

    def on_picture(self) -> slice:
        """Cells whose centres lie on the picture; at least one when there are cells."""
        start = max(0, math.ceil(-self.origin * self.scale - 0.5 - _SLACK))
        stop = max(1, math.ceil((self.pixels - self.origin) * self.scale - 0.5 - _SLACK))
        return slice(min(start, self.cells - 1), min(stop, self.cells))


def _layout(fit: Fit, cells: tuple[int, int], window: Window | None) -> tuple[_Axis, _Axis]:
    """Rows and columns of logits over the mask frame, or over a window of the picture."""
    rows, columns = fit.picture
    if window is None:
        height, width = content_extent(fit, cells)
        return _Axis(cells[0], rows, height / rows), _Axis(cells[1], columns, width / columns)
    x0, y0, x1, y1 = window
    return (
        _Axis(cells[0], rows, cells[0] / (y1 - y0), y0),
        _Axis(cells[1], columns, cells[1] / (x1 - x0), x0),
    )


class _Span:
    """Pixels whose interpolation touches cells ``first … last``, and the two cells of each."""

    def __init__(self, axis: _Axis, first: int, last: int) -> None:
        scale, origin, cells = axis.scale, axis.origin, axis.cells
        # at the border cells' outer halves their own value counts, up to the edge and no further
        low = first - 0.5 if first > 0 else 0.0
        high = last + 1.5 if last < cells - 1 else cells
        start = math.ceil(origin + low / scale - 0.5 - _SLACK)
        stop = math.floor(origin + high / scale - 0.5 + _SLACK) + 1
        if last == cells - 1:  # a pixel centred on the far edge belongs to the next window
            stop = math.ceil(origin + high / scale - 0.5 - _SLACK)
        self.start = min(max(0, start), axis.pixels)
        pixels = np.arange(self.start, max(self.start, min(axis.pixels, stop)), dtype=np.float64)
        at = np.clip((pixels + 0.5 - origin) * scale - 0.5, 0.0, cells - 1.0)
        self.low = np.floor(at).astype(np.intp)
        self.high = np.minimum(self.low + 1, cells - 1)
        self.part = (at - self.low).astype(np.float32)


def project(
    logits: NDArray[np.float32],
    fit: Fit,
    window: Window | None,
    into: Window | None,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Logits over one part of a picture → over another, ``size`` float32.

    Each cell takes the mean over its footprint of the bilinear interpolation; where ``window``
    says nothing, ``-MASK_LOGIT`` counts.

    Args:
        logits: ``(h, w)`` over ``window``, or over the mask frame where that is None.
        into: a window of the picture, or None for the mask frame.
    """
    theirs = _layout(fit, (logits.shape[0], logits.shape[1]), window)
    ours = _layout(fit, size, into)
    (down, rows), (across, columns) = (_shares(*pair) for pair in zip(theirs, ours, strict=True))
    # einsum adds in one order, whatever the number of threads
    tall = np.einsum("ij,jk->ik", down, logits.astype(np.float64))
    values = np.einsum("ik,lk->il", tall, across)
    values -= MASK_LOGIT * (1 - rows[:, None] * columns)
    return np.asarray(values, dtype=np.float32)


def _shares(theirs: _Axis, ours: _Axis) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights ``(ours, theirs)`` of cells in the means over others, and their sums ``(ours,)``."""
    edges = ours.origin + np.arange(ours.cells + 1) / ours.scale
    edges = np.clip((edges - theirs.origin) * theirs.scale, 0.0, theirs.cells)
    wide = theirs.scale / ours.scale  # of our cells in theirs
    centres = np.arange(-1, theirs.cells + 1) + 0.5
    below = _hat_integral(edges[:, None] - centres)  # (ours + 1, theirs + 2)
    weights = np.diff(below, axis=0) / wide
    weights[:, 1] += weights[:, 0]
    weights[:, -2] += weights[:, -1]
    return weights[:, 1:-1], np.diff(edges) / wide


def _hat_integral(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral up to ``at`` of the triangle of height 1 over -1…1."""
    inner = np.clip(at, -1.0, 1.0)
    return np.where(inner < 0, (inner + 1) ** 2 / 2, 1 - (1 - inner) ** 2 / 2)


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
