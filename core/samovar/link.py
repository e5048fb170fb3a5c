"""Linking: the parts of one object, seen in neighbouring views, become one object.

Prompted parts carry their object's number. Unprompted parts are joined by union–find under one of
two predicates: two tiles saw the *same* pixels in their halo, or two slices saw *adjacent* ones.
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
"""Tiles: least IoU inside the shared pixels. Slices: least share of the smaller cross-section."""


@dataclass(frozen=True, eq=False)
class Part:
    """What one view says about one object, in image coordinates."""

    view: View
    mask: PixelMask
    quality: float
    stability: float
    id: int = 0
    """The prompted object's id; 0 for parts that nobody asked for by number."""


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
    """Groups of parts, one group an object, in an order that only geometry decides.

    Parts that a tile saw only in its halo, and that no neighbour confirmed, are dropped: their
    owner looked and found nothing.
    """
    parts = sorted((p for p in parts if not p.mask.empty), key=_place)
    sets = UnionFind(len(parts))
    flat = not parts or parts[0].view.axis is None
    for i, j in _same_pixels(parts) if flat else _adjacent(parts):
        sets.union(i, j)
    groups = [[parts[i] for i in group] for group in sets.groups()]
    return [group for group in groups if len(group) > 1 or _owned(group[0])]


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


def _same_pixels(parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    """Pairs from two tiles that agree on the pixels that both tiles saw."""
    active: list[int] = []
    for i, part in enumerate(parts):
        active = [j for j in active if parts[j].mask.region.stop[0] > part.mask.region.start[0]]
        for j in active:
            other = parts[j]
            shared = part.view.region.intersect(other.view.region)
            if part.view.key == other.view.key or shared.empty:
                continue
            both, union = overlap(part.mask, other.mask, shared)
            if both > 0 and both >= SAME * union:
                yield i, j
        active.append(i)


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


def _owned(part: Part) -> bool:
    indices = np.nonzero(part.mask.inside)
    centre = tuple(
        int(np.floor(i.mean())) + s for i, s in zip(indices, part.mask.region.start, strict=True)
    )
    core = part.view.core
    return all(a <= v < b for v, a, b in zip(centre, core.start, core.stop, strict=True))
