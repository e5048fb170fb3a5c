"""Interpolation: named rules for scaling planes, identical on every machine with the same numpy.

All rules but ``nearest`` have half-pixel centres: sample ``i`` of ``m`` lies at
``(i + ½) n/m - ½`` of ``n``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from samovar import grey_levels

Interpolation = Literal[
    "bilinear-antialias",
    "bilinear",
    "area",
    "bicubic",
    "bicubic-antialias",
    "nearest",
    "spline-cubic",
]

_PILLOW = {
    "bilinear-antialias": PillowImage.Resampling.BILINEAR,
    "bicubic-antialias": PillowImage.Resampling.BICUBIC,
}
CUBIC = -0.75
"""Sharpness of ``bicubic`` without antialiasing (the value of OpenCV and torch)."""


def resample(
    planes: NDArray[np.float32], size: tuple[int, int], rule: Interpolation
) -> NDArray[np.float32]:
    """``(channels, rows, columns)`` → ``(channels, *size)`` float32, a new array.

    ``bilinear-antialias`` and ``bicubic-antialias`` widen the kernel when they shrink, as Pillow
    does; ``bilinear`` and ``bicubic`` do not, as OpenCV and torch by default; ``area`` is the
    exact mean over each pixel's footprint, in either direction; ``nearest`` takes pixel
    ``floor(i n/m)``, as OpenCV; ``spline-cubic`` is scikit-image's, with its antialiasing.
    """
    if planes.shape[1:] == size:
        return np.array(planes, dtype=np.float32)
    if _grey(planes):
        once = resample(planes[:1], size, rule)
        return np.repeat(once, len(planes), axis=0)
    if rule == "nearest":
        return np.array(grey_levels.nearest(planes, size), dtype=np.float32)
    if rule == "spline-cubic":
        return grey_levels.spline_cubic(planes, size).astype(np.float32)
    if rule in _PILLOW:
        return np.stack([_pillow(plane, size, rule) for plane in planes])
    if rule == "area":
        return area(area(planes, size[0], 1), size[1], 2).astype(np.float32)
    scale = _linear if rule == "bilinear" else _cubic
    return scale(scale(np.asarray(planes, dtype=np.float32), size[0], 1), size[1], 2)


def resample_levels(
    planes: NDArray[np.float32], size: tuple[int, int], rule: Interpolation
) -> NDArray[np.float32]:
    """The same in whole grey levels 0…255, rounded as the library does that scales so.

    See :mod:`samovar.grey_levels`; ``bicubic`` without antialiasing rounds at the end.
    """
    levels = grey_levels.to_levels(planes[:1] if _grey(planes) else planes)
    if levels.shape[1:] != size:
        if rule in grey_levels.RULES:
            levels = grey_levels.RULES[rule](levels, size)
        else:
            levels = grey_levels.to_levels(resample(levels.astype(np.float32), size, rule))
    return np.repeat(levels, len(planes) // len(levels), axis=0).astype(np.float32)


def _grey(planes: NDArray[np.float32]) -> bool:
    """One grey plane, broadcast."""
    return planes.strides[0] == 0 and len(planes) > 1


def area(planes: NDArray[np.generic], size: int, axis: int) -> NDArray[np.float64]:
    """Exact means over ``size`` equal intervals along ``axis``, float64."""
    n = planes.shape[axis]
    edges = np.arange(size + 1) * (n / size)
    return interval_means(planes, edges, axis)


def interval_means(
    planes: NDArray[np.generic], edges: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Means of a piecewise constant signal between consecutive edges along ``axis``.

    Pixel ``i`` covers ``[i, i + 1)``; the edges rise strictly within ``0 … n``.
    """
    values = np.moveaxis(np.asarray(planes, dtype=np.float64), axis, -1)
    n = values.shape[-1]
    total = np.zeros((*values.shape[:-1], n + 1))
    np.cumsum(values, axis=-1, out=total[..., 1:])
    whole = np.minimum(edges.astype(np.intp), n - 1)
    part = np.minimum(edges - whole, 1.0)
    at_edges = total[..., whole] + part * values[..., whole]
    means = np.diff(at_edges, axis=-1) / np.diff(edges)
    return np.moveaxis(means, -1, axis)


def _pillow(
    plane: NDArray[np.float32], size: tuple[int, int], rule: Interpolation
) -> NDArray[np.float32]:
    picture = PillowImage.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.array(picture.resize((size[1], size[0]), _PILLOW[rule]), dtype=np.float32)


def _positions(n: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Whole and fractional part of where each output sample lies."""
    at = (np.arange(size) + 0.5) * (n / size) - 0.5
    whole = np.floor(at)
    return whole.astype(np.intp), (at - whole).astype(np.float32)


def _weighted(
    planes: NDArray[np.float32],
    axis: int,
    taps: list[tuple[NDArray[np.intp], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Sum of neighbours times weights; beyond the border the border's value counts."""
    shape = [1] * planes.ndim
    shape[axis] = -1
    last = planes.shape[axis] - 1
    terms = [
        np.take(planes, np.clip(index, 0, last), axis) * weight.reshape(shape)
        for index, weight in taps
    ]
    return np.asarray(sum(terms[1:], terms[0]), dtype=np.float32)


def _linear(planes: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    whole, part = _positions(planes.shape[axis], size)
    return _weighted(planes, axis, [(whole, np.float32(1) - part), (whole + 1, part)])


def _cubic(planes: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    whole, part = _positions(planes.shape[axis], size)
    taps = [(whole + k, _cubic_weight(np.abs(part - np.float32(k)))) for k in (-1, 0, 1, 2)]
    return _weighted(planes, axis, taps)


def _cubic_weight(d: NDArray[np.float32]) -> NDArray[np.float32]:
    a = CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, far).astype(np.float32)
