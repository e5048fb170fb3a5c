"""Asking: the prompts that a careful or a careless user would give for a true object.

Every random choice is seeded by the object's own name, so that it depends neither on the order of
the objects nor on which others are evaluated.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.errors import UsageError
from samovar.evaluation.targets import Target
from samovar.masks import LowRes, PixelMask
from samovar.prompts import Prompt

PROMPTS = ("box", "point", "center")
Kind = Literal["box", "point", "center", "auto"]


@dataclass(frozen=True)
class Asking:
    """How objects are asked for."""

    prompt: Kind = "box"
    generator: str = ""
    """What follows ``auto:``: ``NAME[:key=value,…]``."""
    jitter: float = 0.0
    """Each edge of a box is moved by up to this share of the box's size."""
    clicks: int = 0
    """Corrective clicks after the first prompt."""
    seed: int = 0

    @classmethod
    def parse(cls, text: str, *, jitter: float = 0.0, clicks: int = 0, seed: int = 0) -> Asking:
        """``box``, ``point``, ``center`` or ``auto:GENERATOR``.

        Raises:
            UsageError: anything else, or options that do not go together.
        """
        if not 0 <= jitter < 0.5:
            raise UsageError(f"--jitter {jitter:g}: give a share of the box, 0 to 0.5")
        if clicks < 0:
            raise UsageError(f"--clicks {clicks}: give 0 or more")
        if text.startswith("auto:") and len(text) > len("auto:"):
            if jitter or clicks:
                raise UsageError("--jitter and --clicks go with a prompt for each object, not auto")
            return cls("auto", text.removeprefix("auto:"), seed=seed)
        if text == "box":
            return cls("box", "", jitter, clicks, seed)
        if text in PROMPTS:
            if jitter:
                raise UsageError("--jitter moves the edges of boxes: add --prompt box")
            first: Kind = "point" if text == "point" else "center"
            return cls(first, "", 0.0, clicks, seed)
        raise UsageError(f"--prompt {text!r}: choose box, point, center or auto:GENERATOR")

    def first(self, target: Target, key: str, shape: tuple[int, ...]) -> Prompt:
        """The first prompt of an object in an image of ``shape`` (array order).

        ``key`` names the object's picture, ``"set/stem"``.
        """
        rng = np.random.default_rng([self.seed, zlib.crc32(f"{key}/{target.number}".encode())])
        if self.prompt == "box":
            box = target.box
            if self.jitter:
                box = jittered(box, self.jitter, shape, rng)
            return Prompt(target.number, box=box)
        inside = centre if self.prompt == "center" else lambda mask: interior_point(mask, rng)
        return Prompt(target.number, points=(inside(target.mask),), labels=(1,))


def jittered(
    box: tuple[float, ...], share: float, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[float, ...]:
    """Moves each edge by a uniform ±``share`` of the box's size, within the image, ≥ 1 px left."""
    n = len(shape)
    limit = np.array(shape[::-1], dtype=np.float64)
    low, high = np.array(box[:n]), np.array(box[n:])
    size = high - low
    low = np.clip(low + rng.uniform(-share, share, n) * size, 0, limit - 1)
    high = np.clip(high + rng.uniform(-share, share, n) * size, low + 1, limit)
    return tuple(float(v) for v in (*low, *high))


def centre(mask: PixelMask) -> tuple[float, ...]:
    """The pixel farthest from the mask's edge, as ``x, y[, z]``."""
    distance = _depth(mask.inside)
    return _position(mask, np.unravel_index(int(np.argmax(distance)), distance.shape))


def interior_point(mask: PixelMask, rng: np.random.Generator) -> tuple[float, ...]:
    """A pixel drawn evenly from those that do not touch the edge, or from all if none is left."""
    distance = _depth(mask.inside)
    candidates = np.argwhere(distance > 1) if (distance > 1).any() else np.argwhere(mask.inside)
    return _position(mask, tuple(candidates[rng.integers(len(candidates))]))


def corrective_click(true: PixelMask, predicted: PixelMask) -> tuple[tuple[float, ...], int] | None:
    """Position and label (1 add, 0 remove) at the centre of the largest error; None if none."""
    region = true.region if predicted.empty else true.region.union(predicted.region)
    truth, answer = np.zeros(region.shape, dtype=bool), np.zeros(region.shape, dtype=bool)
    truth[true.region.within(region)] = true.inside
    if not predicted.empty:
        answer[predicted.region.within(region)] = predicted.inside
    largest: tuple[int, NDArray[np.bool_], int] | None = None
    for error, label in ((truth & ~answer, 1), (answer & ~truth, 0)):
        parts, count = ndimage.label(error)
        if count:
            sizes = np.bincount(parts.ravel())[1:]
            best = int(np.argmax(sizes))
            if largest is None or sizes[best] > largest[0]:
                largest = (int(sizes[best]), parts == best + 1, label)
    if largest is None:
        return None
    return centre(PixelMask.of(largest[1], region.start)), largest[2]


def corrected(prompt: Prompt, true: PixelMask, predicted: PixelMask, low_res: LowRes) -> Prompt:
    """The prompt with one corrective click and the previous mask added."""
    click = corrective_click(true, predicted)
    if click is None:
        return replace(prompt, mask=low_res)
    position, label = click
    points, labels = (*prompt.points, position), (*prompt.labels, label)
    return replace(prompt, points=points, labels=labels, mask=low_res)


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    padded = np.pad(inside, 1)
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(padded)
    return distance[(slice(1, -1),) * inside.ndim]


def _position(mask: PixelMask, index: tuple[np.intp, ...]) -> tuple[float, ...]:
    at = [int(i) + s for i, s in zip(index, mask.region.start, strict=True)]
    return tuple(float(v) for v in reversed(at))
