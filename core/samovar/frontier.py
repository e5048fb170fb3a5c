"""Frontier: joins what neighbouring tiles say, in raster order, and lets go of what is finished.

Tiles come row by row. Two parts of different tiles are one object when they agree on the pixels
that both tiles saw. An object is finished as soon as no later tile can see any of it; what is held
is therefore a row of tiles, whatever the size of the scene. Masks beyond a budget wait on disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region
from samovar.masks import PixelMask
from samovar.parts import RestingPart, Spill, inflate, stands_cut
from samovar.suppression import crop
from samovar.view import View

SAME = 0.5
"""Least IoU, inside the pixels that both tiles saw, of two parts of one object."""
WITHIN = 0.8
"""Least share, inside those pixels, of a part cut off by its tile that lies in another part."""
BUDGET = 64 << 20
"""Bytes of masks held in memory."""
CELL = 1024
"""Side of the squares by which tiles that overlap are found."""

CHUNK = 64
"""Boxes of one tile that are compared with those of another at a time."""

Boxes = NDArray[np.int64]


@dataclass(eq=False)
class Member:
    """A part on the frontier, and the tile that said it."""

    part: RestingPart
    view: View
    cut: bool
    bits: bytes | None
    place: tuple[int, int] | None = None
    """Where the mask lies in the spill file, once it does."""
    spill: Spill | None = None

    @property
    def region(self) -> Region:
        return self.part.region

    def mask(self) -> PixelMask:
        bits = self.bits
        if bits is None:
            assert self.spill is not None and self.place is not None
            bits = self.spill.get(self.place)
        return inflate(self.part.region, bits)


@dataclass(eq=False)
class Group:
    """Parts of one object."""

    members: list[Member]
    region: Region
    into: Group | None = None
    """The group that this one was joined to."""

    def root(self) -> Group:
        group = self
        while group.into is not None:
            group = group.into
        return group


@dataclass(eq=False)
class _Seen:
    """A tile that later ones may overlap."""

    view: View
    members: list[Member]
    groups: list[Group]
    boxes: Boxes
    cells: list[tuple[int, int]] = field(default_factory=list)


class Frontier:
    """Parts in, by tiles in raster order; groups of parts of finished objects out.

    Args:
        image: the whole image's region.
        budget: bytes of masks held in memory; what is above waits in a temporary file.
    """

    def __init__(self, image: Region, budget: int = BUDGET) -> None:
        self._image, self._budget = image, budget
        self._row = -1
        self._cells: dict[tuple[int, int], list[_Seen]] = defaultdict(list)
        self._open: list[Group] = []
        self._spill = Spill()
        self._bytes = 0

    @property
    def row(self) -> int:
        """No object that is still to come has a pixel above this row."""
        return min([self._row, *(g.region.start[0] for g in self._open)])

    def add(self, view: View, parts: Sequence[RestingPart]) -> list[Group]:
        """What ``view`` saw; returns the objects that no view from here on can see.

        Raises:
            ValueError: the view begins above the one before.
            OSError: the disk is full.
        """
        top = view.region.start[0]
        if top < self._row:
            raise ValueError(f"tile {view.key} begins at row {top}, after one at {self._row}")
        finished = self._close(top) if top > self._row else []
        self._row = top
        here = self._hold(view, [p for p in parts if not p.region.empty])
        for other in self._overlapping(view):
            _join(here, other)
        here.cells = _cells(view.region)
        for cell in here.cells:
            self._cells[cell].append(here)
        if self._bytes > self._budget:
            self._unload()
        return finished

    def finish(self) -> list[Group]:
        """The objects that are left."""
        return self._close(self._image.stop[0] + 1)

    def _hold(self, view: View, parts: Iterable[RestingPart]) -> _Seen:
        members = [
            Member(p, view, stands_cut(p.region, view, self._image), p.bits, None, self._spill)
            for p in parts
        ]
        groups = [Group([m], m.region) for m in members]
        self._open += groups
        self._bytes += sum(len(m.part.bits) for m in members)
        boxes = np.array([(*m.region.start, *m.region.stop) for m in members], dtype=np.int64)
        return _Seen(view, members, groups, boxes.reshape(-1, 4))

    def _overlapping(self, view: View) -> Iterator[_Seen]:
        met = set()
        for cell in _cells(view.region):
            for seen in self._cells.get(cell, ()):
                if id(seen) not in met and not seen.view.region.intersect(view.region).empty:
                    met.add(id(seen))
                    yield seen

    def _close(self, top: int) -> list[Group]:
        """Groups that end above row ``top``; in an order that only geometry decides."""
        alive = [g for g in self._open if g.into is None]
        finished = [g for g in alive if g.region.stop[0] <= top]
        self._open = [g for g in alive if g.region.stop[0] > top]
        for cell in list(self._cells):
            left = [s for s in self._cells[cell] if s.view.region.stop[0] > top]
            if left:
                self._cells[cell] = left
            else:
                del self._cells[cell]
        self._bytes -= sum(len(m.bits) for g in finished for m in g.members if m.bits is not None)
        kept = [g for g in finished if len(g.members) > 1 or owned(g.members[0])]
        return sorted(kept, key=lambda g: (g.region.start, g.region.stop, _first(g)))

    def _unload(self) -> None:
        """Masks to disk, those of the largest groups first, until half of the budget is free."""
        groups = [g for g in self._open if g.into is None]
        for group in sorted(groups, key=lambda g: -len(g.members)):
            for member in group.members:
                if member.bits is not None:
                    member.place = self._spill.put(member.bits)
                    self._bytes -= len(member.bits)
                    member.bits = None
                    # the part's own copy would keep the bytes alive
                    member.part = _without_bits(member.part)
            if self._bytes <= self._budget // 2:
                return


def owned(member: Member) -> bool:
    """Whether a part's centre lies in the core of the tile that saw it.

    What only a halo saw is dropped: its owner looked and found nothing.
    """
    mask = member.mask()
    core = member.view.core
    for axis, (low, a, b) in enumerate(zip(mask.region.start, core.start, core.stop, strict=True)):
        counts = mask.inside.sum(axis=1 - axis)
        centre = low + int(np.floor((counts * np.arange(len(counts))).sum() / counts.sum()))
        if not a <= centre < b:
            return False
    return True


def _without_bits(part: RestingPart) -> RestingPart:
    return RestingPart(
        part.region, part.id, part.class_id, part.pixels, part.quality, part.stability, b""
    )


def _first(group: Group) -> tuple[int, float]:
    return sum(m.part.pixels for m in group.members), max(m.part.quality for m in group.members)


def _cells(region: Region) -> list[tuple[int, int]]:
    return [
        (y, x)
        for y in range(region.start[0] // CELL, (region.stop[0] - 1) // CELL + 1)
        for x in range(region.start[1] // CELL, (region.stop[1] - 1) // CELL + 1)
    ]


def _join(here: _Seen, there: _Seen) -> None:
    """Join the groups of two tiles that agree on the pixels that both saw."""
    shared = here.view.region.intersect(there.view.region)
    rows, columns = (_reaching(s.boxes, shared) for s in (here, there))
    if not rows.size or not columns.size:
        return
    touching = _touching(here.boxes[rows], there.boxes[columns], shared)
    if not touching.size:
        return
    mine = {int(i): crop(here.members[rows[i]].mask(), shared) for i in np.unique(touching[:, 0])}
    other = {
        int(j): crop(there.members[columns[j]].mask(), shared) for j in np.unique(touching[:, 1])
    }
    for i, j in _pairs(here, there, rows, columns, mine, other, touching):
        _unite(here.groups[i], there.groups[j])


def _pairs(
    here: _Seen,
    there: _Seen,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    mine: dict[int, PixelMask],
    other: dict[int, PixelMask],
    touching: NDArray[np.intp],
) -> Iterator[tuple[int, int]]:
    """Parts of two tiles that are one object: much alike, or one cut off and within the other."""
    sizes = {i: np.count_nonzero(m.inside) for i, m in mine.items()}
    others = {j: np.count_nonzero(m.inside) for j, m in other.items()}
    common = {}
    for i, j in touching.tolist():
        both = _common(mine[i], other[j])
        if both:
            common[i, j] = both
    alike = [p for p, n in common.items() if n >= SAME * (sizes[p[0]] + others[p[1]] - n)]
    for i, j in alike:
        yield int(rows[i]), int(columns[j])
    matched = {i for i, _ in alike}, {j for _, j in alike}
    for i, j in sorted(common, key=lambda p: (-common[p], p)):
        n = common[i, j]
        inside = i not in matched[0] and here.members[rows[i]].cut and n >= WITHIN * sizes[i]
        around = j not in matched[1] and there.members[columns[j]].cut and n >= WITHIN * others[j]
        if inside or around:
            matched[0].add(i)
            matched[1].add(j)
            yield int(rows[i]), int(columns[j])


def _common(a: PixelMask, b: PixelMask) -> int:
    common = a.region.intersect(b.region)
    if common.empty:
        return 0
    return int(
        np.count_nonzero(a.inside[common.within(a.region)] & b.inside[common.within(b.region)])
    )


def _reaching(boxes: Boxes, shared: Region) -> NDArray[np.intp]:
    low, high = np.array(shared.start), np.array(shared.stop)
    return np.flatnonzero(((boxes[:, 2:] > low) & (boxes[:, :2] < high)).all(axis=1))


def _touching(a: Boxes, b: Boxes, shared: Region) -> NDArray[np.intp]:
    """``(n, 2)`` indices of boxes that overlap inside ``shared``, in order.

    Boxes are compared a few at a time, along the longer side of ``shared``: all with all would take
    memory and time of the square of their number.
    """
    low, high = np.array(shared.start), np.array(shared.stop)
    a0, b0 = np.maximum(a[:, :2], low), np.maximum(b[:, :2], low)
    a1, b1 = np.minimum(a[:, 2:], high), np.minimum(b[:, 2:], high)
    axis = int(np.argmax(shared.shape))
    order = np.argsort(a0[:, axis], kind="stable")
    found = [np.empty((0, 2), dtype=np.intp)]
    for first in range(0, len(order), CHUNK):
        few = order[first : first + CHUNK]
        near = np.flatnonzero(
            (b0[:, axis] < a1[few, axis].max()) & (b1[:, axis] > a0[few[0], axis])
        )
        overlap = np.minimum(a1[few][:, None], b1[near]) > np.maximum(a0[few][:, None], b0[near])
        i, j = np.nonzero(overlap.all(axis=2))
        found.append(np.column_stack([few[i], near[j]]))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _unite(one: Group, other: Group) -> None:
    a, b = one.root(), other.root()
    if a is b:
        return
    if len(a.members) < len(b.members):
        a, b = b, a
    a.members += b.members
    a.region = a.region.union(b.region)
    b.members, b.into = [], a
