"""Solids as level functions in millimetres, and the canvas that paints them with partial volume.

A level function is negative inside, positive outside and grows by about one a millimetre near its
zero surface. A voxel belongs to a solid when the level at its centre is negative; its intensity is
mixed by the share of the voxel that the solid covers, estimated from the level and its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Level = Callable[[Array, Array, Array], Array]
Vector = Sequence[float]

_MARGIN = 12.0
"""Millimetres around a solid's stated reach: room for the random deformation."""


@dataclass(frozen=True)
class Solid:
    """A level function with the axis-aligned box, in undeformed millimetres, that holds it."""

    level: Level
    centre: tuple[float, float, float]
    reach: tuple[float, float, float]

    def __and__(self, other: Solid | Level) -> Solid:
        """The common part; keeps this solid's reach."""
        second = other.level if isinstance(other, Solid) else other
        return Solid(
            lambda x, y, z: np.maximum(self.level(x, y, z), second(x, y, z)),
            self.centre,
            self.reach,
        )

    def __sub__(self, other: Solid | Level) -> Solid:
        second = other.level if isinstance(other, Solid) else other
        return self & (lambda x, y, z: -second(x, y, z))

    def __or__(self, other: Solid) -> Solid:
        return self.blend(other, 0.0)

    def blend(self, other: Solid, width: float) -> Solid:
        """The union, with a fillet of about ``width`` millimetres."""
        low = [
            min(a - r, b - q)
            for a, r, b, q in zip(self.centre, self.reach, other.centre, other.reach, strict=True)
        ]
        high = [
            max(a + r, b + q)
            for a, r, b, q in zip(self.centre, self.reach, other.centre, other.reach, strict=True)
        ]
        centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
        reach = tuple((b - a) / 2 for a, b in zip(low, high, strict=True))

        def level(x: Array, y: Array, z: Array) -> Array:
            f, g = self.level(x, y, z), other.level(x, y, z)
            if width <= 0:
                return np.minimum(f, g)
            h = np.clip(0.5 + 0.5 * (g - f) / width, 0, 1)
            return g + (f - g) * h - width * h * (1 - h)

        return Solid(level, centre, reach)  # type: ignore[arg-type]

    def shifted(self, amount: Level) -> Solid:
        """The level plus ``amount``: bumps where it varies, shrinkage where it is positive."""
        return Solid(lambda x, y, z: self.level(x, y, z) + amount(x, y, z), self.centre, self.reach)

    def inset(self, depth: float) -> Solid:
        """The same solid, thinner by ``depth`` millimetres all round."""
        return Solid(lambda x, y, z: self.level(x, y, z) + depth, self.centre, self.reach)


def ellipsoid(centre: Vector, radii: Vector, turn: NDArray[np.float64] | None = None) -> Solid:
    """An ellipsoid with ``radii`` along x, y, z, turned by the 3×3 rotation ``turn``."""
    cx, cy, cz = (float(v) for v in centre)
    inverse = np.diag(1.0 / np.asarray(radii, float)) @ (np.eye(3) if turn is None else turn.T)
    scale = np.float32(min(radii))
    m = inverse.astype(np.float32)

    def level(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
        for row in m:
            total += np.square(row[0] * dx + row[1] * dy + row[2] * dz)
        return (np.sqrt(total) - 1) * scale

    reach = (max(radii),) * 3 if turn is not None else tuple(float(r) for r in radii)
    return Solid(level, (cx, cy, cz), reach)  # type: ignore[arg-type]


def tube(points: Sequence[Vector], radii: Sequence[float], flat: float = 1.0) -> Solid:
    """A tube through ``points`` (x, y, z) with a radius at each; ``flat`` < 1 flattens it in y."""
    p = np.asarray(points, np.float32)
    r = np.asarray(radii, np.float32)

    def level(x: Array, y: Array, z: Array) -> Array:
        best = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), 1e3, np.float32)
        for a, b, ra, rb in zip(p[:-1], p[1:], r[:-1], r[1:], strict=True):
            d = b - a
            dx, dy, dz = x - a[0], y - a[1], z - a[2]
            t = np.clip((dx * d[0] + dy * d[1] + dz * d[2]) / float(d @ d), 0, 1)
            distance = np.sqrt(
                np.square(dx - t * d[0])
                + np.square((dy - t * d[1]) / np.float32(flat))
                + np.square(dz - t * d[2])
            )
            np.minimum(best, distance - (ra + (rb - ra) * t), out=best)
        return best

    low, high = p.min(axis=0) - r.max(), p.max(axis=0) + r.max()
    return Solid(level, tuple((low + high) / 2), tuple((high - low) / 2))


def everywhere(level: Level) -> Solid:
    """A solid without bounds."""
    return Solid(level, (0.0, 0.0, 0.0), (1e4, 1e4, 1e4))


def waves(
    rng: np.random.Generator, amplitude: float, wavelength: tuple[float, float], count: int = 5
) -> Level:
    """A smooth random function of position: a sum of plane waves, of RMS about ``amplitude``."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    k = (2 * np.pi * direction / rng.uniform(*wavelength, size=(count, 1))).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    scale = np.float32(amplitude * np.sqrt(2 / count))

    def level(x: Array, y: Array, z: Array) -> Array:
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
        for (a, b, c), p in zip(k, phase, strict=True):
            total += np.sin(a * x + b * y + c * z + p)
        return total * scale

    return level


class Canvas:
    """A block of voxels being painted.

    Args:
        shape: ``(z, y, x)`` of the block.
        affine: 4×4, index x, y, z → LPS mm, of the block itself.
        deform: three level functions, the displacement in mm along x, y, z.
        fill: the intensity of nothing.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        affine: NDArray[np.float64],
        deform: Sequence[Level],
        fill: float,
    ):
        self.shape = shape
        self.affine = affine
        self.steps = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
        k, j, i = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
        index = np.stack([i, j, k]).reshape(3, -1)
        world = (affine[:3, :3] @ index + affine[:3, 3:]).astype(np.float32)
        x, y, z = (w.reshape(shape) for w in world)
        self.x, self.y, self.z = (w + d(x, y, z) for w, d in zip((x, y, z), deform, strict=True))
        self.values = np.full(shape, fill, np.float32)
        self.labels = np.zeros(shape, np.uint8)

    def paint(self, solid: Solid, value: float | Level, label: int | None = None) -> None:
        """Mix ``value`` in by coverage; the voxels inside get ``label`` (None: keep theirs)."""
        part = self._part(solid)
        if part is None:
            return
        x, y, z = self.x[part], self.y[part], self.z[part]
        level = solid.level(x, y, z)
        square = np.float32(1e-12)
        for step, change in zip(self.steps, _gradient(level), strict=True):
            # a jump in a level is a seam of its formula, not a slope: it must not blur anything
            square = square + np.square(np.minimum(np.abs(change), np.float32(1.6 * step)))
        cover = np.clip(np.float32(0.5) - level / np.sqrt(square), 0, 1)
        painted = value(x, y, z) if callable(value) else np.float32(value)
        self.values[part] += cover * (painted - self.values[part])
        if label is not None:
            self.labels[part][level < 0] = label

    def _part(self, solid: Solid) -> tuple[slice, ...] | None:
        inverse = np.linalg.inv(self.affine)
        corners = np.array(
            [
                [
                    c + s * (r + _MARGIN)
                    for c, s, r in zip(solid.centre, signs, solid.reach, strict=True)
                ]
                for signs in product((-1, 1), repeat=3)
            ]
        )
        index = corners @ inverse[:3, :3].T + inverse[:3, 3]
        low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)[::-1]
        high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, self.shape[::-1])[::-1]
        if (high - low < 1).any():
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _gradient(level: Array) -> list[Array]:
    """Central differences a voxel along z, y, x; 0 along an axis of a single voxel."""
    return [
        np.asarray(np.gradient(level, axis=axis), np.float32)
        if level.shape[axis] > 1
        else np.zeros_like(level)
        for axis in range(3)
    ]
