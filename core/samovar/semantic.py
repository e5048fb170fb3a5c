"""Semantic results: classes instead of instances. Objects of one class that touch become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scipy import ndimage

from samovar.assembly import merged
from samovar.grid import Region
from samovar.image import Image
from samovar.link import UnionFind
from samovar.objects import SegmentedObject
from samovar.parts import Spill

UNNAMED = 1
"""Class of objects that nobody gave one."""


class Dissolver:
    """Takes objects as they come; gives their unions once nothing can touch them any more."""

    def __init__(self, image: Image, spill: Spill) -> None:
        self._image, self._spill = image, spill
        self._held: list[SegmentedObject] = []
        self._row = 0

    @property
    def row(self) -> int:
        """Nothing that is still to come has a pixel above this row."""
        return min([self._row, *(o.region.start[0] for o in self._held)])

    def add(self, item: SegmentedObject) -> None:
        if not item.empty:
            self._held.append(replace(item, class_id=item.class_id or UNNAMED))

    def advance(self, row: int) -> Iterator[SegmentedObject]:
        """No later object has a pixel above ``row``: what ends before it is given, united."""
        self._row = row
        groups = self._groups()
        self._held = []
        for group in groups:
            whole = group[0] if len(group) == 1 else self._unite(group)
            # one row of air: what begins at ``row`` touches what ends there
            if whole.region.stop[0] < row:
                yield replace(whole, id=whole.class_id, key="", prompt=None, name="")
            else:
                self._held.append(whole)

    def finish(self) -> Iterator[SegmentedObject]:
        """What is left."""
        return self.advance(self._image.grid.shape[0] + 2)

    def _unite(self, group: Sequence[SegmentedObject]) -> SegmentedObject:
        return merged(group, group[0].class_id, self._image, self._spill)

    def _groups(self) -> list[list[SegmentedObject]]:
        held = sorted(self._held, key=lambda o: (o.class_id, o.region.start, o.region.stop))
        sets = UnionFind(len(held))
        active: list[int] = []
        for i, item in enumerate(held):
            active = [
                j
                for j in active
                if held[j].class_id == item.class_id
                and held[j].region.stop[0] >= item.region.start[0]
            ]
            for j in active:
                if sets.find(i) != sets.find(j) and touch(item, held[j]):
                    sets.union(i, j)
            active.append(i)
        return [[held[i] for i in group] for group in sets.groups()]


def touch(a: SegmentedObject, b: SegmentedObject) -> bool:
    """Whether two objects share a pixel or an edge of one."""
    wide = Region(
        tuple(v - 1 for v in b.region.start), tuple(v + 1 for v in b.region.stop)
    ).intersect(Region(tuple(v - 1 for v in a.region.start), tuple(v + 1 for v in a.region.stop)))
    if wide.empty:
        return False
    return bool((ndimage.binary_dilation(a.window(wide)) & b.window(wide)).any())
