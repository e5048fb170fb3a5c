"""Assembly: from parts that belong together to an object of the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.frontier import Group, Member
from samovar.grid import Region
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart, Spill, deflate, inflate
from samovar.seams import Sight, settle
from samovar.view import View

WHOLE_PIXELS = 1 << 24
"""Objects whose bounds hold more pixels than this are kept in pieces, on disk."""
PIECE = 2048
"""Side of such a piece."""


@dataclass(frozen=True, eq=False)
class LargeObject(SegmentedObject):
    """An object too large for one array, such as a river: its pieces lie in a temporary file."""

    places: tuple[tuple[Region, tuple[int, int]], ...] = ()
    spill: Spill | None = None
    count: int = 0

    @property
    def pixels(self) -> int:
        return self.count

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The whole array; walk :meth:`pieces` or ask for a :meth:`window` to save memory."""
        return self.window(self.region)

    def window(self, region: Region) -> NDArray[np.bool_]:
        inside = np.zeros(region.shape, dtype=bool)
        for bounds, place in self.places:
            common = bounds.intersect(region)
            if not common.empty:
                piece = self._piece(bounds, place)
                inside[common.within(region)] = piece.inside[common.within(bounds)]
        return inside

    def pieces(self) -> Iterator[PixelMask]:
        return (self._piece(bounds, place) for bounds, place in self.places)

    def _piece(self, bounds: Region, place: tuple[int, int]) -> PixelMask:
        assert self.spill is not None
        return inflate(bounds, self.spill.get(place))


def object_of_group(group: Group, id: int, image: Image, spill: Spill) -> SegmentedObject | None:
    """The object that a finished group is; None when its tiles left nothing of it."""
    fields = _judgement([m.part for m in group.members])
    fields["class_id"] = _class(group.members)
    fields["views"] = tuple(dict.fromkeys(m.view.key for m in group.members))
    found = _joined(group.members, group.region, id, spill, fields)
    return None if found is None else finished(found, image)


def object_of_part(part: RestingPart, view: View, image: Image, **fields: Any) -> SegmentedObject:
    """The object that one part alone is; empty where nothing was found."""
    if part.region.empty:
        return finished(SegmentedObject(part.id, part.region, b"", **fields), image)
    found = SegmentedObject.from_mask(
        part.id, part.mask, views=(view.key,), **_judgement([part]), **fields
    )
    return finished(found, image)


def merged(
    items: Sequence[SegmentedObject], id: int, image: Image, spill: Spill
) -> SegmentedObject:
    """The union of objects, as one."""
    region = items[0].region
    for item in items[1:]:
        region = region.union(item.region)
    weights = np.array([o.pixels for o in items], dtype=np.float64)
    fields = {
        "score": float(np.average([o.score for o in items], weights=weights)),
        "uncertainty": float(np.average([o.uncertainty for o in items], weights=weights)),
        "class_id": items[0].class_id,
        "views": tuple(dict.fromkeys(v for o in items for v in o.views)),
    }
    if _area(region) <= WHOLE_PIXELS:
        inside = np.zeros(region.shape, dtype=bool)
        for item in items:
            inside[item.region.within(region)] |= item.mask
        return finished(SegmentedObject.from_mask(id, PixelMask(region, inside), **fields), image)
    pieces = (_union(items, block) for block in _blocks(region))
    large = _large(pieces, id, spill, fields)
    assert large is not None
    return finished(large, image)


def finished(item: SegmentedObject, image: Image) -> SegmentedObject:
    """An object with its sizes in real units."""
    return replace(item, measures=image.measure(item))


def _judgement(parts: Sequence[RestingPart]) -> dict[str, Any]:
    """Score and uncertainty, weighted by pixels."""
    weights = np.array([p.pixels for p in parts], dtype=np.float64)
    return {
        "score": float(np.average([p.quality for p in parts], weights=weights)),
        "uncertainty": 1.0 - float(np.average([p.quality * p.stability for p in parts],
                                              weights=weights)),
    }  # fmt: skip


def _class(members: Sequence[Member]) -> int:
    """The class that most pixels were given; of equals the smallest."""
    pixels: dict[int, int] = defaultdict(int)
    for member in members:
        pixels[member.part.class_id] += member.part.pixels
    return min(pixels, key=lambda c: (-pixels[c], c))


def _joined(
    members: Sequence[Member], region: Region, id: int, spill: Spill, fields: dict[str, Any]
) -> SegmentedObject | None:
    if _area(region) <= WHOLE_PIXELS:
        mask = settle([Sight(m.view, m.mask()) for m in members])
        return None if mask.empty else SegmentedObject.from_mask(id, mask, **fields)
    return _large(_settled(members, region), id, spill, fields)


def _settled(members: Sequence[Member], region: Region) -> Iterator[PixelMask]:
    near: dict[tuple[int, int], list[Member]] = defaultdict(list)
    for member in members:
        for cell in _cells(member.region, region):
            near[cell].append(member)
    for block in _blocks(region):
        cell = _cells(block, region)[0]
        if cell in near:
            yield settle([Sight(m.view, m.mask()) for m in near[cell]], block)


def _large(
    masks: Iterable[PixelMask], id: int, spill: Spill, fields: dict[str, Any]
) -> LargeObject | None:
    places, count, region = [], 0, None
    for mask in masks:
        if mask.empty:
            continue
        places.append((mask.region, spill.put(deflate(mask))))
        count += int(np.count_nonzero(mask.inside))
        region = mask.region if region is None else region.union(mask.region)
    if region is None:
        return None
    return LargeObject(id, region, b"", places=tuple(places), spill=spill, count=count, **fields)


def _union(items: Sequence[SegmentedObject], block: Region) -> PixelMask:
    inside = np.zeros(block.shape, dtype=bool)
    for item in items:
        if not item.region.intersect(block).empty:
            inside |= item.window(block)
    return PixelMask.of(inside, block.start)


def _blocks(region: Region) -> Iterator[Region]:
    for y in range(region.start[0], region.stop[0], PIECE):
        for x in range(region.start[1], region.stop[1], PIECE):
            yield Region((y, x), (y + PIECE, x + PIECE)).intersect(region)


def _cells(part: Region, whole: Region) -> list[tuple[int, int]]:
    """Which blocks of ``whole`` a part reaches into."""
    (y0, x0), (y1, x1) = part.shift(tuple(-v for v in whole.start)).start, part.stop
    y1, x1 = y1 - whole.start[0], x1 - whole.start[1]
    return [
        (y, x)
        for y in range(y0 // PIECE, (y1 - 1) // PIECE + 1)
        for x in range(x0 // PIECE, (x1 - 1) // PIECE + 1)
    ]


def _area(region: Region) -> int:
    return int(np.prod(region.shape))
