"""References: what costs nothing, asked for with the same box, computed in the same run.

* ``ellipse``: the ellipse (ellipsoid) inscribed in the box.
* ``otsu``: Otsu's threshold of the grey values inside the box, *the better of both polarities*:
  it is told by the truth whether the object is bright or dark, so it flatters the reference.
* ``grabcut``: OpenCV's GrabCut, 5 iterations, started from the box (a development extra); the
  box where it finds nothing. Of volumes it cuts slice by slice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import DependencyError
from samovar.evaluation.metrics import dice
from samovar.grid import Region
from samovar.masks import PixelMask

GRABCUT_ITERATIONS = 5

Picture = NDArray[np.float32]
Box = tuple[float, ...]
Cut = Callable[[NDArray[np.uint8], Region], PixelMask]


class References:
    """Dice of the references; GrabCut's may be remembered in a file, since it is slow.

    Args:
        grabcut: also GrabCut, which needs OpenCV.
        memory: JSON file of earlier GrabCut results, read now and written by :meth:`save`.

    Raises:
        DependencyError: GrabCut is asked for and OpenCV is missing.
    """

    def __init__(self, grabcut: bool = False, memory: Path | None = None) -> None:
        if grabcut:
            _opencv().setNumThreads(1)
        self.grabcut = grabcut
        self._memory = memory
        self._known: dict[str, float] = {}
        if memory is not None and memory.is_file():
            self._known = json.loads(memory.read_text(encoding="utf-8"))

    def dice(
        self, picture: Picture, box: Box, true: PixelMask, axis: int | None = None
    ) -> dict[str, float]:
        """Dice of each reference for one object.

        Args:
            picture: ``(3, *shape)``, 0…255, as the model sees it.
            box: ``x0, y0[, z0], x1, y1[, z1]``, max exclusive.
            true: the object.
            axis: array axis along which a volume is sliced; None for pictures.
        """
        region = box_region(box, picture.shape[1:])
        result = {
            "ellipse": dice(ellipse(box, region), true),
            "otsu": max(dice(mask, true) for mask in otsu(picture, region)),
        }
        if self.grabcut:
            result["grabcut"] = self._grabcut(picture, region, true, axis)
        return result

    def save(self) -> None:
        """Writes what was remembered, if there is a file for it."""
        if self._memory is not None and self._known:
            part = self._memory.with_name(self._memory.name + ".part")
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._memory)

    def _grabcut(
        self, picture: Picture, region: Region, true: PixelMask, axis: int | None
    ) -> float:
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        content = hashlib.sha256(np.ascontiguousarray(pixels).tobytes())
        content.update(repr((pixels.shape, region, true.region, axis)).encode())
        content.update(np.packbits(true.inside).tobytes())
        key = content.hexdigest()[:24]
        if key not in self._known:
            cut = grabcut_picture if axis is None else _by_slice(grabcut_picture, axis)
            self._known[key] = dice(cut(pixels, region), true)
        return self._known[key]


def box_region(box: Box, shape: tuple[int, ...]) -> Region:
    """The pixels whose centres lie in the box, at least one along each axis."""
    n = len(shape)
    start = [min(max(0, round(v)), s - 1) for v, s in zip(box[:n][::-1], shape, strict=True)]
    stop = [
        min(max(round(v), a + 1), s) for v, a, s in zip(box[n:][::-1], start, shape, strict=True)
    ]
    return Region(tuple(start), tuple(stop))


def ellipse(box: Box, region: Region) -> PixelMask:
    """The ellipse or ellipsoid inscribed in the box."""
    n = len(region.start)
    low, high = np.array(box[:n][::-1]), np.array(box[n:][::-1])
    middle, radius = (low + high) / 2 - 0.5, (high - low) / 2
    axes = np.ogrid[region.slices]
    distance = sum(((a - m) / r) ** 2 for a, m, r in zip(axes, middle, radius, strict=True))
    return PixelMask(region, np.asarray(distance) <= 1.0)


def otsu(picture: Picture, region: Region) -> tuple[PixelMask, PixelMask]:
    """What is brighter than Otsu's threshold inside the region, and what is not."""
    grey = picture[(slice(None), *region.slices)].mean(axis=0)
    bright = grey > otsu_threshold(grey)
    return PixelMask(region, bright), PixelMask(region, ~bright)


def otsu_threshold(values: NDArray[Any], bins: int = 256) -> float:
    """The threshold of greatest variance between the classes (Otsu, 1979), over a histogram."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return low
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    means_below = sums[:-1] / np.maximum(below, 1)
    means_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (means_below - means_above) ** 2
    return float(edges[1 + int(np.argmax(between))])


def grabcut_picture(picture: NDArray[np.uint8], region: Region) -> PixelMask:
    """GrabCut of the whole ``(3, rows, columns)`` picture, started from the box.

    The box itself where the box is the whole picture, or where GrabCut finds nothing.
    """
    cv2 = _opencv()
    box = PixelMask(region, np.ones(region.shape, dtype=bool))
    if region.shape == picture.shape[1:] or min(region.shape) < 2:
        return box
    pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
    states = np.zeros(pixels.shape[:2], dtype=np.uint8)
    (y0, x0), (rows, columns) = region.start, region.shape
    window, start = (x0, y0, columns, rows), cv2.GC_INIT_WITH_RECT
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(pixels, states, window, background, foreground, GRABCUT_ITERATIONS, start)
    except cv2.error:  # too few pixels for its colour models
        return box
    kept = (states == cv2.GC_FGD) | (states == cv2.GC_PR_FGD)
    found = PixelMask.of(kept[region.slices], region.start)
    return box if found.empty else found


def _by_slice(cut: Cut, axis: int) -> Cut:
    def run(picture: NDArray[np.uint8], region: Region) -> PixelMask:
        inside = np.zeros(region.shape, dtype=bool)
        flat = Region(_without(region.start, axis), _without(region.stop, axis))
        for i in range(region.shape[axis]):
            part = cut(np.take(picture, region.start[axis] + i, axis + 1), flat)
            if not part.empty:
                layer = np.moveaxis(inside, axis, 0)[i]
                layer[part.region.within(flat)] = part.inside
        return PixelMask(region, inside)

    return run


def _without(values: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return values[:axis] + values[axis + 1 :]


def _opencv() -> Any:
    try:
        return import_module("cv2")
    except ImportError as error:
        raise DependencyError(
            "--references needs OpenCV for GrabCut: pip install 'samovar[grabcut]'"
        ) from error
