"""Label images as prompts: the box of every object in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.errors import PromptError
from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.prompts import Prompt, Prompts, Space

BLOCK_PIXELS = 1 << 24
"""How many label pixels are held at once."""

MOST_OBJECTS = 65_535
"""More distinct values than this are taken for intensities."""


def prompts_from_labels(labels: Image, image: Image) -> Prompts:
    """One box an object, numbered by its label; labels on another grid go through the world.

    Args:
        labels: one channel of whole numbers, 0 or nodata for background.
        image: what is to be segmented.

    Raises:
        PromptError: ``labels`` looks like a picture, is empty, or lies on a grid that cannot be
            related to that of ``image``.
    """
    source = labels.info.source
    if labels.channels != 1:
        raise PromptError(
            f"{source}: is an image of {labels.channels} channels, not a label image: labels "
            "have one channel, one whole number an object"
        )
    space = _space(labels, image)
    boxes: dict[int, Region] = {}
    marked = 0
    for region, block in _blocks(labels):
        marked += int(np.count_nonzero(block))
        for value, part in _bounds(block, source):
            found = part.shift(region.start)
            boxes[value] = boxes[value].union(found) if value in boxes else found
        if len(boxes) > MOST_OBJECTS:
            raise _intensities(source, len(boxes))
    if not boxes:
        raise PromptError(f"{source}: the label image is empty: every pixel is 0")
    _check_values(labels, boxes, marked)
    return Prompts(tuple(_prompt(v, boxes[v], labels.grid, space) for v in sorted(boxes)), space)


def _space(labels: Image, image: Image) -> Space:
    ours, theirs = image.grid, labels.grid
    source = labels.info.source
    if ours.ndim != theirs.ndim:
        raise PromptError(
            f"{source}: has {theirs.ndim} dimensions, {image.info.source} has {ours.ndim}: "
            "give the labels of this image"
        )
    related = ours.frame.kind != "index" and ours.frame == theirs.frame
    if ours.shape == theirs.shape and (not related or _same_place(ours, theirs)):
        return "index"
    if related:
        return "world"
    raise PromptError(
        f"{source}: its shape {theirs.shape} is not that of {image.info.source}, {ours.shape}: "
        "give the labels of this image"
    )


def _same_place(one: Grid, other: Grid) -> bool:
    """Whether corners agree to a tenth of a pixel."""
    last = np.array(one.shape[::-1], dtype=np.float64) - 1
    corners = np.array(np.meshgrid(*[(0.0, v) for v in last])).reshape(len(last), -1).T
    moved = one.to_index(other.to_world(corners)) - corners
    return bool(np.abs(moved).max() < 0.1)


def _blocks(labels: Image) -> Iterator[tuple[Region, NDArray[np.generic]]]:
    shape = labels.grid.shape
    step = max(1, BLOCK_PIXELS // max(1, int(np.prod(shape[1:]))))
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        region = Region((start, *(0 for _ in shape[1:])), (stop, *shape[1:]))
        block = labels.read(region)[0]
        valid = labels.valid(region)
        if valid is not None:
            block = np.where(valid, block, np.zeros((), dtype=block.dtype))
        yield region, block


def _bounds(block: NDArray[np.generic], source: str) -> Iterator[tuple[int, Region]]:
    low, high = block.min(), block.max()
    whole = block.dtype.kind in "bui" or bool((block == np.rint(block)).all())
    if whole and low >= 0 and high <= MOST_OBJECTS:
        # the common case, without sorting every pixel
        values = np.arange(1, int(high) + 1)
        found = ndimage.find_objects(block.astype(np.uint16))
    else:
        values, places = np.unique(block, return_inverse=True)
        _require_labels(values, source)
        found = ndimage.find_objects(places.reshape(block.shape) + 1)
    for value, slices in zip(values, found, strict=True):
        if value > 0 and slices is not None:
            start, stop = (tuple(getattr(s, end) for s in slices) for end in ("start", "stop"))
            yield int(value), Region(start, stop)


def _require_labels(values: NDArray[np.generic], source: str) -> None:
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0:
        raise PromptError(
            f"{source}: is an image, not a label image: its values run from {values.min():g} to "
            f"{values.max():g}; labels are whole numbers from 0"
        )
    if len(values) > MOST_OBJECTS + 1:
        raise _intensities(source, len(values))


def _check_values(labels: Image, boxes: dict[int, Region], marked: int) -> None:
    """Grey pictures are whole numbers too, but their values are everywhere or nearly unique."""
    spans = [np.prod(r.shape) / np.prod(labels.grid.shape) for r in boxes.values()]
    scattered = float(np.median(spans)) > 0.25 or marked < 4 * len(boxes)
    if len(boxes) > 20 and scattered:
        raise _intensities(labels.info.source, len(boxes))


def _intensities(source: str, count: int) -> PromptError:
    return PromptError(
        f"{source}: is an image, not a label image: {count} values or more, scattered all over; "
        "labels are one whole number an object"
    )


def _prompt(value: int, region: Region, grid: Grid, space: Space) -> Prompt:
    box: tuple[float, ...] = tuple(float(v) for v in (*region.start[::-1], *region.stop[::-1]))
    return Prompt(value, box=grid.box_to_world(box) if space == "world" else box)
