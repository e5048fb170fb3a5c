"""Borders that neighbours share: where they begin and end, and which corners lie about them.

A *node* is a corner at which the unit edges of all objects taken together number other than two:
there a border forks. Between two nodes runs an *arc*, the same lattice path whichever of its
objects one comes from. What is done to an arc by looking at nothing but the arc and the corners
around it is therefore done alike to both sides, with no need to see the whole scene.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from samovar_geo.spool import Kept, Spool

Ints = NDArray[np.int64]
STRIDE = 1 << 31
CACHE_BYTES = 8 << 20
"""Outlines of neighbours that are kept decoded."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Unit edges and corners of one object, sorted by place (``y * STRIDE + x``)."""

    edges: Ints
    """``2 * place`` of the edge's upper or left end, plus 1 where it is vertical."""
    corners: Ints

    @property
    def nbytes(self) -> int:
        return self.edges.nbytes + self.corners.nbytes

    def window(self, low: tuple[int, int], high: tuple[int, int]) -> tuple[Ints, Ints]:
        """Edges and corners within ``low … high`` (x, y, inclusive)."""
        first, last = low[1] * STRIDE, (high[1] + 1) * STRIDE
        edges = self.edges[slice(*np.searchsorted(self.edges, (2 * first, 2 * last)))]
        corners = self.corners[slice(*np.searchsorted(self.corners, (first, last)))]
        x, cx = (edges // 2) % STRIDE, corners % STRIDE
        return edges[(x >= low[0]) & (x <= high[0])], corners[(cx >= low[0]) & (cx <= high[0])]


def place(points: Ints) -> Ints:
    """``(n, 2)`` corners x, y → one number each, in raster order. Corners are not negative."""
    return np.asarray(points[:, 1] * STRIDE + points[:, 0])


def rings_of(shape: shapely.MultiPolygon) -> list[list[Ints]]:
    """For each polygon its rings of corners, closed: the first point is the last."""
    return [
        [
            np.rint(shapely.get_coordinates(ring)).astype(np.int64)
            for ring in (part.exterior, *part.interiors)
        ]
        for part in shapely.get_parts(shape)
    ]


def lattice_path(ring: Ints) -> Ints:
    """Every corner along a closed ring of axis-parallel edges, the last again the first."""
    steps = np.diff(ring, axis=0)
    lengths = np.abs(steps).sum(axis=1)
    units = np.repeat(np.sign(steps), lengths, axis=0)
    return np.vstack([ring[:1], ring[0] + np.cumsum(units, axis=0)])


def lines_of(shape: shapely.MultiPolygon) -> Lines:
    """Edges and corners of an outline."""
    edges, corners = [], []
    for ring in (ring for part in rings_of(shape) for ring in part):
        path = lattice_path(ring)
        ends = np.minimum(path[1:], path[:-1])
        vertical = path[1:, 0] == path[:-1, 0]
        edges.append(2 * place(ends) + vertical)
        corners.append(place(ring[:-1]))
    return Lines(np.unique(np.concatenate(edges)), np.unique(np.concatenate(corners)))


class Neighbourhood:
    """Nodes and corners around one object at a time, from the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._cache: OrderedDict[int, Lines] = OrderedDict()
        self._held = 0

    def around(self, kept: Kept) -> tuple[Ints, Ints]:
        """Nodes on or near an object's outline, and the corners of all objects there. Sorted."""
        (top, left), (bottom, right) = kept.region.start, kept.region.stop
        low, high = (left - 1, top - 1), (right + 1, bottom + 1)
        own = self._lines(kept)
        edges, corners = [own.edges], [own.corners]
        for number in self._spool.touching(kept):
            near, points = self._of(number).window(low, high)
            edges.append(near)
            corners.append(points)
        if len(edges) == 1:
            return np.empty(0, np.int64), own.corners
        every = np.unique(np.concatenate(edges))
        ends = np.concatenate([every // 2, every // 2 + np.where(every % 2, STRIDE, 1)])
        corner, count = np.unique(ends, return_counts=True)
        return corner[count > 2], np.unique(np.concatenate(corners))

    def shared(self, kept: Kept) -> float:
        """Share of an object's outline that runs along that of another, 0…1."""
        (top, left), (bottom, right) = kept.region.start, kept.region.stop
        own = self._lines(kept).edges
        common = np.zeros(len(own), dtype=bool)
        for number in self._spool.touching(kept):
            near, _ = self._of(number).window((left, top), (right, bottom))
            common |= np.isin(own, near, assume_unique=True)
        return float(common.mean())

    def _of(self, number: int) -> Lines:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        return self._lines(self._spool.get(number))

    def _lines(self, kept: Kept) -> Lines:
        if kept.number in self._cache:
            return self._cache[kept.number]
        lines = lines_of(kept.shape)
        self._cache[kept.number] = lines
        self._held += lines.nbytes
        while self._held > CACHE_BYTES and len(self._cache) > 1:
            self._held -= self._cache.popitem(last=False)[1].nbytes
        return lines
