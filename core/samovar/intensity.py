"""Intensity: the one named step between an image's values and the picture that a model sees.

Every rule comes down to one linear stretch a picture channel, whose limits are fixed once for the
whole image (never slice by slice or tile by tile) and recorded in the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.image import Image
from samovar.stretch import Wish, parse_stretch

MODALITIES = ("ct", "mr", "us", "xr", "pet", "microscopy", "fundus", "gray", "rgb", "ms", "sar")
"""What ``--modality`` takes beside ``auto``."""

CT_WINDOW = (40.0, 400.0)
"""Level and width in HU of the soft-tissue window, the default for CT."""

PERCENTILES = {"mr": (0.5, 99.5), "pet": (0.0, 99.8), "ms": (2.0, 98.0), "sar": (1.0, 99.0)}
_WINDOW = re.compile(r"[Ll](-?\d+(?:\.\d+)?)[Ww](\d+(?:\.\d+)?)")
_SAMPLE = 512


@dataclass(frozen=True)
class Stretch:
    """Values ``low … high`` of source channel ``channel`` become 0 … 255."""

    channel: int
    low: float
    high: float


@dataclass(frozen=True)
class Intensity:
    """How an image's values become the three channels of a picture."""

    modality: str
    rule: str
    """In words, for the person and the manifest."""
    channels: tuple[Stretch, Stretch, Stretch]
    guessed: bool = False
    """The modality was chosen by a heuristic, not by metadata or by the user."""

    def apply(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """``(channels, rows, columns)`` values → ``(3, rows, columns)`` float32 in 0…255.

        NaN becomes 0.
        """
        picture = np.empty((3, *block.shape[1:]), dtype=np.float32)
        done: dict[Stretch, int] = {}
        for i, stretch in enumerate(self.channels):
            if stretch in done:
                picture[i] = picture[done[stretch]]
                continue
            scale = 255.0 / (stretch.high - stretch.low)
            plane = (block[stretch.channel].astype(np.float32) - stretch.low) * np.float32(scale)
            np.clip(np.nan_to_num(plane, copy=False), 0.0, 255.0, out=picture[i])
            done[stretch] = i
        return picture

    def describe(self) -> dict[str, Any]:
        """The step as the manifest records it."""
        return {
            "modality": self.modality,
            "guessed": self.guessed,
            "rule": self.rule,
            "channels": [[s.channel, s.low, s.high] for s in self.channels],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Intensity:
        """The step that :meth:`describe` recorded."""
        r, g, b = (Stretch(int(c), float(low), float(high)) for c, low, high in record["channels"])
        return cls(record["modality"], record["rule"], (r, g, b), record["guessed"])


def parse_window(text: str) -> tuple[float, float]:
    """``"L40W400"`` → level 40, width 400.

    Raises:
        UsageError: the text is not of that form, or the width is not positive.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None or float(match[2]) <= 0:
        raise UsageError(
            f"window {text!r} is not understood: write level and width as in L40W400 "
            "(several for several channels)"
        )
    return float(match[1]), float(match[2])


def choose_intensity(
    image: Image, modality: str = "auto", windows: Sequence[str] = ()
) -> Intensity:
    """Fix the intensity step of an image, once.

    Args:
        image: read sparsely (at most about a megapixel) when percentiles are needed.
        modality: one of :data:`MODALITIES`, or ``"auto"``: metadata, else a stated heuristic.
        windows: ``L40W400`` strings, at most three; they become the channels.

    Raises:
        UsageError: unknown modality, malformed or too many windows.
    """
    if modality not in ("auto", *MODALITIES):
        raise UsageError(
            f"modality {modality!r} is unknown: choose auto or one of {', '.join(MODALITIES)}"
        )
    guessed = modality == "auto" and image.info.modality is None
    sample: NDArray[Any] | None = None
    if modality == "auto":
        modality = image.info.modality or ""
    if not modality:
        sample = _sample(image)
        modality = guess_modality(sample, image.info.domain, image.dtype)
    if windows:
        return _windowed(image, modality, windows, guessed)
    if image.stretch is not None:
        return _stretched(image, modality, parse_stretch(image.stretch), guessed)
    if modality == "ct" and image.dtype != np.uint8:
        return _windowed(image, modality, [f"L{CT_WINDOW[0]:g}W{CT_WINDOW[1]:g}"], guessed)
    sources = (0, 1, 2) if image.channels >= 3 else (0, 0, 0)
    if image.dtype == np.uint8:
        r, g, b = (Stretch(c, 0.0, 255.0) for c in sources)
        return Intensity(modality, "8-bit values as they are", (r, g, b), guessed)
    sample = _sample(image) if sample is None else sample
    low, high = PERCENTILES.get(modality, (0.5, 99.5))
    r, g, b = (_percentiles(sample[c], c, low, high, modality) for c in sources)
    rule = f"percentiles {low:g} to {high:g} of the whole image"
    return Intensity(modality, rule, (r, g, b), guessed)


def guess_modality(sample: NDArray[Any], domain: str, dtype: np.dtype[Any]) -> str:
    """The stated heuristic behind ``auto``.

    Volumes whose lowest percent lies below -500 are CT (air in HU), other volumes MR. Pictures
    and rasters of one channel are ``gray`` (8 bit, or pictures) or ``ms``; three 8-bit channels
    are ``rgb``; everything else is ``ms``.
    """
    if domain == "volume":
        finite = sample[np.isfinite(sample)]
        return "ct" if finite.size and np.percentile(finite, 1) < -500 else "mr"
    if sample.shape[0] in (1, 2):
        return "gray" if dtype == np.uint8 or domain == "picture" else "ms"
    return "rgb" if dtype == np.uint8 or domain == "picture" else "ms"


def _windowed(image: Image, modality: str, windows: Sequence[str], guessed: bool) -> Intensity:
    if len(windows) > 3:
        raise UsageError(f"{len(windows)} windows were given: a picture has at most 3 channels")
    limits = [parse_window(w) for w in windows]
    limits += [limits[-1]] * (3 - len(limits))
    many = len(windows) == 1 and image.channels >= 3
    r, g, b = (
        Stretch(i if many else 0, level - width / 2, level + width / 2)
        for i, (level, width) in enumerate(limits)
    )
    return Intensity(modality, "window " + " ".join(windows), (r, g, b), guessed)


def _stretched(image: Image, modality: str, wish: Wish, guessed: bool) -> Intensity:
    sources = (0, 1, 2) if image.channels >= 3 else (0, 0, 0)
    if wish.percentiles is None:
        limits = [wish.limits[min(c, len(wish.limits) - 1)] for c in sources]
        r, g, b = (Stretch(c, *pair) for c, pair in zip(sources, limits, strict=True))
        return Intensity(modality, "limits as given", (r, g, b), guessed)
    low, high = wish.percentiles
    sample = _sample(image)
    r, g, b = (_percentiles(sample[c], c, low, high, modality) for c in sources)
    rule = f"percentiles {low:g} to {high:g} of the whole image, as given"
    return Intensity(modality, rule, (r, g, b), guessed)


def _percentiles(
    values: NDArray[Any], channel: int, low: float, high: float, modality: str
) -> Stretch:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Stretch(channel, 0.0, 1.0)
    least = float(finite.min())
    if modality in ("mr", "pet") and (finite > least).any():
        finite = finite[finite > least]  # air would crowd the percentiles
    a, b = (float(v) for v in np.percentile(finite, [low, high]))
    a = a if b > a else least
    return Stretch(channel, a, b if b > a else a + 1.0)


def _sample(image: Image) -> NDArray[Any]:
    """``(channels, n)`` valid values spread over the whole image; floats with NaN if any."""
    grid = image.grid
    own = image.sample()
    if own is not None:
        return own
    if grid.ndim == 2:
        size = tuple(min(n, _SAMPLE) for n in grid.shape)
        block = image.read(None, size=size)
        valid = image.valid(None, size=size)
        flat = block.reshape(block.shape[0], -1)
        if valid is None or not valid.any():
            return flat
        return np.asarray(flat[:, valid.ravel()])
    axis = grid.slice_axis()
    count = grid.shape[axis]
    parts = []
    for i in np.unique(np.linspace(0, count - 1, min(count, 16)).round().astype(int)):
        start, stop = [0, 0, 0], list(grid.shape)
        start[axis], stop[axis] = int(i), int(i) + 1
        block = image.read(Region(tuple(start), tuple(stop)))
        step = max(1, max(block.shape[1:]) // 256)
        parts.append(block[:, ::step, ::step, ::step].reshape(block.shape[0], -1))
    return np.concatenate(parts, axis=1)
