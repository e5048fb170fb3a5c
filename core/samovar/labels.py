"""Label images as objects: read them, extend them without overwriting, split them over files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.errors import GeometryError, InputError, UsageError
from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

EXISTING = {"origin": "existing labels"}
"""Attributes of objects that were there before the run."""

TOLERANCE = 0.1
"""Pixels by which a corner of a label image may lie off the image's own grid."""

_DENSE = 1 << 20


def objects_from_labels(
    labels: NDArray[Any], source: str, names: Mapping[int, str] | None = None
) -> tuple[SegmentedObject, ...]:
    """One object a label value, by rising value; the value is its number.

    Args:
        labels: ``(z, y, x)`` or ``(y, x)``, whole numbers from 0, 0 is background.
        source: named in errors.
        names: of label values.

    Raises:
        InputError: values that are not whole numbers, or below 0.
    """
    values = _whole_numbers(labels, source)
    found = []
    for value, region in _bounds(values):
        inside = np.ascontiguousarray(values[region.slices] == value)
        name = (names or {}).get(value, "")
        item = SegmentedObject.from_mask(value, PixelMask(region, inside), name=name, score=1.0)
        found.append(replace(item, attributes=EXISTING))
    return tuple(found)


def read_labels(path: str | Path, image: Image) -> tuple[SegmentedObject, ...]:
    """The objects of a label image that lies on the very grid of ``image``, with their measures.

    Raises:
        InputError: unreadable, or no label image.
        GeometryError: another grid.
    """
    from samovar.formats import open_image

    with open_image(path) as labels:
        if labels.channels != 1:
            raise InputError(f"{path}: has {labels.channels} channels, labels have one")
        require_same_grid(str(path), labels.grid, image)
        items = objects_from_labels(labels.read()[0], str(path), labels.label_names)
    return tuple(replace(item, measures=image.measure(item)) for item in items)


def require_same_grid(source: str, grid: Grid, image: Image) -> None:
    """Refuse labels of another grid. Raises GeometryError."""
    own = image.grid
    detail = ""
    if grid.shape != own.shape:
        ours, theirs = ("×".join(str(n) for n in g.shape[::-1]) for g in (own, grid))
        detail = f"{theirs} pixels, not {ours}"
    elif grid.frame == own.frame and own.frame.kind != "index":
        last = np.array(own.shape[::-1], dtype=np.float64) - 1
        corners = np.array(np.meshgrid(*[(0.0, v) for v in last])).reshape(len(last), -1).T
        apart = np.abs(own.to_index(grid.to_world(corners)) - corners).max()
        if apart > TOLERANCE:
            detail = f"it lies up to {apart:.3g} pixels off"
    if detail:
        raise GeometryError(
            f"{source}: is not on the grid of {image.info.source} ({detail}): give labels of this "
            "image"
        )


def extend(
    objects: Objects, existing: Sequence[SegmentedObject], image: Image
) -> tuple[Objects, int]:
    """Existing objects and new ones together; what is labelled stays what it is.

    New objects keep their numbers where none of them is taken; else all are numbered on from the
    highest that there is.

    Returns:
        All objects, and the number of pixels that new objects left to existing ones.
    """
    taken = {item.id for item in existing}
    shift = max(taken, default=0) if taken & {item.id for item in objects} else 0
    before = Objects(objects.grid, tuple(existing))
    added, left = [], 0
    for item in objects:
        rest = item
        if not item.empty:
            mask = item.mask
            free = mask & (before.labels(item.region) == 0)
            withheld = int(mask.sum()) - int(free.sum())
            if withheld:
                left += withheld
                part = PixelMask.of(free, item.region.start)
                bits = np.packbits(part.inside).tobytes()
                rest = replace(item, region=part.region, bits=bits)
                rest = replace(rest, measures=image.measure(rest))
        added.append(replace(rest, id=rest.id + shift))
    record = dict(objects.provenance)
    record["extended"] = {"existing_objects": len(existing), "numbers_shifted_by": shift}
    return replace(objects, items=(*existing, *added), provenance=record), left


def one_file_each(objects: Objects, path: Path, suffix: str) -> list[tuple[Path, Objects]]:
    """``seg.nii.gz`` → ``seg_liver.nii.gz``, ``seg_spleen.nii.gz`` … with the one object each.

    Objects that were not found get no file. Two of one name are told apart by their numbers.
    """
    stem = path.name[: len(path.name) - len(suffix)]
    found = [item for item in objects if not item.empty and item.pixels]
    words = [re.sub(r"[^\w.-]+", "_", item.name).strip("._") for item in found]
    jobs = []
    for item, word in zip(found, words, strict=True):
        alike = sum(w.lower() == word.lower() for w in words)
        tail = word if word and alike == 1 else f"{word}_{item.id}".lstrip("_")
        jobs.append((path.with_name(f"{stem}_{tail}{suffix}"), replace(objects, items=(item,))))
    names = [p.name.lower() for p, _ in jobs]
    if len(set(names)) < len(names):
        raise UsageError(
            f"{path}: two objects would have one file name: give them other names, or leave "
            "--split-labels out"
        )
    return jobs


def _whole_numbers(labels: NDArray[Any], source: str) -> NDArray[Any]:
    values = labels
    if values.dtype.kind == "f":
        if (values != np.rint(values)).any() or np.abs(values).max(initial=0) > 2**24:
            raise InputError(
                f"{source}: is not a label image (its values are not whole numbers): give labels"
            )
        values = values.astype(np.int32)
    if values.size and values.min() < 0:
        raise InputError(
            f"{source}: is not a label image (values down to {values.min()}): give labels"
        )
    return values


def _bounds(values: NDArray[Any]) -> list[tuple[int, Region]]:
    numbers = None
    if int(values.max(initial=0)) > _DENSE:
        numbers, index = np.unique(values, return_inverse=True)
        # 0 is background only where it occurs
        index = index.reshape(values.shape) + (0 if numbers[0] == 0 else 1)
        numbers = numbers if numbers[0] == 0 else np.concatenate([[0], numbers])
        values = index
    elif values.dtype.itemsize > 4 or values.dtype.kind == "b":
        values = values.astype(np.int32)
    found = []
    for i, slices in enumerate(ndimage.find_objects(values), start=1):
        if slices is not None:
            start = tuple(s.start for s in slices)
            stop = tuple(s.stop for s in slices)
            found.append((i if numbers is None else int(numbers[i]), Region(start, stop)))
    return found
