"""Seams: one mask out of what several tiles saw of one object.

Where the tiles agree, that is the union. Where they do not, each disputed patch is kept or left
out whole: in the way that leaves the fewest pixels along the edges of tiles, so that no outline
follows a straight line that only the tiling drew; else as the tile says whose core it lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.grid import Region
from samovar.masks import PixelMask
from samovar.view import View

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sight:
    """What one tile saw of an object."""

    view: View
    mask: PixelMask


def settle(sights: Sequence[Sight], within: Region | None = None) -> PixelMask:
    """One mask, tight, of what lies in ``within`` (default: everything that was seen)."""
    if len(sights) == 1 and within is None:
        return sights[0].mask
    region = within if within is not None else _bounds(sights)
    union = np.zeros(region.shape, dtype=bool)
    for sight in sights:
        _paste(union, region, sight.mask)
    disputed = np.zeros(region.shape, dtype=bool)
    for sight in sights:
        seen = sight.view.region.intersect(region)
        if not seen.empty:
            place = seen.within(region)
            disputed[place] |= union[place] & ~_window(sight.mask, seen)
    if disputed.any():
        _decide(union, disputed, region, sights)
    return PixelMask.of(union, region.start)


def _decide(union: Bools, disputed: Bools, region: Region, sights: Sequence[Sight]) -> None:
    """Take out of ``union`` the disputed patches that are better left out."""
    patches, _ = ndimage.label(disputed)
    rows, columns = _edges(sights, region)
    owned = np.zeros(region.shape, dtype=bool)
    for sight in sights:
        core = sight.view.core.intersect(region)
        if not core.empty:
            owned[core.within(region)] |= _window(sight.mask, core)
    for number, block in enumerate(ndimage.find_objects(patches), start=1):
        patch = patches[block] == number
        wide = tuple(
            slice(max(0, s.start - 1), min(n, s.stop + 1))
            for s, n in zip(block, region.shape, strict=True)
        )
        near = (rows, wide[0]), (columns, wide[1])
        crossed = [e[(e > w.start) & (e < w.stop)] - w.start for e, w in near]
        kept = union[wide]
        left = kept.copy()
        inner = tuple(
            slice(s.start - w.start, s.stop - w.start) for s, w in zip(block, wide, strict=True)
        )
        left[inner] &= ~patch
        drawn = _drawn(kept, crossed), _drawn(left, crossed)
        votes = int(np.count_nonzero(owned[block] & patch))
        out = drawn[0] > drawn[1] or (
            drawn[0] == drawn[1] and 2 * votes < int(np.count_nonzero(patch))
        )
        if out:
            union[block] &= ~patch


def _edges(sights: Sequence[Sight], region: Region) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of ``region`` before which a tile begins or ends."""
    found = []
    for axis in (0, 1):
        edges = {e for s in sights for e in (s.view.region.start[axis], s.view.region.stop[axis])}
        found.append(np.array(sorted(edges), dtype=np.intp) - region.start[axis])
    return found[0], found[1]


def _drawn(mask: Bools, edges: Sequence[NDArray[np.intp]]) -> int:
    """Pixels of outline that run along the given rows and columns."""
    rows, columns = edges
    return int(
        np.count_nonzero(mask[rows] != mask[rows - 1])
        + np.count_nonzero(mask[:, columns] != mask[:, columns - 1])
    )


def _bounds(sights: Sequence[Sight]) -> Region:
    region = sights[0].mask.region
    for sight in sights[1:]:
        region = region.union(sight.mask.region)
    return region


def _paste(canvas: Bools, region: Region, mask: PixelMask) -> None:
    common = mask.region.intersect(region)
    if not common.empty:
        canvas[common.within(region)] |= mask.inside[common.within(mask.region)]


def _window(mask: PixelMask, region: Region) -> Bools:
    inside = np.zeros(region.shape, dtype=bool)
    _paste(inside, region, mask)
    return inside
