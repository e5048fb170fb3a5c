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
    outer, holes = [], []
    for ring in _trace(mask):
        (outer if _area(ring) > 0 else holes).append(ring)
    for hole in sorted(holes, key=lambda ring: min(x for x, _ in ring)):
        _join(outer, hole)
    return outer


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


def _join(outer: list[Ring], hole: Ring) -> None:
    """Connect a hole to the ring at its left by a channel in the row of its leftmost edge."""
    at = min(range(len(hole)), key=lambda i: (hole[i][0] + hole[(i + 1) % len(hole)][0], i))
    (x, y0), (_, y1) = hole[at], hole[(at + 1) % len(hole)]
    y = min(y0, y1) + 0.25
    best, where = -np.inf, None
    for number, ring in enumerate(outer):
        points = np.array(ring)
        after = np.roll(points, -1, axis=0)
        low, high = np.minimum(points[:, 1], after[:, 1]), np.maximum(points[:, 1], after[:, 1])
        crossed = (low < y) & (high > y) & (points[:, 0] < x)
        if crossed.any():
            edge = int(np.argmax(np.where(crossed, points[:, 0], -np.inf)))
            if points[edge, 0] > best:
                best, where = float(points[edge, 0]), (number, edge)
    assert where is not None, "a hole lies inside an outline"
    number, edge = where
    turned = [*hole[at + 1 :], *hole[: at + 1]]
    ring = outer[number]
    outer[number] = [
        *ring[: edge + 1], (best, y), (x, y), *turned, (x, y), (best, y), *ring[edge + 1 :],
    ]  # fmt: skip
