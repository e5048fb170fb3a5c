"""The slice that shows an object best: where its diameter is longest, with both diameters drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from samovar.grid import Region
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.objects import SegmentedObject
from samovar.preview import colour, hang
from samovar_medical.measuring import Diameters, diameters

SIDE = 300
"""Pixels of the picture's longer side."""
_MARGIN = 0.6
"""Of the object's size, shown around it on every side; at least :data:`_LEAST` millimetres."""
_LEAST = 20.0
_WHITE, _YELLOW = (255, 255, 255), (255, 214, 10)

Picture = PillowImage.Image


def key_slice(item: SegmentedObject, image: Image, intensity: Intensity) -> tuple[Picture, int]:
    """A picture cut around the object as a radiologist hangs it, and the slice's index."""
    grid = image.grid
    axis = grid.slice_axis()
    found = diameters(item, grid)
    kept = [a for a in range(3) if a != axis]
    low, high = _window(item, grid.shape, grid.spacing, kept)
    start, stop = [0, 0, 0], [0, 0, 0]
    start[axis], stop[axis] = found.slice, found.slice + 1
    for a, first, last in zip(kept, low, high, strict=True):
        start[a], stop[a] = first, last
    region = Region(tuple(start), tuple(stop))
    picture = intensity.apply(np.squeeze(image.read(region), axis=axis + 1))
    inside = np.squeeze(_inside(item, region), axis=axis)
    hanging = hang(grid, axis)
    shown, marked = hanging.apply(picture), hanging.apply(inside)
    size = _size(marked.shape, hanging.spacing)
    grey = np.clip(shown, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    canvas = PillowImage.fromarray(grey).resize(size, PillowImage.Resampling.BICUBIC)
    _outline(canvas, marked, colour(item.id))
    _draw(canvas, found, kept, low, marked.shape, hanging)
    return canvas, found.slice


def _window(
    item: SegmentedObject, shape: tuple[int, ...], spacing: tuple[float, ...], kept: list[int]
) -> tuple[list[int], list[int]]:
    sizes = [(item.region.stop[a] - item.region.start[a]) * spacing[2 - a] for a in kept]
    half = max(max(sizes) / 2.0 * (1.0 + _MARGIN), max(sizes) / 2.0 + _LEAST)
    low, high = [], []
    for a in kept:
        middle = (item.region.start[a] + item.region.stop[a]) / 2.0
        reach = half / spacing[2 - a]
        low.append(max(0, math.floor(middle - reach)))
        high.append(min(shape[a], math.ceil(middle + reach)))
    return low, high


def _inside(item: SegmentedObject, region: Region) -> NDArray[np.bool_]:
    out = np.zeros(region.shape, dtype=bool)
    common = item.region.intersect(region)
    if not common.empty:
        out[common.within(region)] = item.mask[common.within(item.region)]
    return out


def _size(shape: tuple[int, ...], spacing: tuple[float, float]) -> tuple[int, int]:
    height, width = shape[0] * spacing[0], shape[1] * spacing[1]
    scale = SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _outline(canvas: Picture, inside: NDArray[np.bool_], rgb: tuple[int, int, int]) -> None:
    """The edge of the mask, pixel by pixel, as lines on the enlarged picture."""
    draw = ImageDraw.Draw(canvas)
    sx, sy = canvas.width / inside.shape[1], canvas.height / inside.shape[0]
    wide = np.pad(inside, 1)
    for y, x in np.argwhere(wide[1:, 1:-1] != wide[:-1, 1:-1]):
        draw.line((x * sx, y * sy, (x + 1) * sx, y * sy), fill=rgb, width=2)
    for y, x in np.argwhere(wide[1:-1, 1:] != wide[1:-1, :-1]):
        draw.line((x * sx, y * sy, x * sx, (y + 1) * sy), fill=rgb, width=2)


def _draw(
    canvas: Picture,
    found: Diameters,
    kept: list[int],
    low: list[int],
    shape: tuple[int, ...],
    hanging: Any,
) -> None:
    draw = ImageDraw.Draw(canvas)
    for ends, rgb in ((found.ends, _WHITE), (found.across, _YELLOW)):
        line = []
        for point in ends:
            row, column = (point[2 - a] - first for a, first in zip(kept, low, strict=True))
            if hanging.swap:
                row, column = column, row
            row = shape[0] - 1 - row if hanging.flip_rows else row
            column = shape[1] - 1 - column if hanging.flip_columns else column
            x = (column + 0.5) * canvas.width / shape[1]
            y = (row + 0.5) * canvas.height / shape[0]
            line += [x, y]
        draw.line(line, fill=rgb, width=2)
