"""Grey levels: scaling pictures of whole grey levels, to the level as the field's libraries do it.

Most models were trained on pictures that a library scaled in 8 bits, and these round in ways of
their own. Each rule here gives the very levels of one library: Pillow (antialiased), torch
(``bilinear``), OpenCV (``area``, ``nearest``), scikit-image (``spline-cubic``). Planes are
``(channels, rows, columns)`` uint8, sizes rows, columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

Planes = NDArray[np.uint8]
Size = tuple[int, int]


def to_levels(planes: NDArray[np.floating[Any]]) -> Planes:
    """The nearest whole levels 0…255."""
    return np.asarray(np.clip(np.rint(planes), 0, 255), dtype=np.uint8)


def pillow_bilinear(planes: Planes, size: Size) -> Planes:
    """Pillow's BILINEAR, whose kernel widens when it shrinks."""
    return _pillow(planes, size, PillowImage.Resampling.BILINEAR)


def pillow_bicubic(planes: Planes, size: Size) -> Planes:
    """Pillow's BICUBIC, whose kernel widens when it shrinks."""
    return _pillow(planes, size, PillowImage.Resampling.BICUBIC)


def _pillow(planes: Planes, size: Size, rule: PillowImage.Resampling) -> Planes:
    made = [PillowImage.fromarray(plane).resize(size[::-1], rule) for plane in planes]
    return np.stack([np.asarray(plane) for plane in made])


def nearest(planes: NDArray[Any], size: Size) -> NDArray[Any]:
    """OpenCV's INTER_NEAREST: sample ``i`` is pixel ``floor(i · n/m)``, without the half pixel."""
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * (old / new)).astype(np.intp), old - 1)
        for new, old in zip(size, planes.shape[1:], strict=True)
    )
    return planes[:, rows][:, :, columns]


def torch_bilinear(planes: Planes, size: Size) -> Planes:
    """``F.interpolate`` of a uint8 tensor: weights of 16 bits, rounded between the two passes."""
    out = planes.astype(np.int64)
    for axis, new in ((2, size[1]), (1, size[0])):
        if new == planes.shape[axis]:
            continue
        lower, part = two_taps(new, planes.shape[axis])
        largest = max(part.max(), (1 - part).max())
        bits = 0  # as many as keep the largest weight within a signed 16-bit integer
        while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < (1 << 15):
            bits += 1
        weights = [np.floor(0.5 + w * (1 << bits)).astype(np.int64) for w in (1 - part, part)]
        out = (_weighted(out, axis, lower, *weights) + (1 << (bits - 1))) >> bits
        out = np.clip(out, 0, 255)
    return out.astype(np.uint8)


def opencv_area(planes: Planes, size: Size) -> Planes:
    """OpenCV's INTER_AREA: means over footprints; enlarging, its linear variant."""
    rows, columns = planes.shape[1:]
    if size[0] > rows or size[1] > columns:
        return _area_enlarged(planes, size)
    down, across = _overlaps(size[0], rows), _overlaps(size[1], columns)
    # one plane after the other, as products of float32 matrices
    made = [np.matmul(down, np.matmul(plane.astype(np.float32), across.T)) for plane in planes]
    return to_levels(np.stack(made))


def _overlaps(size: int, old: int) -> NDArray[np.float32]:
    """Share of each source cell in each target cell, ``(size, old)``."""
    scale = old / size
    edges, cells = np.arange(size + 1) * scale, np.arange(old)
    above = np.minimum(edges[1:, None], cells[None] + 1)
    shared = above - np.maximum(edges[:-1, None], cells[None])
    return (np.where(shared > 1e-3, shared, 0) / scale).astype(np.float32)


def _area_enlarged(planes: Planes, size: Size) -> Planes:
    out, one = planes.astype(np.int64), 1 << 11
    for axis, new in ((2, size[1]), (1, size[0])):
        old, target = planes.shape[axis], np.arange(new)
        lower = np.floor(target * (old / new)).astype(np.int64)
        part = (target + 1) - (lower + 1) * (new / old)
        part = np.where(part <= 0, 0.0, part - np.floor(part))
        part = np.where(lower >= old - 1, 0.0, part)
        second = np.rint(part * one).astype(np.int64)
        out = _weighted(out, axis, np.minimum(lower, old - 1), one - second, second)
    return np.asarray(np.clip((out + (1 << 21)) >> 22, 0, 255), dtype=np.uint8)


def spline_cubic(planes: NDArray[Any], size: Size) -> NDArray[np.float64]:
    """scikit-image's cubic spline with a Gaussian before shrinking; float64, not rounded."""
    from scipy import ndimage

    values = planes.astype(np.float64)
    factors = np.array([1.0, *(old / new for old, new in zip(planes.shape[1:], size, strict=True))])
    sigma = np.maximum(0, (factors - 1) / 2)
    smooth = ndimage.gaussian_filter(values, sigma, mode="mirror") if sigma.any() else values
    zoomed = ndimage.zoom(smooth, 1 / factors, order=3, mode="mirror", grid_mode=True)
    return np.asarray(np.clip(zoomed, values.min(), values.max()))


def _truncated_spline(planes: Planes, size: Size) -> Planes:
    return spline_cubic(planes, size).astype(np.uint8)


def two_taps(
    size: int, old: int, dtype: type[np.floating[Any]] = np.float64
) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Lower source index and fraction towards the next, clamped at the edges."""
    scale = dtype(old) / dtype(size)
    position = np.maximum((np.arange(size, dtype=dtype) + dtype(0.5)) * scale - dtype(0.5), 0)
    lower = np.minimum(np.floor(position).astype(np.int64), old - 1)
    return lower, np.where(lower >= old - 1, 0.0, position - lower)


def _weighted(
    planes: NDArray[np.int64],
    axis: int,
    lower: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.int64]:
    shape = [-1 if a == axis else 1 for a in range(3)]
    upper = np.minimum(lower + 1, planes.shape[axis] - 1)
    near, far = np.take(planes, lower, axis), np.take(planes, upper, axis)
    return np.asarray(near * first.reshape(shape) + far * second.reshape(shape))


RULES: dict[str, Callable[[Planes, Size], Planes]] = {
    "bilinear-antialias": pillow_bilinear,
    "bicubic-antialias": pillow_bicubic,
    "bilinear": torch_bilinear,
    "area": opencv_area,
    "nearest": nearest,
    "spline-cubic": _truncated_spline,
}
"""By the name of the interpolation that they are in whole levels."""
