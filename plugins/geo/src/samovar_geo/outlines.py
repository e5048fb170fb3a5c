"""Outlines of objects along exact pixel edges, traced from the edges themselves.

Coordinates are *corners* of the whole image: x, y in pixels, 0 the outer edge of the first pixel.
Nothing here looks at an object as a whole picture: its edges are gathered piece by piece
(:meth:`SegmentedObject.pieces`), so a river costs what its banks cost.

Interior lies to the right of every edge, y pointing down. Where two pixels meet at a corner only,
a ring turns right, so that they stay apart (4-connectivity); a ring that comes back to a corner is
cut there. Rings are therefore simple, and polygons valid, by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from samovar.objects import SegmentedObject

Ints = NDArray[np.int64]
STRIDE = 1 << 31
"""Corners are numbered ``y * STRIDE + x``; rasters are smaller."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Unit edges between pixels that belong to an object and pixels that do not.

    Horizontal edge ``i`` joins the corners ``(hx, hy)`` and ``(hx + 1, hy)`` and runs east where
    the object lies below it. Vertical ones join ``(vx, vy)`` and ``(vx, vy + 1)`` and run north
    where the object lies to the right. Sorted by row, then column.
    """

    hx: Ints
    hy: Ints
    east: NDArray[np.bool_]
    vx: Ints
    vy: Ints
    north: NDArray[np.bool_]


def edges_of(segmented: SegmentedObject) -> Edges:
    """Every unit edge of an object's outline; edges between two of its pieces cancel out."""
    parts: list[tuple[Ints, NDArray[np.bool_], Ints, NDArray[np.bool_]]] = []
    for piece in segmented.pieces():
        top, left = piece.region.start
        inside = np.zeros([n + 2 for n in piece.inside.shape], dtype=bool)
        inside[1:-1, 1:-1] = piece.inside
        down = inside[1:, 1:-1]
        change = np.flatnonzero(down != inside[:-1, 1:-1])
        y, x = np.divmod(change, down.shape[1])
        right = inside[1:-1, 1:]
        other = np.flatnonzero(right != inside[1:-1, :-1])
        row, column = np.divmod(other, right.shape[1])
        parts.append(
            (
                (y + top) * STRIDE + x + left,
                down.ravel()[change],
                (row + top) * STRIDE + column + left,
                right.ravel()[other],
            )
        )
    if not parts:
        none, never = np.empty(0, np.int64), np.empty(0, bool)
        return Edges(none, none, never, none, none, never)
    horizontal, east, vertical, north = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    if len(parts) > 1:
        horizontal, east = _uncancelled(horizontal, east)
        vertical, north = _uncancelled(vertical, north)
    hy, hx = np.divmod(horizontal, STRIDE)
    vy, vx = np.divmod(vertical, STRIDE)
    return Edges(hx, hy, east, vx, vy, north)


def _uncancelled(keys: Ints, flags: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_]]:
    """Edges that one piece alone has, in order: what two pieces have lies between them."""
    order = np.argsort(keys, kind="stable")
    keys, flags = keys[order], flags[order]
    twin = np.zeros(len(keys), dtype=bool)
    same = keys[1:] == keys[:-1]
    twin[1:] |= same
    twin[:-1] |= same
    return keys[~twin], flags[~twin]


def outline(segmented: SegmentedObject) -> shapely.MultiPolygon:
    """The edges of an object's pixels as polygons, holes kept, in corner coordinates.

    Pixels that touch at a corner only are parts of their own. The planar area is the pixel count;
    vertices stand where the outline turns and nowhere else.
    """
    return polygons(trace(edges_of(segmented)))


@dataclass(frozen=True, eq=False)
class Rings:
    """Closed simple rings, one after another."""

    points: Ints
    """``(n, 2)`` corners x, y; the first point of a ring is not repeated at its end."""
    starts: Ints
    """Place of each ring's first point."""
    parents: Ints
    """For each ring the outer ring that it is a hole in; -1 for outer rings."""


def trace(edges: Edges) -> Rings:
    """The rings that the edges form."""
    if not len(edges.hx):
        none = np.empty(0, np.int64)
        return Rings(none.reshape(0, 2), none, none)
    begins, ends, run_of_vertical = _runs(edges)
    order, starts = _walk(begins, _followers(begins, ends))
    y, x = np.divmod(begins[order], STRIDE)
    following = np.arange(1, len(order) + 1)
    following[np.append(starts[1:], len(order)) - 1] = starts
    doubled = np.add.reduceat(x * y[following] - x[following] * y, starts)
    ring_of_run = np.empty(len(order), dtype=np.int64)
    ring_of_run[order] = np.repeat(np.arange(len(starts)), np.diff([*starts, len(order)]))
    tops = np.minimum.reduceat(begins[order], starts)
    parents = _parents(edges, tops, doubled > 0, ring_of_run[run_of_vertical])
    return Rings(np.column_stack([x, y]), starts, parents)


def _runs(edges: Edges) -> tuple[Ints, Ints, Ints]:
    """Start and end corners of all straight runs, horizontal ones first; the run of each vertical
    edge. A straight line goes on exactly where the next edge runs the same way.
    """
    new = np.ones(len(edges.hx), dtype=bool)
    new[1:] = (
        (np.diff(edges.hy) != 0) | (np.diff(edges.hx) != 1) | (edges.east[1:] != edges.east[:-1])
    )
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(new)) - 1
    west_end = edges.hy[first] * STRIDE + edges.hx[first]
    east_end = edges.hy[last] * STRIDE + edges.hx[last] + 1
    runs_east = edges.east[first]
    order = np.lexsort((edges.vy, edges.vx))
    vx, vy, north = edges.vx[order], edges.vy[order], edges.north[order]
    new = np.ones(len(vx), dtype=bool)
    new[1:] = (np.diff(vx) != 0) | (np.diff(vy) != 1) | (north[1:] != north[:-1])
    run = np.empty(len(vx), dtype=np.int64)
    run[order] = np.cumsum(new) - 1 + len(first)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(new)) - 1
    upper, lower = vy[first] * STRIDE + vx[first], (vy[last] + 1) * STRIDE + vx[last]
    runs_north = north[first]
    starts = np.concatenate(
        [np.where(runs_east, west_end, east_end), np.where(runs_north, lower, upper)]
    )
    ends = np.concatenate(
        [np.where(runs_east, east_end, west_end), np.where(runs_north, upper, lower)]
    )
    return starts, ends, run


def _followers(starts: Ints, ends: Ints) -> Ints:
    """The run that follows each run: where two begin at its end, the one to the right."""
    order = np.argsort(starts, kind="stable")
    place = np.searchsorted(starts[order], ends)
    one = order[place]
    two = order[np.minimum(place + 1, len(order) - 1)]
    forked = (starts[two] == ends) & (one != two)
    ahead, turn = ends - starts, ends[one] - starts[one]
    # cross product of the direction of travel with that of the turn; y points down
    right = _cross(ahead, turn) > 0
    return np.where(forked & ~right, two, one)


def _cross(a: Ints, b: Ints) -> Ints:
    ay, by = np.rint(a / STRIDE).astype(np.int64), np.rint(b / STRIDE).astype(np.int64)
    ax, bx = a - ay * STRIDE, b - by * STRIDE
    return np.sign(ax) * np.sign(by) - np.sign(ay) * np.sign(bx)


def _walk(begins: Ints, follow: Ints) -> tuple[Ints, Ints]:
    """Runs in the order of their rings, and where each ring starts in it.

    A ring is cut where it comes back to a corner.
    """
    corner, after = begins.tolist(), follow.tolist()
    values, counts = np.unique(begins, return_counts=True)
    twice = set(values[counts > 1].tolist())
    order: list[int] = []
    starts: list[int] = []
    seen = bytearray(len(corner))
    for begin in range(len(corner)):
        if seen[begin]:
            continue
        path: list[int] = []
        at: dict[int, int] = {}
        run = begin
        while not seen[run]:
            seen[run] = 1
            here = corner[run]
            if here in twice:
                place = at.get(here)
                if place is not None:
                    starts.append(len(order))
                    order += path[place:]
                    for gone in path[place:]:
                        at.pop(corner[gone], None)
                    del path[place:]
                at[here] = len(path)
            path.append(run)
            run = after[run]
        starts.append(len(order))
        order += path
    return np.array(order, dtype=np.int64), np.array(starts, dtype=np.int64)


def _parents(edges: Edges, tops: Ints, outer: NDArray[np.bool_], ring_of_edge: Ints) -> Ints:
    """For each hole the outer ring of the pixels around it; -1 for outer rings.

    From the pixel above a hole's upper left corner one walks west to the next edge: it is of the
    same pixels. Its ring reaches higher up, so the walk ends at an outer ring.
    """
    holes, outers = np.flatnonzero(~outer), np.flatnonzero(outer)
    parents = np.full(len(outer), -1, dtype=np.int64)
    if len(outers) == 1:
        parents[holes] = outers[0]
        return parents
    if not len(holes):
        return parents
    keys = edges.vy * STRIDE + edges.vx
    order = np.argsort(keys, kind="stable")
    wanted = tops[holes] - STRIDE
    above = np.arange(len(outer))
    above[holes] = ring_of_edge[order[np.searchsorted(keys[order], wanted, side="right") - 1]]
    while not outer[above].all():
        above = above[above]
    parents[holes] = above[holes]
    return parents


def polygons(rings: Rings) -> shapely.MultiPolygon:
    """The polygons that rings are the outlines and holes of."""
    count = len(rings.starts)
    if not count:
        return shapely.MultiPolygon()
    ends = np.append(rings.starts[1:], len(rings.points))
    # each ring closed: its first point once more at its end
    source = np.arange(len(rings.points) + count) - np.repeat(
        np.arange(count), ends - rings.starts + 1
    )
    source[ends + np.arange(count)] = rings.starts
    points = rings.points[source].astype(np.float64)
    if count == 1:
        return shapely.multipolygons([shapely.polygons(points)])
    made = shapely.linearrings(points, indices=np.repeat(np.arange(count), ends - rings.starts + 1))
    outer = rings.parents < 0
    home = np.where(outer, np.arange(count), rings.parents)
    number = np.cumsum(outer) - 1
    order = np.lexsort((~outer, home))
    return shapely.multipolygons(shapely.polygons(made[order], indices=number[home[order]]))
