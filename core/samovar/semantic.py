"""Semantic results: classes instead of instances. Objects of one class that touch become one."""

from __future__ import annotations

from collections import defaultdict
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
CELL = 256
"""Side of the squares by which objects that may touch are found."""


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
                yield replace(whole, id=whole.class_id, prompt=None, name="")
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
        near: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for i, item in enumerate(held):
            cells = [(item.class_id, *cell) for cell in _cells(item.region)]
            for j in sorted({j for cell in cells for j in near[cell]}):
                if sets.find(i) != sets.find(j) and touch(item, held[j]):
                    sets.union(i, j)
            for cell in cells:
                near[cell].append(i)
        return [[held[i] for i in group] for group in sets.groups()]


def _cells(region: Region) -> list[tuple[int, int]]:
    """Squares that a region, or a pixel beside it, lies in."""
    (y0, x0), (y1, x1) = region.start, region.stop
    return [
        (y, x)
        for y in range((y0 - 1) // CELL, y1 // CELL + 1)
        for x in range((x0 - 1) // CELL, x1 // CELL + 1)
    ]


def touch(a: SegmentedObject, b: SegmentedObject) -> bool:
    """Whether two objects share a pixel or an edge of one."""
    if any(
        p > q for p, q in zip((*a.region.start, *b.region.start), (*b.region.stop, *a.region.stop),
                              strict=True)
    ):  # fmt: skip
        return False
    wide = Region(
        tuple(v - 1 for v in b.region.start), tuple(v + 1 for v in b.region.stop)
    ).intersect(Region(tuple(v - 1 for v in a.region.start), tuple(v + 1 for v in a.region.stop)))
    if wide.empty:
        return False
    return bool((ndimage.binary_dilation(a.window(wide)) & b.window(wide)).any())
