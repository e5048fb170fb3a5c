"""Second look: an object that only the edge of a tile ends is asked for in a view of its own.

Tiles may disagree: one sees an object that its edge cuts off, its neighbour does not see it at all.
Joined as they are, such objects would end in straight lines that nothing on the ground has. They
are asked for again by a point, in a view that holds them whole; who then is not found is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.answers import answer, in_picture
from samovar.assembly import LargeObject
from samovar.frontier import Group
from samovar.grid import Region
from samovar.job import Job
from samovar.lattice import Lattice, own_view
from samovar.link import Part
from samovar.looking import Seen, encode_step
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart, stands_cut
from samovar.plans import Step
from samovar.prompts import Prompt, Prompts
from samovar.seams import Sight
from samovar.suppression import overlap

LINE = 8
"""Pixels of outline along the edge of a tile, confirmed by none that looks across, for a look."""
LOOKS = 3
"""Views, each larger, in which an object is looked for."""
TWICE = 0.7
"""IoU above which two objects are one that was found twice."""
CELL = 512
"""Side of the squares by which objects are remembered."""
SAME = 0.5
"""Least IoU of the second answer with the first, on the pixels that the first tiles saw."""
_Places = dict[tuple[int, int], list[SegmentedObject]]


def needs_second_look(item: SegmentedObject, group: Group, image: Region) -> bool:
    """Whether an object ends at the edge of a tile and nobody who sees both sides says so."""
    if isinstance(item, LargeObject) or not any(m.cut for m in group.members):
        return False
    sights = [Sight(m.view, m.mask()) for m in group.members]
    return straight(PixelMask(item.region, item.mask), sights, image) >= LINE


def straight(mask: PixelMask, sights: Sequence[Sight], image: Region) -> int:
    """Pixels of outline along the edges of tiles that no tile which sees both sides confirms."""
    wide = Region(tuple(v - 1 for v in mask.region.start), tuple(v + 1 for v in mask.region.stop))
    final = np.pad(mask.inside, 1)
    seen = [_seen(s, wide) for s in sights]
    count = 0
    for axis in (0, 1):
        edges = {(e, s) for s in range(len(sights)) for e in _inner(sights[s], axis, image)}
        across = [np.moveaxis(a, axis, 0) for a in (final, *(x for pair in seen for x in pair))]
        for edge, whose in sorted(edges):
            at = edge - wide.start[axis]
            if not 0 < at < len(across[0]):
                continue
            low, high = across[0][at - 1], across[0][at]
            open_ends = (low != high) & _along(sights[whose], axis, wide)
            for s in range(len(sights)):
                says, sees = across[1 + 2 * s], across[2 + 2 * s]
                both = sees[at - 1] & sees[at]
                open_ends &= ~(both & (says[at - 1] == low) & (says[at] == high))
            count += int(np.count_nonzero(open_ends))
    return count


def look_again(
    item: SegmentedObject, group: Group, job: Job, lattice: Lattice
) -> tuple[RestingPart, Step] | None:
    """The object as a view of its own sees it; None where it is not found there.

    Raises: whatever reading or the model raises.
    """
    mask = PixelMask(item.region, item.mask)
    if "point" not in job.model.decoder.prompt_kinds:
        return RestingPart.of(_part(item, mask, group)), Step(group.members[0].view, None)
    first, region, found = mask, mask.region, None
    for _ in range(LOOKS):
        y, x = region.start
        step = Step(own_view(region, lattice, f"again{y}-{x}"), None)
        found = _ask(mask, job, step)
        if found is None or not _alike(found.mask, first, group):
            return None
        if not stands_cut(found.mask.region, step.view, job.image.grid.region):
            break
        mask = found.mask
        margin = max(mask.region.shape) // 2
        wide = Region(
            tuple(v - margin for v in mask.region.start),
            tuple(v + margin for v in mask.region.stop),
        )
        region = wide.intersect(job.image.grid.region)
    assert found is not None
    return RestingPart.of(found), step


def _ask(mask: PixelMask, job: Job, step: Step) -> Part | None:
    """The answer to a point on the innermost pixel of ``mask``."""
    depth = ndimage.distance_transform_edt(np.pad(mask.inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    point = (float(column + mask.region.start[1]), float(row + mask.region.start[0]))
    prompt = in_picture(Prompt(1, points=(point,), labels=(1,)), step.view)
    block = job.image.read(step.view.region, size=step.view.size)
    picture = job.intensity.apply(step.view.squeeze(block))
    embedding = encode_step(job, Seen(step, picture)).embedding
    assert embedding is not None
    (part,) = answer(job, step.view, picture, embedding, Prompts((prompt,)))
    return None if part.mask.empty else part


def _alike(new: PixelMask, old: PixelMask, group: Group) -> bool:
    view = max((m for m in group.members), key=lambda m: m.part.pixels).view
    both, union = overlap(new, old, view.region)
    return union > 0 and both >= SAME * union


def _part(item: SegmentedObject, mask: PixelMask, group: Group) -> Part:
    return Part(group.members[0].view, mask, item.score, 1.0, 0, item.class_id)


def _inner(sight: Sight, axis: int, image: Region) -> list[int]:
    region = sight.view.region
    edges = (region.start[axis], region.stop[axis])
    return [e for e in edges if image.start[axis] < e < image.stop[axis]]


def _along(sight: Sight, axis: int, wide: Region) -> NDArray[np.bool_]:
    """Where a tile's edge runs, on the other axis."""
    other = 1 - axis
    places = np.arange(wide.start[other], wide.stop[other])
    region = sight.view.region
    return (places >= region.start[other]) & (places < region.stop[other])


def _seen(sight: Sight, wide: Region) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What a tile says of ``wide``, and what of it it sees."""
    says, sees = np.zeros(wide.shape, dtype=bool), np.zeros(wide.shape, dtype=bool)
    region = sight.view.region.intersect(wide)
    if not region.empty:
        sees[region.within(wide)] = True
    common = sight.mask.region.intersect(wide)
    if not common.empty:
        says[common.within(wide)] = sight.mask.inside[common.within(sight.mask.region)]
    return says, sees


class Recent:
    """Objects that were given lately, so that a second look gives none of them again."""

    def __init__(self) -> None:
        self._first: _Places = defaultdict(list)
        self._again: _Places = defaultdict(list)

    def has(self, item: SegmentedObject, again: bool) -> bool:
        """Whether an object was given before; only second looks give one twice."""
        near: dict[int, SegmentedObject] = {}
        for places in (self._first, self._again) if again else (self._again,):
            for cell in _cells(item.region) if places else ():
                near |= {id(o): o for o in places.get(cell, ())}
        return any(_doubles(item, other) for other in near.values())

    def add(self, item: SegmentedObject, again: bool) -> None:
        for cell in _cells(item.region):
            (self._again if again else self._first)[cell].append(item)

    def forget(self, row: int) -> None:
        """Objects that end above ``row`` are met no more."""
        for places in (self._first, self._again):
            for cell in [c for c in places if (c[0] + 1) * CELL <= row]:
                del places[cell]


def _doubles(a: SegmentedObject, b: SegmentedObject) -> bool:
    common = a.region.intersect(b.region)
    if common.empty:
        return False
    both = int(np.count_nonzero(a.window(common) & b.window(common)))
    return both > TWICE * (a.pixels + b.pixels - both)


def _cells(region: Region) -> list[tuple[int, int]]:
    (y0, x0), (y1, x1) = region.start, region.stop
    return [
        (y, x)
        for y in range(y0 // CELL, (y1 - 1) // CELL + 1)
        for x in range(x0 // CELL, (x1 - 1) // CELL + 1)
    ]
