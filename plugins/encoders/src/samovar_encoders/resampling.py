"""The resize kernels that upstream predictors use, in numpy and Pillow.

Each reproduces one library's rule to the last grey level where that library rounds, so that a
picture reaches the encoder as it does upstream. All take and return ``(H, W, C)`` arrays and a
``size`` of (rows, columns). Positions are half-pixel centred everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Size = tuple[int, int]


def pillow_bilinear(image: Array, size: Size) -> Array:
    """Pillow's antialiased BILINEAR on uint8 (torchvision's resize of a PIL picture)."""
    from PIL import Image

    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized)


def pillow_bicubic(image: Array, size: Size) -> Array:
    """Pillow's antialiased BICUBIC on uint8."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def nearest(image: Array, size: Size) -> Array:
    """OpenCV's INTER_NEAREST: source index ``floor(i · scale)``, no half-pixel."""
    rows, cols = (
        np.minimum(np.floor(np.arange(n) * (old / n)).astype(np.int64), old - 1)
        for n, old in zip(size, image.shape[:2], strict=True)
    )
    return image[rows][:, cols]


def _two_taps(
    size: int, old: int, dtype: type[np.floating] = np.float64
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Lower source index and fraction towards the next, clamped at the edges."""
    scale = dtype(old) / dtype(size)
    position = np.maximum((np.arange(size, dtype=dtype) + dtype(0.5)) * scale - dtype(0.5), 0)
    lower = np.minimum(np.floor(position).astype(np.int64), old - 1)
    return lower, np.where(lower >= old - 1, 0.0, position - lower)


def linear(image: Array, size: Size) -> NDArray[np.float32]:
    """Bilinear in float32 without antialiasing (``F.interpolate``)."""
    out = image.astype(np.float32)
    for axis in (1, 0):
        lower, fraction = _two_taps(size[axis], image.shape[axis], np.float32)
        upper = np.minimum(lower + 1, image.shape[axis] - 1)
        weight = fraction.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        out = np.take(out, lower, axis) * (1 - weight) + np.take(out, upper, axis) * weight
    return out


def linear_uint8(image: Array, size: Size) -> Array:
    """``F.interpolate`` on a uint8 tensor: weights of 16 bits, rounded between the two passes."""
    out = image.astype(np.int64)
    for axis in (1, 0):
        if size[axis] == image.shape[axis]:
            continue
        lower, fraction = _two_taps(size[axis], image.shape[axis])
        upper = np.minimum(lower + 1, image.shape[axis] - 1)
        largest = max(fraction.max(), (1 - fraction).max())
        bits = 0  # as many bits as keep the largest weight within a signed 16-bit integer
        while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < (1 << 15):
            bits += 1
        shape = [-1 if a == axis else 1 for a in range(3)]
        second = np.floor(0.5 + fraction * (1 << bits)).astype(np.int64).reshape(shape)
        first = np.floor(0.5 + (1 - fraction) * (1 << bits)).astype(np.int64).reshape(shape)
        total = np.take(out, lower, axis) * first + np.take(out, upper, axis) * second
        out = np.clip((total + (1 << (bits - 1))) >> bits, 0, 255)
    return out.astype(np.uint8)


def opencv_linear(image: Array, size: Size) -> Array:
    """OpenCV's INTER_LINEAR on uint8: weights of 11 bits, and bits cut off between the passes."""
    one = np.float32(1 << 11)
    lower, fraction = _two_taps(size[1], image.shape[1])
    upper = np.minimum(lower + 1, image.shape[1] - 1)
    second = np.rint(fraction.astype(np.float32) * one).astype(np.int64)[None, :, None]
    first = np.rint((1 - fraction.astype(np.float32)) * one).astype(np.int64)[None, :, None]
    source = image.astype(np.int64)
    wide = (source[:, lower] * first + source[:, upper] * second) >> 4
    # down the rows the weights stay as they are at the edges; only the rows are clamped
    position = ((np.arange(size[0]) + 0.5) * (image.shape[0] / size[0]) - 0.5).astype(np.float32)
    row = np.floor(position).astype(np.int64)
    part = (position - row).astype(np.float32)
    second = np.rint(part * one).astype(np.int64)[:, None, None]
    first = np.rint((1 - part) * one).astype(np.int64)[:, None, None]
    last = image.shape[0] - 1
    above, below = wide[np.clip(row, 0, last)], wide[np.clip(row + 1, 0, last)]
    return np.clip((((first * above) >> 16) + ((second * below) >> 16) + 2) >> 2, 0, 255).astype(
        np.uint8
    )


def _area_matrix(size: int, old: int) -> NDArray[np.float32]:
    """Share of each source cell in each target cell, ``(size, old)``."""
    scale = old / size
    edges = np.arange(size + 1) * scale
    cells = np.arange(old)
    overlap = np.minimum(edges[1:, None], cells[None] + 1) - np.maximum(
        edges[:-1, None], cells[None]
    )
    overlap = np.where(overlap > 1e-3, overlap, 0)
    return (overlap / scale).astype(np.float32)


def area(image: Array, size: Size) -> Array:
    """OpenCV's INTER_AREA on uint8 when shrinking; when enlarging, OpenCV's linear variant."""
    if size[0] > image.shape[0] or size[1] > image.shape[1]:
        return _area_enlarged(image, size)
    rows, cols = (_area_matrix(n, o) for n, o in zip(size, image.shape[:2], strict=True))
    wide = np.einsum("xw,hwc->hxc", cols, image.astype(np.float32), optimize=True)
    out = np.einsum("yh,hxc->yxc", rows, wide, optimize=True)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _area_enlarged(image: Array, size: Size) -> Array:
    out = image.astype(np.int64)
    one = 1 << 11
    for axis in (1, 0):
        old, new = image.shape[axis], size[axis]
        target = np.arange(new)
        lower = np.floor(target * (old / new)).astype(np.int64)
        fraction = (target + 1) - (lower + 1) * (new / old)
        fraction = np.where(fraction <= 0, 0.0, fraction - np.floor(fraction))
        fraction = np.where(lower >= old - 1, 0.0, fraction)
        lower = np.minimum(lower, old - 1)
        upper = np.minimum(lower + 1, old - 1)
        shape = [-1 if a == axis else 1 for a in range(3)]
        second = np.rint(fraction * one).astype(np.int64).reshape(shape)
        out = np.take(out, lower, axis) * (one - second) + np.take(out, upper, axis) * second
    return np.clip((out + (1 << 21)) >> 22, 0, 255).astype(np.uint8)


def _triangle_matrix(size: int, old: int) -> NDArray[np.float32]:
    """Weights of torch's antialiased bilinear, ``(size, old)``."""
    half = np.float32(0.5)
    scale = np.float32(old) / np.float32(size)
    support = max(scale, np.float32(1))
    centre = (np.arange(size, dtype=np.float32)[:, None] + half) * scale
    distance = np.abs(np.arange(old, dtype=np.float32)[None] - centre + half) / support
    weights = np.maximum(1 - distance, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def triangle(image: Array, size: Size) -> NDArray[np.float32]:
    """Antialiased bilinear in float32 (torchvision's resize of a tensor)."""
    rows, cols = (_triangle_matrix(n, o) for n, o in zip(size, image.shape[:2], strict=True))
    wide = np.einsum("xw,hwc->hxc", cols, image.astype(np.float32), optimize=True)
    return np.einsum("yh,hxc->yxc", rows, wide, optimize=True)


def spline_cubic(image: Array, size: Size) -> Array:
    """Cubic spline with a Gaussian before shrinking, truncated to uint8 (scikit-image, MedSAM)."""
    from scipy import ndimage

    values = image.astype(np.float64)
    factors = np.array([image.shape[0] / size[0], image.shape[1] / size[1], 1.0])
    sigma = np.maximum(0, (factors - 1) / 2)
    smooth = ndimage.gaussian_filter(values, sigma, mode="mirror") if sigma.any() else values
    zoomed = ndimage.zoom(smooth, 1 / factors, order=3, mode="mirror", grid_mode=True)
    return np.clip(zoomed, values.min(), values.max()).astype(np.uint8)


KERNELS: dict[str, Callable[[Array, Size], Array]] = {
    "pillow-bilinear": pillow_bilinear,
    "pillow-bicubic": pillow_bicubic,
    "opencv-nearest": nearest,
    "opencv-linear": opencv_linear,
    "opencv-area": area,
    "linear": linear,
    "linear-uint8": linear_uint8,
    "triangle": triangle,
    "spline-cubic": spline_cubic,
}
"""Kernels by the name that a :class:`~samovar_encoders.rules.Resize` uses."""
