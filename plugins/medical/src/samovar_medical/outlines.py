"""Outlines of a slice's mask along the edges of its pixels, holes joined by keyholes.

An outline that follows the edges has the mask's very area, and whoever fills it by asking for the
pixels whose centre lies inside gets the mask back, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[float, float]]
"""Corners ``(x, y)`` in index coordinates, pixel centres at integers; not closed explicitly."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))


def outlines(mask: NDArray[np.bool_]) -> list[Ring]:
    """Every part of a mask ``(rows, columns)`` as one ring, without self-contact at corners.

    Parts that touch at a corner only are parts of their own. A hole is joined to what surrounds
    it by a keyhole: a channel without width, a quarter of a pixel off the centres of its row.
    """
    rings = _trace(mask)
    holes = [n for n, ring in enumerate(rings) if _area(ring) < 0]
    if holes:
        for n in holes:
            rings[n] = _from_leftmost_edge(rings[n])
        _join(mask, rings, holes)
    gone = set(holes)
    return [ring for n, ring in enumerate(rings) if n not in gone]


def _trace(mask: NDArray[np.bool_]) -> list[Ring]:
    """Closed walks along pixel edges with the object at the right hand; corners only.

    In a frame with y downwards outer rings come out with a positive area, holes with a negative.
    """
    left: dict[tuple[int, int], list[int]] = {}
    for direction, (ys, xs) in enumerate(_edges(mask)):
        for place in zip(xs.tolist(), ys.tolist(), strict=True):
            left.setdefault(place, []).append(direction)
    rings = []
    while left:
        start = next(iter(left))
        direction = left[start][0]
        rings.append(_walk(left, start, direction))
    return rings


def _edges(mask: NDArray[np.bool_]) -> Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Start corners (y, x) of the edges that go right, down, left and up; corner (0, 0) is the
    upper left one of pixel (0, 0)."""
    wide = np.pad(mask, 1)
    core = wide[1:-1, 1:-1]
    top = np.nonzero(core & ~wide[:-2, 1:-1])
    right = np.nonzero(core & ~wide[1:-1, 2:])
    bottom = np.nonzero(core & ~wide[2:, 1:-1])
    left = np.nonzero(core & ~wide[1:-1, :-2])
    return (
        top,
        (right[0], right[1] + 1),
        (bottom[0] + 1, bottom[1] + 1),
        (left[0] + 1, left[1]),
    )


def _walk(left: dict[tuple[int, int], list[int]], start: tuple[int, int], direction: int) -> Ring:
    """Follow edges from ``start`` until it closes, taking them out of ``left``."""
    ring: Ring = []
    place, heading = start, direction
    while True:
        going = left[place]
        going.remove(heading)
        if not going:
            del left[place]
        dx, dy = _STEP[heading]
        place = (place[0] + dx, place[1] + dy)
        following = left.get(place)
        if following is None:
            break
        # of two ways at a corner that two parts share, the turn towards the object: they part
        turn = (heading + 1) % 4
        chosen = turn if turn in following else following[0]
        if chosen != heading:
            ring.append((place[0] - 0.5, place[1] - 0.5))
        heading = chosen
    if heading != direction or place != start:
        ring.append((place[0] - 0.5, place[1] - 0.5))
    return ring


def _area(ring: Ring) -> float:
    points = np.array(ring)
    x, y = points[:, 0], points[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2.0


def _from_leftmost_edge(ring: Ring) -> Ring:
    """The same ring, closed by its leftmost edge; of a hole that edge goes down."""
    at = min(range(len(ring)), key=lambda i: (ring[i][0] + ring[(i + 1) % len(ring)][0], i))
    return [*ring[at + 1 :], *ring[: at + 1]]


def _join(mask: NDArray[np.bool_], rings: list[Ring], holes: Sequence[int]) -> None:
    """Put every hole into the ring that a channel to its left meets first; in place."""
    owners = _left_sides(rings)
    cuts: dict[tuple[int, int], list[tuple[float, float, int]]] = {}
    for n in holes:
        # the channel runs in the uppermost row of the edge
        x, top = rings[n][-1]
        row = round(top + 0.5)
        outside = np.flatnonzero(~mask[row, : round(x + 0.5)])
        meets = (int(outside[-1]) if outside.size else -1) + 0.5
        cuts.setdefault(owners[meets, row], []).append((top + 0.25, meets, n))
    # from right to left: what is joined to a hole lies to its right and is in it by then
    waiting = {n for n, _ in cuts}
    for n in sorted(waiting, key=lambda n: -min(x for x, _ in rings[n])):
        ring: Ring = []
        for i, corner in enumerate(rings[n]):
            ring.append(corner)
            for y, meets, hole in sorted(cuts.get((n, i), ()), reverse=True):
                x = rings[hole][-1][0]
                ring += [(meets, y), (x, y), *rings[hole], (x, y), (meets, y)]
        rings[n] = ring


def _left_sides(rings: Sequence[Ring]) -> dict[tuple[float, int], tuple[int, int]]:
    """Where the object begins: x and row of each such pixel edge → its ring and the side there."""
    found = {}
    for n, ring in enumerate(rings):
        for i, (x, y) in enumerate(ring):
            above = ring[(i + 1) % len(ring)][1]
            # the object lies at the right hand of a side that goes up
            for row in range(round(above + 0.5), round(y + 0.5)):
                found[x, row] = (n, i)
    return found
