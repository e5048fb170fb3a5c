"""View plans: which views of an image are looked at, for which objects, in which order.

A volume is a chain of slices (two sweeps away from the middle slices), a raster or a picture a set
of independent tiles on a fixed grid. Nothing after the plan knows the difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from samovar.grid import Grid, Region
from samovar.prompts import Prompt
from samovar.view import View

TILE = 512
"""Side of a tile in pixels, halo included."""
HALO = 64
"""Pixels of a tile that its neighbour sees too, on each inner side."""
WHOLE = 768
"""2-D images whose longest side is at most this are one view."""


@dataclass(frozen=True)
class Step:
    """One look at one view.

    ``objects`` are the ids to be asked for; None means that a prompt generator proposes.
    ``sweep`` is +1 or -1 along a volume's slices and 0 where order does not matter.
    """

    view: View
    objects: tuple[int, ...] | None
    sweep: int = 0
    position: int = 0
    """Index of the slice along the slicing axis; 0 for 2-D images."""


@dataclass(frozen=True)
class Extent:
    """Slices of one object: where it starts and how far it may reach, inclusive."""

    first: int
    anchor: int
    """Slice that the object is followed from; its middle one, until a better one is found."""
    last: int
    settled: bool = True
    """The anchor was pointed at by the user, or found; no slice needs to be probed."""


def extent(prompt: Prompt, grid: Grid, axis: int) -> Extent:
    """Slices that a prompt covers along array axis ``axis``.

    A box covers the slices whose centre lies inside it (at least the nearest one); points alone
    may reach as far as the volume does. The anchor is the median slice of the positive points, or
    else the middle of the box.
    """
    position = 2 - axis
    first, last = 0, grid.shape[axis] - 1
    if prompt.box is not None:
        low, high = prompt.box[position], prompt.box[position + 3]
        start, stop = math.ceil(low - 0.5), math.ceil(high - 0.5) - 1
        if stop < start:
            start = stop = round((low + high - 1) / 2)
        first, last = (min(max(v, first), last) for v in (start, stop))
    positive = [p[position] for p, on in zip(prompt.points, prompt.labels, strict=True) if on]
    on_slices = (slice_index(v, grid.shape[axis]) for v in positive)
    slices = sorted(v for v in on_slices if first <= v <= last)
    if slices:
        return Extent(first, slices[len(slices) // 2], last)
    return Extent(first, (first + last) // 2, last, settled=False)


def slice_index(position: float, count: int) -> int:
    """The slice that a position lies in."""
    return min(max(round(position), 0), count - 1)


def slice_view(grid: Grid, axis: int, index: int) -> View:
    """The whole slice ``index`` along array axis ``axis``."""
    start, stop = [0, 0, 0], list(grid.shape)
    start[axis], stop[axis] = index, index + 1
    region = Region(tuple(start), tuple(stop))
    return View(f"{'zyx'[axis]}{index}", region, region, axis)


def plan_slices(grid: Grid, extents: dict[int, Extent] | None, axis: int) -> list[Step]:
    """Two sweeps over a volume: away from the anchor slices upwards, then downwards.

    Args:
        extents: by object id; None plans every slice once, for a prompt generator.
    """
    if extents is None:
        return [
            Step(slice_view(grid, axis, i), None, 0, i) for i in range(grid.shape[axis])
        ]
    up: dict[int, list[int]] = defaultdict(list)
    down: dict[int, list[int]] = defaultdict(list)
    for id, span in extents.items():
        for i in range(span.anchor, span.last + 1):
            up[i].append(id)
        for i in range(span.first, span.anchor):
            down[i].append(id)
    steps = [Step(slice_view(grid, axis, i), tuple(up[i]), 1, i) for i in sorted(up)]
    return steps + [
        Step(slice_view(grid, axis, i), tuple(down[i]), -1, i) for i in sorted(down, reverse=True)
    ]


def plan_probes(grid: Grid, extents: dict[int, Extent], axis: int, count: int) -> list[Step]:
    """``count`` slices spread over each object that has no settled anchor, and its middle."""
    asked: dict[int, list[int]] = defaultdict(list)
    for id, span in extents.items():
        if not span.settled:
            for i in {*np.linspace(span.first, span.last, count).round().astype(int), span.anchor}:
                asked[int(i)].append(id)
    return [Step(slice_view(grid, axis, i), tuple(asked[i]), 0, i) for i in sorted(asked)]


def plan_tiles(
    grid: Grid, prompts: Sequence[Prompt] | None, *, tile: int = TILE, halo: int = HALO
) -> list[Step]:
    """Tiles of a 2-D image on a grid fixed at its origin.

    Every prompted object is asked for in one view that holds it whole: the tile whose core holds
    its centre, or, where the object is larger than the halo allows, a view of its own, read at a
    coarser resolution when it exceeds the tile. No tile without a prompt is planned.

    Args:
        prompts: in index coordinates; None plans every tile, for a prompt generator.
    """
    rows, columns = grid.shape
    if max(rows, columns) <= WHOLE:
        view = View("whole", grid.region, grid.region)
        return [Step(view, None if prompts is None else tuple(p.id for p in prompts))]
    if prompts is None:
        return [Step(view, None) for view in tiles(grid, tile, halo)]
    asked: dict[View, list[int]] = defaultdict(list)
    for prompt in prompts:
        asked[_view_for(prompt, grid, tile, halo)].append(prompt.id)
    ordered = sorted(asked, key=lambda v: (v.core.start, v.region.stop))
    return [Step(view, tuple(asked[view])) for view in ordered]


def tiles(grid: Grid, tile: int = TILE, halo: int = HALO) -> Iterator[View]:
    """Every tile, row by row. As few as cover the image: 4 where 4 suffice."""
    for r in range(_count(grid.shape[0], tile, halo)):
        for c in range(_count(grid.shape[1], tile, halo)):
            yield _tile(grid, r, c, tile, halo)


def _count(length: int, tile: int, halo: int) -> int:
    return max(1, math.ceil((length - 2 * halo) / (tile - 2 * halo)))


def _tile(grid: Grid, r: int, c: int, tile: int, halo: int) -> View:
    (y0, y1, ry0, ry1), (x0, x1, rx0, rx1) = (
        _span(i, n, tile, halo) for i, n in zip((r, c), grid.shape, strict=True)
    )
    return View(f"r{r}c{c}", Region((ry0, rx0), (ry1, rx1)), Region((y0, x0), (y1, x1)))


def _span(i: int, length: int, tile: int, halo: int) -> tuple[int, int, int, int]:
    """Core start and stop, region start and stop of tile ``i`` along one axis."""
    stride, count = tile - 2 * halo, _count(length, tile, halo)
    start = 0 if i == 0 else halo + i * stride
    stop = length if i == count - 1 else halo + (i + 1) * stride
    first = max(0, min(i * stride, length - tile))
    return start, stop, first, min(first + tile, length)


def _bounds(prompt: Prompt) -> tuple[float, float, float, float]:
    xs, ys = [p[0] for p in prompt.points], [p[1] for p in prompt.points]
    if prompt.box is not None:
        xs += [prompt.box[0], prompt.box[2] - 1]
        ys += [prompt.box[1], prompt.box[3] - 1]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def _view_for(prompt: Prompt, grid: Grid, tile: int, halo: int) -> View:
    x0, y0, x1, y1 = _bounds(prompt)
    centre = ((y0 + y1) / 2, (x0 + x1) / 2)
    r, c = (
        min(max(int((v - halo) // (tile - 2 * halo)), 0), _count(n, tile, halo) - 1)
        for v, n in zip(centre, grid.shape, strict=True)
    )
    view = _tile(grid, r, c, tile, halo)
    box = Region(
        (max(0, math.floor(y0)), max(0, math.floor(x0))),
        (min(grid.shape[0], math.ceil(y1)), min(grid.shape[1], math.ceil(x1))),
    )
    if view.region.contains(box):
        return view
    return _own_view(box, grid, tile, prompt.id)


def _own_view(box: Region, grid: Grid, tile: int, id: int) -> View:
    """A square around a large object, half as large again, inside the image."""
    side = max(tile, math.ceil(1.5 * max(box.shape)))
    start, stop = [], []
    for a, b, n in zip(box.start, box.stop, grid.shape, strict=True):
        low = min(max(0, (a + b - side) // 2), max(0, n - side))
        start.append(low)
        stop.append(min(n, low + side))
    region = Region(tuple(start), tuple(stop))
    scale = max(1.0, max(region.shape) / (2 * tile))
    size = None
    if scale > 1:
        size = (max(1, round(region.shape[0] / scale)), max(1, round(region.shape[1] / scale)))
    return View(f"object{id}", region, region, None, size)
