"""Targets: the true objects of a label image, which a model is asked for one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from samovar.errors import InputError
from samovar.evaluation.sets import EvaluationSet
from samovar.masks import PixelMask

MIN_PIXELS = 100
"""Smallest connected component that counts as an object."""
MOST_OBJECTS = 8
"""Components taken from one picture, largest first. Instances are all taken."""


@dataclass(frozen=True, eq=False)
class Target:
    """One true object of a picture or a volume."""

    number: int
    """From 1, largest first."""
    class_id: int
    class_name: str
    thin: bool
    mask: PixelMask

    @property
    def pixels(self) -> int:
        return int(self.mask.inside.sum())

    @property
    def box(self) -> tuple[float, ...]:
        """Tight box ``x0, y0[, z0], x1, y1[, z1]``, max exclusive."""
        region = self.mask.region
        return tuple(float(v) for v in (*region.start[::-1], *region.stop[::-1]))


def read_labels(path: Path) -> NDArray[np.integer[Any]]:
    """A label PNG → ``(rows, columns)`` integers.

    Raises:
        InputError: unreadable, or a colour picture.
    """
    try:
        with PillowImage.open(path) as picture:
            picture.load()
            if picture.mode not in {"1", "L", "P", "I", "I;16", "I;16B"}:
                raise InputError(
                    f"{path} is a picture of mode {picture.mode}: masks are label PNGs with one "
                    "integer a pixel"
                )
            array = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a label PNG: {error}") from error
    return array.astype(np.uint8) if array.dtype == bool else array


def targets_of(
    labels: NDArray[np.integer[Any]], where: EvaluationSet, *, most: int | None = None
) -> list[Target]:
    """True objects of a label picture, largest first.

    Instances when the set has them (all of them), else the 4-connected components of each class
    of at least :data:`MIN_PIXELS` pixels, at most :data:`MOST_OBJECTS` a picture. ``most``
    overrides both limits; 0 means no limit.
    """
    found = _instances(labels) if where.instances else _components(labels)
    found.sort(key=lambda f: (-int(f[1].inside.sum()), f[0], f[1].region.start))
    limit = most if most is not None else (0 if where.instances else MOST_OBJECTS)
    return [
        Target(i, value, where.class_name(value), where.thin(value), mask)
        for i, (value, mask) in enumerate(found[: limit or None], start=1)
    ]


def volume_targets(labels: NDArray[np.integer[Any]], where: EvaluationSet) -> list[Target]:
    """The largest connected component of each class of a volume, by class."""
    targets: list[Target] = []
    for value in _values(labels):
        parts, count = ndimage.label(labels == value)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        largest = int(np.argmax(sizes)) + 1
        mask = PixelMask.of(parts == largest)
        targets.append(
            Target(len(targets) + 1, value, where.class_name(value), where.thin(value), mask)
        )
    return targets


def _values(labels: NDArray[np.integer[Any]]) -> list[int]:
    return [int(v) for v in np.unique(labels) if v != 0]


def _instances(labels: NDArray[np.integer[Any]]) -> list[tuple[int, PixelMask]]:
    dense = labels.astype(np.int64)
    found = []
    for value, window in enumerate(ndimage.find_objects(dense), start=1):
        if window is not None:
            start = tuple(int(s.start) for s in window)
            found.append((value, PixelMask.of(dense[window] == value, start)))
    return found


def _components(labels: NDArray[np.integer[Any]]) -> list[tuple[int, PixelMask]]:
    found = []
    for value in _values(labels):
        parts, _ = ndimage.label(labels == value)
        for number, window in enumerate(ndimage.find_objects(parts), start=1):
            inside = parts[window] == number
            if int(inside.sum()) >= MIN_PIXELS:
                start = tuple(int(s.start) for s in window)
                found.append((value, PixelMask.of(inside, start)))
    return found
