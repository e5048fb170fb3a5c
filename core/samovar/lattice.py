"""Lattice: the tiles of a 2-D image, on a grid fixed at the image's global origin.

A part cut out of a larger image (``Image.origin``) gets the tiles of the larger one, so what is
found does not depend on the extent. Tiles are made one by one, never all at once: a scene of a
hundred gigapixels has 700,000 of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.image import Image
from samovar.plans import Step
from samovar.prompts import Prompt
from samovar.view import View

TILE = 512
"""Side of a tile in pixels, halo included."""
WHOLE = 768
"""2-D images whose longest side is at most this, and that were cut from no other, are one view."""
LARGEST = 128
"""Declared size of objects in pixels: up to it an object is seen whole in its own tile."""
MOST = 2048
"""Largest size that may be declared."""
AT_ONCE = 32
"""Tiles of a row that are asked together whether they are blank."""


@dataclass(frozen=True)
class Tiling:
    """How wide tiles and their halos are, for objects of a declared size.

    Args:
        largest: longest side of the objects looked for, in pixels. Larger ones are found too, put
            together from what several tiles saw of them.
        side: of a tile in pixels, unless the objects need more.

    Raises:
        UsageError: the size is not between 1 and :data:`MOST`.
    """

    largest: int = LARGEST
    side: int = TILE

    def __post_init__(self) -> None:
        if not 1 <= self.largest <= MOST:
            raise UsageError(
                f"--max-object-size {self.largest}: give 1 to {MOST} pixels; objects larger than "
                "that are found at a coarser resolution (--gsd), or joined from several tiles"
            )

    @property
    def halo(self) -> int:
        """Pixels beyond its core that a tile sees: half an object, at least an eighth of a tile."""
        return max(self.side // 8, math.ceil(self.largest / 2))

    @property
    def tile(self) -> int:
        return max(self.side, 4 * self.halo)

    @property
    def stride(self) -> int:
        return self.tile - 2 * self.halo


@dataclass(frozen=True)
class Lattice:
    """The tiles that cover an image of ``shape``: as few as suffice, 4 where 4 do.

    ``origin`` is where the image's first pixel lies in the image that tiles are counted from.
    """

    shape: tuple[int, int]
    origin: tuple[int, int] = (0, 0)
    tiling: Tiling = Tiling()

    @classmethod
    def of(cls, image: Image, tiling: Tiling) -> Lattice:
        rows, columns = image.grid.shape
        y, x = image.origin or (0, 0)
        return cls((rows, columns), (y, x), tiling)

    def __len__(self) -> int:
        return len(self._ranges[0]) * len(self._ranges[1])

    def __iter__(self) -> Iterator[View]:
        """Every tile, row by row."""
        return (self.tile(r, c) for r in self._ranges[0] for c in self._ranges[1])

    def tile(self, r: int, c: int) -> View:
        """Tile ``r, c``, counted from the global origin."""
        (y0, y1, ry0, ry1), (x0, x1, rx0, rx1) = self._span(0, r), self._span(1, c)
        return View(f"r{r}c{c}", Region((ry0, rx0), (ry1, rx1)), Region((y0, x0), (y1, x1)))

    def at(self, y: float, x: float) -> View:
        """The tile whose core holds a position; the nearest one for positions outside."""
        places = []
        for axis, v in ((0, y), (1, x)):
            i = int((v + self.origin[axis] - self.tiling.halo) // self.tiling.stride)
            covered = self._ranges[axis]
            places.append(min(max(i, covered.start), covered.stop - 1))
        return self.tile(*places)

    def occupied(
        self, blank: Callable[[Region], bool], together: int = 1
    ) -> Iterator[tuple[int, View]]:
        """Tiles without those that are ``blank``, each after its place among all.

        Row by row, or so many rows ``together``, column by column; rows are counted from the
        global origin. Empty areas are passed over many tiles at a time.
        """
        rows, columns = self._ranges
        for top in range(rows.start - rows.start % together, rows.stop, together):
            swath = range(max(top, rows.start), min(top + together, rows.stop))
            before = (swath.start - rows.start) * len(columns)
            for first in range(columns.start, columns.stop, AT_ONCE):
                last = min(first + AT_ONCE, columns.stop) - 1
                ends = [(self.tile(r, first).region, self.tile(r, last).region) for r in swath]
                live = [r for r, (a, b) in zip(swath, ends, strict=True) if not blank(a.union(b))]
                for c in range(first, last + 1) if live else ():
                    place = before + (c - columns.start) * len(swath) - swath.start
                    for r in live:
                        view = self.tile(r, c)
                        if not blank(view.region):
                            yield place + r, view

    @cached_property
    def _ranges(self) -> tuple[range, range]:
        """Indices of the rows and of the columns of tiles."""
        ranges, stride = [], self.tiling.stride
        for first, length in zip(self.origin, self.shape, strict=True):
            low = first // stride
            high = max(low, math.ceil((first + length - self.tiling.tile) / stride))
            ranges.append(range(low, high + 1))
        return ranges[0], ranges[1]

    def _span(self, axis: int, i: int) -> tuple[int, int, int, int]:
        """Core start and stop, region start and stop of tiles ``i`` along one axis."""
        length, covered, tiling = self.shape[axis], self._ranges[axis], self.tiling
        corner = i * tiling.stride - self.origin[axis]
        start = 0 if i == covered.start else corner + tiling.halo
        stop = length if i == covered.stop - 1 else corner + tiling.halo + tiling.stride
        first = min(max(0, corner), max(0, length - tiling.tile))
        return start, stop, first, min(first + tiling.tile, length)


def one_view(image: Image) -> View | None:
    """The view of a small image, which is not cut into tiles; None for larger ones."""
    if image.origin is None and max(image.grid.shape) <= WHOLE:
        return View("whole", image.grid.region, image.grid.region)
    return None


def plan_tiles(image: Image, tiling: Tiling, together: int = 1) -> Iterator[Step]:
    """Every tile that may hold something, for a prompt generator, row by row.

    With ``together`` rows at a time, column by column: in the same rows, in another order.
    """
    whole = one_view(image)
    if whole is not None:
        return iter([Step(whole, None)])
    tiles = Lattice.of(image, tiling).occupied(image.blank, together)
    return (Step(view, None, position=place) for place, view in tiles)


def plan_prompted(
    image: Image, prompts: Sequence[Prompt], tiling: Tiling, together: int = 1
) -> list[Step]:
    """One view for every prompted object, and no tile without one, from the top row down.

    With ``together`` rows of tiles at a time, from the left within them.

    Every object is asked for in one view that holds it whole: the tile whose core holds its
    centre, or, where the object is larger than the halo allows, a view of its own, read at a
    coarser resolution when it exceeds the tile.

    Args:
        prompts: in index coordinates.
    """
    whole = one_view(image)
    if whole is not None:
        return [Step(whole, tuple(p.id for p in prompts))]
    lattice = Lattice.of(image, tiling)
    asked: dict[View, list[int]] = defaultdict(list)
    for prompt in prompts:
        asked[_view_for(prompt, lattice)].append(prompt.id)
    ordered = sorted(asked, key=lambda v: (v.region.start, v.region.stop, v.key))
    if together > 1:
        high, first = together * tiling.stride, lattice.origin[0]
        ordered.sort(key=lambda v: ((v.region.start[0] + first) // high, v.region.start[1]))
    return [Step(view, tuple(asked[view]), position=i) for i, view in enumerate(ordered)]


def _bounds(prompt: Prompt) -> tuple[float, float, float, float]:
    xs, ys = [p[0] for p in prompt.points], [p[1] for p in prompt.points]
    if prompt.box is not None:
        xs += [prompt.box[0], prompt.box[2] - 1]
        ys += [prompt.box[1], prompt.box[3] - 1]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def _view_for(prompt: Prompt, lattice: Lattice) -> View:
    x0, y0, x1, y1 = _bounds(prompt)
    rows, columns = lattice.shape
    view = lattice.at((y0 + y1) / 2, (x0 + x1) / 2)
    box = Region(
        (max(0, math.floor(y0)), max(0, math.floor(x0))),
        (min(rows, math.ceil(y1)), min(columns, math.ceil(x1))),
    )
    if view.region.contains(box):
        return view
    return own_view(box, lattice, f"object{prompt.id}")


def own_view(box: Region, lattice: Lattice, key: str) -> View:
    """A square around an object, half as large again, inside the image; coarser where large."""
    tile = lattice.tiling.tile
    side = max(tile, math.ceil(1.5 * max(box.shape)))
    start, stop = [], []
    for a, b, n in zip(box.start, box.stop, lattice.shape, strict=True):
        low = min(max(0, (a + b - side) // 2), max(0, n - side))
        start.append(low)
        stop.append(min(n, low + side))
    region = Region(tuple(start), tuple(stop))
    scale = max(1.0, max(region.shape) / (2 * tile))
    size = None
    if scale > 1:
        size = (max(1, round(region.shape[0] / scale)), max(1, round(region.shape[1] / scale)))
    return View(key, region, region, None, size)
