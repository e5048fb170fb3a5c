"""The picture that a person wants to see: slices in radiological display, or the scene outlined.

Pillow only. Volumes are shown from below (patient right on screen left, anterior or superior up),
in their true proportions; scenes and pictures whole, at most ``LONGEST`` pixels on a side.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.intensity import Intensity, choose_intensity
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject

LONGEST = 1600
"""Pixels of the longest side of a scene's preview."""
PANEL = 320
"""Pixels of the longest side of one slice in a montage."""
PANELS = 12
LEGEND = 24
"""Objects named in the legend; further ones are counted."""

_RGB = tuple[int, int, int]


def colour(id: int) -> _RGB:
    """A colour for a label: neighbours in number lie far apart in hue."""
    hue = (0.02 + (id - 1) * 0.6180339887) % 1.0
    r, g, b = colorsys.hsv_to_rgb(hue, 0.75 if id % 2 else 0.6, 1.0)
    return int(r * 255), int(g * 255), int(b * 255)


def save_preview(objects: Objects, path: Path, image: Image) -> None:
    """Draw the objects over their image, in the intensities that the model saw; write a PNG.

    Args:
        path: written as it is; the caller renames.
    """
    record = objects.provenance.get("intensity")
    step = choose_intensity(image) if record is None else Intensity.from_record(record)
    if image.grid.ndim == 3:
        canvas = montage(objects, image, step)
    else:
        canvas = _scene(objects, image, step.apply)
    _with_legend(canvas, objects).save(path, format="PNG")


def _scene(objects: Objects, image: Image, apply: Any) -> PillowImage.Image:
    rows, columns = image.grid.shape
    scale = min(1.0, LONGEST / max(rows, columns))
    size = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    picture = apply(image.read(None, size=size))
    grow = max(1, min(3, 512 // max(size)))
    labels = _thumbnail_labels(objects, image.grid, size)
    return _overlay(picture, labels, grow)


def _thumbnail_labels(
    objects: Objects, grid: Grid, size: tuple[int, int]
) -> NDArray[np.unsignedinteger[Any]]:
    """Labels at the preview's resolution, object by object: no full-size label image."""
    labels = np.zeros(size, dtype=objects.label_dtype)
    factors = [n / full for n, full in zip(size, grid.shape, strict=True)]
    for item in objects.largest_first():
        if item.empty:
            continue
        mask, picks, block = item.mask, [], []
        for start, stop, factor, n in zip(
            item.region.start, item.region.stop, factors, size, strict=True
        ):
            low = min(int(start * factor), n - 1)
            high = max(low + 1, min(n, math.ceil(stop * factor)))
            source = ((np.arange(low, high) + 0.5) / factor).astype(int) - start
            picks.append(np.clip(source, 0, stop - start - 1))
            block.append(slice(low, high))
        labels[tuple(block)][mask[np.ix_(*picks)]] = item.id
    return labels


def montage(objects: Objects, image: Image, intensity: Intensity) -> PillowImage.Image:
    """Slices of a volume through its objects, evenly spaced, at most :data:`PANELS` of them."""
    grid = image.grid
    axis = grid.slice_axis()
    panels = []
    for index in _indices(objects, grid, axis):
        start, stop = [0, 0, 0], list(grid.shape)
        start[axis], stop[axis] = index, index + 1
        region = Region(tuple(start), tuple(stop))
        picture = intensity.apply(np.squeeze(image.read(region), axis=axis + 1))
        labels = np.squeeze(objects.labels(region), axis=axis)
        panels.append(_display(picture, labels, grid, axis, f"{'zyx'[axis]} = {index}"))
    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = max(p.width for p in panels)
    height = max(p.height for p in panels)
    canvas = PillowImage.new("RGB", (columns * width, rows * height))
    for i, panel in enumerate(panels):
        canvas.paste(panel, ((i % columns) * width, (i // columns) * height))
    return canvas


def _indices(objects: Objects, grid: Grid, axis: int) -> list[int]:
    """Slices of the montage, evenly through the objects."""
    found = [o for o in objects if not o.empty]
    first = min((o.region.start[axis] for o in found), default=0)
    last = max((o.region.stop[axis] for o in found), default=grid.shape[axis]) - 1
    count = min(PANELS, last - first + 1)
    return sorted({round(v) for v in np.linspace(first, last, count + 2)[1:-1]})


@dataclass(frozen=True)
class Hanging:
    """How a slice is shown: patient right on screen left, anterior or superior up."""

    swap: bool
    """Rows and columns change places, before the flips."""
    flip_rows: bool
    flip_columns: bool
    spacing: tuple[float, float]
    """Of rows and columns as shown."""

    def apply(self, plane: NDArray[Any]) -> NDArray[Any]:
        """``(…, rows, columns)`` as stored → as shown, without copying."""
        shown = np.swapaxes(plane, -1, -2) if self.swap else plane
        shown = shown[..., ::-1, :] if self.flip_rows else shown
        return shown[..., ::-1] if self.flip_columns else shown


def hang(grid: Grid, axis: int) -> Hanging:
    """How a radiologist hangs slices along array axis ``axis``, by direction cosines."""
    kept = [a for a in (0, 1, 2) if a != axis]
    world = [int(np.argmax(np.abs(grid.direction[:, 2 - a]))) for a in kept]
    signs = [float(np.sign(grid.direction[w, 2 - a])) for a, w in zip(kept, world, strict=True)]
    spacing = [grid.spacing[2 - a] for a in kept]
    # Screen columns run along L (or P in a sagittal slice), screen rows along P (or I).
    swap = world[0] < world[1]
    if swap:
        world, signs, spacing = world[::-1], signs[::-1], spacing[::-1]
    down = -signs[0] if world[0] == 2 else signs[0]
    return Hanging(swap, down < 0, signs[1] < 0, (spacing[0], spacing[1]))


def _display(
    picture: NDArray[np.float32],
    labels: NDArray[np.unsignedinteger[Any]],
    grid: Grid,
    axis: int,
    text: str,
) -> PillowImage.Image:
    """One slice as a radiologist hangs it."""
    hanging = hang(grid, axis)
    picture, labels, spacing = hanging.apply(picture), hanging.apply(labels), hanging.spacing
    height, width = (n * s for n, s in zip(labels.shape, spacing, strict=True))
    scale = PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    shown = np.asarray(PillowImage.fromarray(grey).resize(size, PillowImage.Resampling.BILINEAR))
    marks = PillowImage.fromarray(labels.astype(np.int32)).resize(
        size, PillowImage.Resampling.NEAREST
    )
    panel = _overlay(shown.transpose(2, 0, 1).astype(np.float32), np.asarray(marks), 1)
    ImageDraw.Draw(panel).text((4, 2), text, fill=(255, 255, 255), font=_font(13))
    return panel


def _overlay(picture: NDArray[np.float32], labels: NDArray[Any], grow: int) -> PillowImage.Image:
    """Objects tinted, with an outline that lies just inside them."""
    picture = picture.repeat(grow, axis=1).repeat(grow, axis=2)
    labels = labels.repeat(grow, axis=0).repeat(grow, axis=1)
    rgb = np.clip(picture, 0, 255).transpose(1, 2, 0).copy()
    ids = np.unique(labels)
    table = np.zeros((int(ids.max(initial=0)) + 1, 3), dtype=np.float32)
    for id in ids[ids > 0]:
        table[int(id)] = colour(int(id))
    inside = labels > 0
    flat = ndimage.minimum_filter(labels, 3) != ndimage.maximum_filter(labels, 3)
    rgb[inside] = 0.72 * rgb[inside] + 0.28 * table[labels[inside]]
    line = inside & flat
    rgb[line] = table[labels[line]]
    return PillowImage.fromarray(rgb.astype(np.uint8))


def _with_legend(canvas: PillowImage.Image, objects: Objects) -> PillowImage.Image:
    """The picture with a panel at its right: colour, name, size, score; and the notice."""
    font, line = _font(14), 22
    listed: Sequence[SegmentedObject] = objects.items[:LEGEND]
    entries = [(_entry(o), colour(o.id)) for o in listed]
    more = len(objects) - len(listed)
    if more > 0:
        entries.append((f"and {more} more", (200, 200, 200)))
    entries.append((DISCLAIMER, (150, 150, 150)))
    probe = ImageDraw.Draw(canvas)
    width = 40 + math.ceil(max(probe.textlength(text, font=font) for text, _ in entries))
    height = max(canvas.height, 16 + line * len(entries))
    page = PillowImage.new("RGB", (canvas.width + width, height), (24, 24, 28))
    page.paste(canvas, (0, 0))
    draw = ImageDraw.Draw(page)
    for i, (text, rgb) in enumerate(entries):
        x, y = canvas.width + 10, 8 + i * line
        if i < len(listed):
            draw.rectangle((x, y + 2, x + 13, y + 15), fill=rgb)
        draw.text((x + 20, y), text, fill=(235, 235, 235) if i < len(listed) else rgb, font=font)
    return page


def _entry(item: SegmentedObject) -> str:
    name = item.name or f"object {item.id}"
    if item.empty:
        return f"{name}: not found"
    sizes = {"volume_ml": "{:.1f} mL", "area_m2": "{:.1f} sq m", "pixels": "{:.0f} px"}
    size = next((f.format(item.measures[k]) for k, f in sizes.items() if k in item.measures), "")
    return f"{name}  {size}  {item.score:.2f}"


def _font(size: int) -> Any:
    """A font of the system with accents and symbols, else Pillow's own, which is ASCII."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf")
