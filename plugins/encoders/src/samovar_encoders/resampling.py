"""The resize kernels that upstream predictors use, in numpy and Pillow.

Each reproduces one library's rule to the last grey level where that library rounds, so that a
picture reaches the encoder as it does upstream. Those that bundles need are the host's. All take
and return ``(H, W, C)`` arrays and a ``size`` of (rows, columns), and have half-pixel centres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from samovar import grey_levels
from samovar.grey_levels import two_taps

Array = NDArray[np.generic]
Size = tuple[int, int]


def in_planes(
    rule: Callable[[NDArray[np.uint8], Size], Array],
) -> Callable[[Array, Size], Array]:
    """A rule of the host, which works on planes, for ``(H, W, C)``."""

    def kernel(image: Array, size: Size) -> Array:
        planes = np.moveaxis(np.atleast_3d(image), -1, 0)
        made = np.moveaxis(rule(planes, size), 0, -1)
        return made if image.ndim == 3 else made[..., 0]

    return kernel


pillow_bilinear = in_planes(grey_levels.pillow_bilinear)
"""Pillow's antialiased BILINEAR on uint8 (torchvision's resize of a PIL picture)."""
pillow_bicubic = in_planes(grey_levels.pillow_bicubic)
"""Pillow's antialiased BICUBIC on uint8."""
nearest = in_planes(grey_levels.nearest)
"""OpenCV's INTER_NEAREST."""
linear_uint8 = in_planes(grey_levels.torch_bilinear)
"""``F.interpolate`` on a uint8 tensor."""
area = in_planes(grey_levels.opencv_area)
"""OpenCV's INTER_AREA on uint8."""
spline_cubic = in_planes(grey_levels.RULES["spline-cubic"])
"""Cubic spline with a Gaussian before shrinking, truncated to uint8 (scikit-image, MedSAM)."""


def linear(image: Array, size: Size) -> NDArray[np.float32]:
    """Bilinear in float32 without antialiasing (``F.interpolate``)."""
    out = image.astype(np.float32)
    for axis in (1, 0):
        lower, fraction = two_taps(size[axis], image.shape[axis], np.float32)
        upper = np.minimum(lower + 1, image.shape[axis] - 1)
        weight = fraction.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        out = np.take(out, lower, axis) * (1 - weight) + np.take(out, upper, axis) * weight
    return out


def opencv_linear(image: Array, size: Size) -> Array:
    """OpenCV's INTER_LINEAR on uint8: weights of 11 bits, and bits cut off between the passes."""
    one = np.float32(1 << 11)
    lower, fraction = two_taps(size[1], image.shape[1])
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
