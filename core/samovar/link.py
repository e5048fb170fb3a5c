"""Linking: the parts of one object, seen in neighbouring views, become one object.

Prompted parts carry their object's number. Unprompted parts are joined by union–find: here those of
adjacent slices of a volume, and in :mod:`samovar.frontier` those of tiles, as they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from samovar.grid import Region
from samovar.masks import PixelMask
from samovar.suppression import overlap
from samovar.view import View

SAME = 0.5
"""Least share of the smaller of two adjacent cross-sections of one object."""


@dataclass(frozen=True, eq=False)
class Part:
    """What one view says about one object, in image coordinates."""

    view: View
    mask: PixelMask
    quality: float
    stability: float
    id: int = 0
    """The prompted object's id; 0 for parts that nobody asked for by number."""
    class_id: int = 0


class UnionFind:
    """Disjoint sets of ``n`` numbers; the root of a set is its smallest member."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def union(self, i: int, j: int) -> None:
        a, b = sorted((self.find(i), self.find(j)))
        self._parent[b] = a

    def groups(self) -> list[list[int]]:
        """Members of each set, ordered by their smallest."""
        sets: dict[int, list[int]] = defaultdict(list)
        for i in range(len(self._parent)):
            sets[self.find(i)].append(i)
        return [sets[root] for root in sorted(sets)]


def link(parts: Sequence[Part]) -> list[list[Part]]:
    """Groups of parts of adjacent slices, one group an object, in an order of geometry alone."""
    parts = sorted((p for p in parts if not p.mask.empty), key=_place)
    sets = UnionFind(len(parts))
    for i, j in _adjacent(parts) if parts else ():
        sets.union(i, j)
    return [[parts[i] for i in group] for group in sets.groups()]


def merge(masks: Sequence[PixelMask]) -> PixelMask:
    """The union of masks of one object."""
    filled = [m for m in masks if not m.empty]
    if len(filled) < 2:
        return filled[0] if filled else masks[0]
    region = filled[0].region
    for mask in filled[1:]:
        region = region.union(mask.region)
    inside = np.zeros(region.shape, dtype=bool)
    for mask in filled:
        inside[mask.region.within(region)] |= mask.inside
    return PixelMask(region, inside)


def _place(part: Part) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    return part.mask.region.start, part.mask.region.stop, part.view.key


def _adjacent(parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    """Each part with the part of the next, and of the previous, slice that is most like it.

    Most alike by IoU; joined where the smaller cross-section lies in the larger, so that an
    object may taper and branch.
    """
    axis = parts[0].view.axis
    assert axis is not None
    slices: dict[int, list[int]] = defaultdict(list)
    for i, part in enumerate(parts):
        slices[part.mask.region.start[axis]].append(i)
    flat = [_flat(p.mask, axis) for p in parts]
    areas = [np.count_nonzero(m.inside) for m in flat]
    for position, here in slices.items():
        for neighbour in (position - 1, position + 1):
            for i in here:
                best, partner = 0.0, None
                for j in slices.get(neighbour, ()):
                    both, union = overlap(flat[i], flat[j])
                    smaller = min(areas[i], areas[j])
                    if both >= SAME * smaller and both / union > best:
                        best, partner = both / union, j
                if partner is not None:
                    yield i, partner


def _flat(mask: PixelMask, axis: int) -> PixelMask:
    start = tuple(v for a, v in enumerate(mask.region.start) if a != axis)
    stop = tuple(v for a, v in enumerate(mask.region.stop) if a != axis)
    return PixelMask(Region(start, stop), np.squeeze(mask.inside, axis=axis))
