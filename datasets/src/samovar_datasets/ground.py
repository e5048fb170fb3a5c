"""The ground of a scene: parcels that share edges, roads along some of them, rivers, ponds.

Ground coordinates are metres: ``u`` along the columns, ``v`` along the rows, 0 at the scene's
first corner, without end in all directions. Everything is a function of the seed and the place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.randomness import noise, unit

CELL = 92.0
"""Metres between parcels, on average."""
_JITTER = 0.34
RIVER_PERIOD = 1500.0
USES = ("town", "works", "farm", "field", "meadow", "wood", "pond", "bank")
_CROPS = (("crop",), ("wheat", "wheat", "hay"), ("soil", "dark_soil"), ("rape", "hay", "hay"))
"""Crops by the parity of a parcel's place, so that fields that touch never look the same."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """A side of a parcel. Inside means ``normal · p < offset``."""

    neighbour: tuple[int, int]
    normal: tuple[float, float]
    offset: float
    verge: float
    """Metres from the edge to where the parcel proper begins; 0: parcels touch."""
    road: float
    """Half the width of the carriageway along this edge; 0: none."""
    paving: str = "asphalt"


@dataclass(frozen=True)
class Parcel:
    """One cell of the partition."""

    key: tuple[int, int]
    site: tuple[float, float]
    edges: tuple[Edge, ...]
    outline: Floats
    """``(n, 2)`` u, v of the whole cell, roads included."""
    proper: Floats
    """``(n, 2)`` u, v of the cell less its roads' corridors; empty when nothing is left."""
    use: str
    angle: float
    """Direction of rows and houses: radians, along the longest side."""
    cover: str
    """The material of its ground."""

    def inside(self, u: Floats, v: Floats) -> Floats:
        """Metres to the border of the parcel proper; negative outside."""
        depths = [e.offset - e.verge - e.normal[0] * u - e.normal[1] * v for e in self.edges]
        return np.minimum.reduce(depths)


class Ground:
    """The partition of one seed."""

    def __init__(self, seed: int):
        self.seed = seed
        self.parcel = lru_cache(maxsize=4096)(self._parcel)

    def site(self, i: int, j: int) -> tuple[float, float]:
        a, b = unit(self.seed, 11, i, j), unit(self.seed, 12, i, j)
        return (i + 0.5 + _JITTER * (2 * a - 1)) * CELL, (j + 0.5 + _JITTER * (2 * b - 1)) * CELL

    def keys(self, u0: float, v0: float, u1: float, v1: float) -> list[tuple[int, int]]:
        """Keys of all parcels that may touch a rectangle of ground."""
        return [
            (i, j)
            for j in range(math.floor(v0 / CELL) - 2, math.floor(v1 / CELL) + 3)
            for i in range(math.floor(u0 / CELL) - 2, math.floor(u1 / CELL) + 3)
        ]

    def parcels(self, u0: float, v0: float, u1: float, v1: float) -> list[Parcel]:
        """The parcels whose outline's bounds meet a rectangle of ground."""
        found = []
        for key in self.keys(u0, v0, u1, v1):
            parcel = self.parcel(*key)
            low, high = parcel.outline.min(axis=0), parcel.outline.max(axis=0)
            if low[0] < u1 and high[0] > u0 and low[1] < v1 and high[1] > v0:
                found.append(parcel)
        return found

    def urban(self, i: int, j: int) -> float:
        """How built-up it is around a parcel, -1 … 1."""
        u, v = np.array([float(i)]), np.array([float(j)])
        return float(noise(self.seed + 5, u, v, 4.5)[0])

    def river(self, u: Floats, v: Floats) -> Floats:
        """Level of the rivers: negative in the water, metres."""
        start = unit(self.seed, 31) * RIVER_PERIOD
        bend = 52 * np.sin(u / 143 + 6 * unit(self.seed, 32))
        bend = bend + 21 * np.sin(u / 51 + 6 * unit(self.seed, 33))
        slope = 52 / 143 * np.cos(u / 143 + 6 * unit(self.seed, 32))
        away = np.mod(v - start - bend + RIVER_PERIOD / 2, RIVER_PERIOD) - RIVER_PERIOD / 2
        shore = 1.6 * noise(self.seed + 34, u, v, 13.0) + 0.5 * noise(self.seed + 35, u, v, 4.0)
        width = 10 + 3 * np.sin(u / 89)
        return np.abs(away) / np.sqrt(1 + slope * slope) - width + shore

    def pond(self, parcel: Parcel, u: Floats, v: Floats) -> Floats:
        """Level of the pond in a parcel of use ``pond``."""
        x, y = u - parcel.site[0], v - parcel.site[1]
        c, s = math.cos(parcel.angle), math.sin(parcel.angle)
        radius = 13 + 9 * unit(self.seed, 41, *parcel.key)
        oval = np.hypot((c * x + s * y) / 1.35, c * y - s * x) - radius
        return oval + 3.0 * noise(self.seed + 42, u, v, 16.0) + 0.6 * noise(self.seed, u, v, 4.0)

    def pond_outline(self, parcel: Parcel) -> Floats:
        """``(256, 2)`` u, v of a pond's shore, by bisection along rays from the parcel's site."""
        turn = np.linspace(0, 2 * np.pi, 256, endpoint=False)
        near, far = np.zeros(256), np.full(256, 60.0)
        for _ in range(40):
            middle = (near + far) / 2
            u = parcel.site[0] + middle * np.cos(turn)
            v = parcel.site[1] + middle * np.sin(turn)
            wet = np.maximum(self.pond(parcel, u, v), 2.0 - parcel.inside(u, v)) < 0
            near, far = np.where(wet, middle, near), np.where(wet, far, middle)
        return np.stack(
            [parcel.site[0] + near * np.cos(turn), parcel.site[1] + near * np.sin(turn)], axis=1
        )

    def _parcel(self, i: int, j: int) -> Parcel:
        site = self.site(i, j)
        outline, sides = self._clip(i, j, site)
        town = self.urban(i, j)
        edges = tuple(self._edge((i, j), site, n) for n in sides)
        lengths = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1)
        longest = int(np.argmax(lengths))
        along = np.roll(outline, -1, axis=0)[longest] - outline[longest]
        use = self._use(i, j, town, outline)
        crops = _CROPS[i % 2 + 2 * (j % 2)]
        cover = {
            "town": "lawn",
            "works": "concrete",
            "farm": "grass",
            "wood": "wood",
            "field": crops[int(unit(self.seed, 21, i, j) * len(crops))],
        }.get(use, "grass")
        return Parcel(
            (i, j),
            site,
            edges,
            outline,
            _inset(outline, edges),
            use,
            float(math.atan2(along[1], along[0])),
            cover,
        )

    def _clip(
        self, i: int, j: int, site: tuple[float, float]
    ) -> tuple[Floats, list[tuple[int, int]]]:
        """The Voronoi cell, and the neighbours that bound it."""
        polygon = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]]) * CELL + np.array(
            site
        )
        around = [(i + a, j + b) for b in range(-2, 3) for a in range(-2, 3) if (a, b) != (0, 0)]
        planes = [(n, *_bisector(site, self.site(*n))) for n in around]
        for _, normal, offset in planes:
            polygon = _cut(polygon, normal, offset)
        sides = [
            n
            for n, normal, offset in planes
            if np.count_nonzero(np.abs(polygon @ normal - offset) < 1e-6) >= 2
        ]
        return polygon, sides

    def _use(self, i: int, j: int, town: float, outline: Floats) -> str:
        steps = np.linspace(0, 1, 5)[:, None, None]
        rim = (outline * (1 - steps) + np.roll(outline, -1, axis=0) * steps).reshape(-1, 2)
        if self.river(rim[:, 0], rim[:, 1]).min() < 5:
            return "bank"
        pick = unit(self.seed, 22, i, j)
        if town > 0.12:
            return "works" if pick < 0.14 else "meadow" if pick > 0.95 else "town"
        for use, share in (("field", 0.66), ("wood", 0.80), ("meadow", 0.90), ("farm", 0.95)):
            if pick < share:
                return use
        return "pond"

    def _edge(self, key: tuple[int, int], site: tuple[float, float], n: tuple[int, int]) -> Edge:
        normal, offset = _bisector(site, self.site(*n))
        low, high = min(key, n), max(key, n)
        built = self.urban(*key) > 0.12 or self.urban(*n) > 0.12
        pick = unit(self.seed, 23, *low, *high)
        verge, road, paving = 0.0, 0.0, "asphalt"
        if key[1] != n[1] and min(key[1], n[1]) % 3 == 0:
            verge, road = (6.2, 3.6) if built else (6.5, 3.4)
        elif key[0] != n[0] and min(key[0], n[0]) % 3 == 1:
            verge, road = (5.2, 2.9) if built else (4.6, 2.4)
        elif built and pick < 0.7:
            verge, road = 4.6, 2.5
        elif pick < 0.16:
            verge, road, paving = 2.6, 1.5, "gravel"
        return Edge(n, (float(normal[0]), float(normal[1])), offset, verge, road, paving)


def _bisector(a: tuple[float, float], b: tuple[float, float]) -> tuple[Floats, float]:
    """Unit normal from ``a`` towards ``b``, and the offset of their bisector along it.

    Computed in one order for both sides, so that the two parcels agree to the last bit.
    """
    first, second = (a, b) if a < b else (b, a)
    p, q = np.array(first), np.array(second)
    normal = (q - p) / np.linalg.norm(q - p)
    offset = float(normal @ (p + q) / 2)
    return (normal, offset) if a < b else (-normal, -offset)


def _cut(polygon: Floats, normal: Floats, offset: float) -> Floats:
    """The part of a convex polygon where ``normal · p <= offset``."""
    if len(polygon) == 0:
        return polygon
    depth = polygon @ normal - offset
    kept: list[Floats] = []
    for k in range(len(polygon)):
        a, b = depth[k - 1], depth[k]
        if (a <= 0) != (b <= 0):
            kept.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * (a / (a - b)))
        if b <= 0:
            kept.append(polygon[k])
    return np.array(kept).reshape(-1, 2)


def _inset(outline: Floats, edges: tuple[Edge, ...]) -> Floats:
    polygon = outline
    for edge in edges:
        if edge.verge > 0:
            polygon = _cut(polygon, np.array(edge.normal), edge.offset - edge.verge)
    return polygon
