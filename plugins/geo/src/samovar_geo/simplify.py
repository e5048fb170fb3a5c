"""Simplification that keeps borders shared, shapes valid and neighbours neighbours.

Arcs (see :mod:`samovar_geo.borders`) are simplified by Douglas and Peucker's rule, each in a
direction of its own, so that both sides get the same line. A shortcut is taken only if no corner
of any object lies between it and the path that it replaces: then no two simplified lines cross
(the criterion of de Berg, van Kreveld and Schirra, 1998, with original corners as the points).
An arc that turns keeps at least one turn, so that nothing collapses.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from samovar_geo.borders import Ints, place, rings_of

Floats = NDArray[np.float64]


def refine_shape(
    shape: Any, nodes: Ints, corners: Ints, tolerance: float, pixel: tuple[float, float]
) -> Any:
    """A shape with a vertex at each node, its arcs simplified.

    Args:
        shape: MultiPolygon in corner coordinates.
        nodes, corners: sorted places around it (:meth:`Neighbourhood.around`).
        tolerance: in metres; 0 inserts the nodes and removes nothing.
        pixel: lengths of a pixel along x and y in metres.
    """
    parts = []
    for rings in rings_of(shape):
        done = [_refine_ring(ring, nodes, corners, tolerance, pixel) for ring in rings]
        parts.append(shapely.Polygon(done[0], done[1:]))
    return shapely.MultiPolygon(parts)


def _refine_ring(
    ring: Ints, nodes: Ints, corners: Ints, tolerance: float, pixel: tuple[float, float]
) -> Ints:
    """A closed ring, refined and closed."""
    ring = _with_nodes(ring, nodes)[:-1]
    if tolerance <= 0:
        return np.vstack([ring, ring[:1]])
    breaks = np.flatnonzero(np.isin(place(ring), nodes))
    if len(breaks) < 2:
        breaks = _two_breaks(ring, breaks, pixel)
    ring = np.roll(ring, -breaks[0], axis=0)
    ends = [*(breaks - breaks[0]).tolist(), len(ring)]
    closed = np.vstack([ring, ring[:1]])
    done = [
        _simplify_arc(closed[a : b + 1], corners, tolerance, pixel)[:-1] for a, b in pairwise(ends)
    ]
    done.append(ring[:1])
    return np.vstack(done)


def _with_nodes(ring: Ints, nodes: Ints) -> Ints:
    """A closed ring of axis-parallel edges with the nodes that lie on them as vertices."""
    if not len(nodes):
        return ring
    pieces: list[Ints] = []
    y, x = np.divmod(nodes, 1 << 31)
    low, high = ring.min(axis=0), ring.max(axis=0)
    near = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
    x, y = x[near], y[near]
    for a, b in pairwise(ring):
        pieces.append(a[None])
        level = 1 if a[1] == b[1] else 0
        along, across = (x, y) if level else (y, x)
        axis = 1 - level
        start, stop = a[axis], b[axis]
        on = along[(across == a[level]) & (along > min(start, stop)) & (along < max(start, stop))]
        if len(on):
            on = np.sort(on) if stop > start else np.sort(on)[::-1]
            fixed = np.full(len(on), a[level])
            pieces.append(np.column_stack([on, fixed] if level else [fixed, on]))
    pieces.append(ring[-1:])
    return np.concatenate(pieces)


def _two_breaks(ring: Ints, breaks: Ints, pixel: tuple[float, float]) -> Ints:
    """An island, or a ring with one node, is cut there (else at its first corner in raster order)
    and at the corner farthest from it, the first of equally far ones in raster order."""
    start = int(breaks[0]) if len(breaks) else int(np.argmin(place(ring)))
    away = ((ring - ring[start]) * pixel) ** 2
    distance = away.sum(axis=1)
    order = np.lexsort((place(ring), -distance))
    return np.array(sorted((start, int(order[0]))))


def _simplify_arc(arc: Ints, corners: Ints, tolerance: float, pixel: tuple[float, float]) -> Ints:
    """The vertices of an arc that are kept, its ends among them."""
    if len(arc) <= 2:
        return arc
    first, last = place(arc[:1])[0], place(arc[-1:])[0]
    turned = last < first or (first == last and place(arc[1:2])[0] > place(arc[-2:-1])[0])
    if turned:
        arc = arc[::-1]
    points = arc * np.asarray(pixel)
    line = shapely.simplify(shapely.linestrings(points), tolerance, preserve_topology=False)
    kept = _indices(points, shapely.get_coordinates(line))
    if len(kept) == 2:
        kept = [0, _farthest(points, 0, len(arc) - 1), len(arc) - 1]
    kept = _without_crossings(arc, points, kept, corners)
    arc = arc[kept]
    return arc[::-1] if turned else arc


def _indices(points: Floats, some: Floats) -> list[int]:
    """Positions of ``some`` in ``points``, of which it is a subsequence."""
    found, at = [], 0
    for x, y in some:
        while points[at, 0] != x or points[at, 1] != y:
            at += 1
        found.append(at)
        at += 1
    return found


def _farthest(points: Floats, i: int, j: int) -> int:
    """The vertex between ``i`` and ``j`` farthest from their chord."""
    inner = points[i + 1 : j]
    chord = points[j] - points[i]
    length = float(np.hypot(*chord))
    offset = inner - points[i]
    if length == 0:
        return i + 1 + int(np.argmax((offset**2).sum(axis=1)))
    return i + 1 + int(np.argmax(np.abs(offset[:, 0] * chord[1] - offset[:, 1] * chord[0])))


def _without_crossings(arc: Ints, points: Floats, kept: list[int], corners: Ints) -> list[int]:
    """Split every shortcut that would pass a corner of this or another object."""
    low, high = arc.min(axis=0), arc.max(axis=0)
    between = slice(*np.searchsorted(corners, (low[1] << 31, (high[1] + 1) << 31)))
    cy, cx = np.divmod(corners[between], 1 << 31)
    there = (cx >= low[0]) & (cx <= high[0])
    others = np.column_stack([cx[there], cy[there]])
    own = place(arc)
    done, waiting = [kept[0]], list(pairwise(kept))[::-1]
    while waiting:
        i, j = waiting.pop()
        if j > i + 1 and _passes_any(arc[i : j + 1], own[i : j + 1], others):
            middle = _farthest(points, i, j)
            waiting += [(middle, j), (i, middle)]
        else:
            done.append(j)
    return done


def _passes_any(path: Ints, own: Ints, others: Ints) -> bool:
    """Whether a corner that is not on ``path`` lies between it and its chord, or on the chord."""
    low, high = path.min(axis=0), path.max(axis=0)
    near = others[((others >= low) & (others <= high)).all(axis=1)]
    near = near[~np.isin(place(near), own)]
    if not len(near):
        return False
    a, b = path, np.roll(path, -1, axis=0)
    px, py = near[:, 0, None], near[:, 1, None]
    side = (b[:, 0] - a[:, 0]) * (py - a[:, 1]) - (px - a[:, 0]) * (b[:, 1] - a[:, 1])
    up, down = (a[:, 1] <= py) & (b[:, 1] > py), (a[:, 1] > py) & (b[:, 1] <= py)
    winding = (up & (side > 0)).sum(axis=1) - (down & (side < 0)).sum(axis=1)
    return bool((winding != 0).any() or (side[:, -1] == 0).any())
