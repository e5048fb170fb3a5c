"""Chains: along which slices an object of a volume is followed, and from where.

A *key* is a slice on which the user said where the object is: a box of that slice, positive
points, or pixels painted by hand. A 3-D box alone has one key, its anchor. From every key the
object is followed both ways: to the ends of its box, until it ends, or half-way to the next key.
Each slice of an object belongs to one key or to one chain, so what is said on one slice changes
only the slices between its neighbouring keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from samovar.errors import PromptError, UsageError
from samovar.grid import Grid, Region
from samovar.prompts import Prompt, describe
from samovar.view import View

Extent = Literal["box", "auto"]
"""``box``: an object lies on the slices of its boxes. ``auto``: it reaches as far as it is found.
Objects without any box are always followed until they end."""
Anchor = Literal["best", "middle"]
"""Where a 3-D box starts: on the slice that it fits best, or strictly on its middle one."""
PROBES = 9
"""Slices of a 3-D box that are looked at to find its anchor, beside its middle."""


@dataclass(frozen=True)
class Following:
    """How objects of a volume are followed."""

    axis: str = "auto"
    """``x``, ``y`` or ``z``: the index axis that slices are cut along; ``auto``: by the grid."""
    extent: Extent = "box"
    anchor: Anchor = "best"
    consensus: bool = False
    """Follow along all three axes, and take what two of them agree on."""

    def check(self, grid: Grid) -> None:
        """Refuse what cannot be meant for this image.

        Raises:
            UsageError: an unknown word, or an image that is no volume.
        """
        for name, value, known in (
            ("extent", self.extent, get_args(Extent)),
            ("anchor", self.anchor, get_args(Anchor)),
        ):
            if value not in known:
                raise UsageError(f"{name} {value!r} is unknown: write {' or '.join(known)}")
        if grid.ndim == 3:
            self.array_axis(grid)
        elif self != Following():
            raise UsageError(
                "axis, extent, anchor and consensus are about volumes, and this image has no "
                "slices: leave them out"
            )

    def describe(self, grid: Grid) -> dict[str, str | bool] | None:
        """As the manifest records it; None for images without slices."""
        if grid.ndim == 2:
            return None
        axis = "zyx"[self.array_axis(grid)]
        return {**asdict(self), "axis": axis}

    def array_axis(self, grid: Grid) -> int:
        """Array axis of the slices.

        Raises:
            UsageError: no such axis.
        """
        if self.axis == "auto":
            return grid.slice_axis()
        if self.axis not in ("x", "y", "z"):
            raise UsageError(f"axis {self.axis!r} is unknown: write auto, x, y or z")
        return "zyx".index(self.axis)


@dataclass(frozen=True)
class Chain:
    """Slices that are followed from one key in one direction."""

    key: int
    direction: int
    """+1 or -1 along the slicing axis."""
    stop: int
    """The last slice that may be visited."""
    sure: int
    """Up to here the object is there, says its box or the next key; beyond it may end."""
    toward: int | None = None
    """The key at the other side of the gap."""

    def positions(self) -> range:
        """Slices in the order of visiting, the key left out."""
        return range(self.key + self.direction, self.stop + self.direction, self.direction)

    def bound(self, position: int) -> bool:
        """Whether the object has to be on this slice."""
        return (self.sure - position) * self.direction >= 0


@dataclass(frozen=True)
class Course:
    """Everything that is known of an object's way before anything is looked at.

    ``first`` and ``last`` are the outermost slices of its boxes and keys; the object may reach
    further where it is ``open``.
    """

    first: int
    last: int
    keys: tuple[int, ...]
    box: tuple[float, ...] | None
    """The box of more than one slice, which bounds it in every slice between first and last."""
    is_open: bool
    automatic: bool = False
    """Nobody pointed at the key: it is the anchor of a 3-D box."""
    settled: bool = True
    """No slice has to be probed to find the anchor."""

    def chains(self, count: int) -> Iterator[Chain]:
        """Every chain, given the number of slices of the volume."""
        low, high = (0, count - 1) if self.is_open else (self.first, self.last)
        if self.keys[0] > low:
            yield Chain(self.keys[0], -1, low, self.first)
        for a, b in pairwise(self.keys):
            middle = (a + b) // 2
            if middle > a:
                yield Chain(a, 1, middle, middle, b)
            if middle + 1 < b:
                yield Chain(b, -1, middle + 1, middle + 1, a)
        if self.keys[-1] < high:
            yield Chain(self.keys[-1], 1, high, self.last)

    def probes(self, count: int = PROBES) -> list[int]:
        """Slices to look at before the anchor of a 3-D box is settled."""
        if self.settled:
            return []
        spread = np.linspace(self.first, self.last, count).round().astype(int)
        return sorted({*map(int, spread), *self.keys})


def course(
    prompt: Prompt, grid: Grid, axis: int, extent: Extent = "box", anchor: Anchor = "best"
) -> Course:
    """The way of one object.

    Args:
        prompt: in index coordinates.
        axis: array axis of the slices.

    Raises:
        PromptError: more than one box that covers several slices, or something painted that is
            not one slice thick.
    """
    count = grid.shape[axis]
    spans = [(box, box_slices(box, axis, count)) for box in prompt.boxes]
    thick = [(box, span) for box, span in spans if span[1] > span[0]]
    if len(thick) > 1:
        raise PromptError(
            f"{describe(prompt)} has {len(thick)} boxes of several slices: give one that holds "
            "the whole object, or boxes of one slice each (its key slices)"
        )
    bounds = thick[0][1] if thick else (0, count - 1)
    said = {span[0] for _, span in spans if span[0] == span[1]}
    said |= set(painted_slices(prompt, axis))
    said |= {p for p in pointed_slices(prompt, axis, count) if bounds[0] <= p <= bounds[1]}
    if thick and prompt.anchor is not None:
        said.add(min(max(prompt.anchor, bounds[0]), bounds[1]))
    keys = tuple(sorted(said))
    reach = [*said, *(thick[0][1] if thick else ())]
    first, last = min(reach), max(reach)
    is_open = extent == "auto" or not (prompt.boxes or prompt.painted)
    box = thick[0][0] if thick else None
    if keys:
        return Course(first, last, keys, box, is_open)
    return Course(first, last, ((first + last) // 2,), box, is_open, True, anchor == "middle")


def box_slices(box: tuple[float, ...], axis: int, count: int) -> tuple[int, int]:
    """First and last slice whose centre lies inside a box; at least the nearest one."""
    low, high = box[2 - axis], box[5 - axis]
    start, stop = math.ceil(low - 0.5), math.ceil(high - 0.5) - 1
    if stop < start:
        start = stop = round((low + high - 1) / 2)
    return min(max(start, 0), count - 1), min(max(stop, 0), count - 1)


def pointed_slices(prompt: Prompt, axis: int, count: int) -> list[int]:
    """Slices with a positive point."""
    return sorted(
        {
            slice_index(point[2 - axis], count)
            for point, on in zip(prompt.points, prompt.labels, strict=True)
            if on
        }
    )


def painted_slices(prompt: Prompt, axis: int) -> list[int]:
    """Slices painted by hand.

    Raises:
        PromptError: something painted is not one slice thick.
    """
    for mask in prompt.painted:
        if mask.region.shape[axis] != 1:
            raise PromptError(
                f"{describe(prompt)}: what is painted must be one slice thick along the slicing "
                f"axis {'zyx'[axis]}, not {mask.region.shape[axis]}"
            )
    return sorted(m.region.start[axis] for m in prompt.painted)


def slice_index(position: float, count: int) -> int:
    """The slice that a position lies in."""
    return min(max(round(position), 0), count - 1)


def slice_view(grid: Grid, axis: int, index: int) -> View:
    """The whole slice ``index`` along array axis ``axis``."""
    start, stop = [0, 0, 0], list(grid.shape)
    start[axis], stop[axis] = index, index + 1
    region = Region(tuple(start), tuple(stop))
    return View(f"{'zyx'[axis]}{index}", region, region, axis)
