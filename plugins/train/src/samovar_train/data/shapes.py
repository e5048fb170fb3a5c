"""Noise and outlines that generated scenes are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float
) -> NDArray[np.float32]:
    """Gaussian noise correlated over about `cell` pixels, unit deviation."""
    h, w = max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2)
    small = Image.fromarray(rng.standard_normal((h, w)).astype(np.float32))
    big = np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    out: NDArray[np.float32] = (big / (big.std() + 1e-6)).astype(np.float32)
    return out


def blob(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    power: float = 2.0,
    wobble: float = 0.12,
) -> NDArray[np.bool_]:
    """A superellipse with a wavy outline. `centre` y, x and `radii` in pixels, `angle` radians."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - centre[0], x - centre[1]
    c, s = np.cos(angle), np.sin(angle)
    u, v = (c * x + s * y) / radii[1], (-s * x + c * y) / radii[0]
    theta = np.arctan2(v, u)
    waves = sum(
        wobble / k * rng.uniform(0, 1) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
        for k in (2, 3, 4, 5)
    )
    inside: NDArray[np.bool_] = np.abs(u) ** power + np.abs(v) ** power < (1 + waves) ** power
    return inside
