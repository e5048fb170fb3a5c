"""Resize: how a picture becomes what an encoder sees, by rules that a model states.

Nothing is left to a library's taste: policy, interpolation, rounding of the content's size,
normalisation and padding are named, and implemented here with numpy and Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Fit
from samovar.errors import InputError
from samovar.interpolation import Interpolation, resample, resample_levels

Policy = Literal["pad", "stretch"]
Rounding = Literal["half-up", "floor", "round", "ceil"]
NormalisationKind = Literal["mean-std", "min-max", "none"]
PromptCoordinates = Literal["continuous", "scaled"]
PromptScale = Literal["content", "frame", "longest-side"]


@dataclass(frozen=True)
class Resize:
    """How a picture is scaled into the encoder's square.

    ``pad`` keeps the aspect ratio and fills up at the bottom and at the right; ``stretch`` does
    not. ``pad_value`` is in normalised units, or in 0…255 with ``pad_before_normalising``.
    """

    policy: Policy = "pad"
    interpolation: Interpolation = "bilinear-antialias"
    rounding: Rounding = "half-up"
    pad_value: float = 0.0
    pad_before_normalising: bool = False
    whole_levels: bool = False
    """The picture is rounded to whole grey levels 0…255 and scaled in them, as a model is used to
    that was trained on 8-bit pictures."""

    @classmethod
    def parse(cls, rule: Mapping[str, Any]) -> Resize:
        """From ``bundle.json`` or a spec. Raises ValueError naming the field."""
        default = cls()
        return cls(
            one_of(rule, "policy", Policy, default.policy),
            one_of(rule, "interpolation", Interpolation, default.interpolation),
            one_of(rule, "rounding", Rounding, default.rounding),
            number(rule, "pad_value", default.pad_value),
            bool(rule.get("pad_before_normalising", False)),
            bool(rule.get("whole_levels", False)),
        )

    def content(self, picture: tuple[int, int], encode: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the scaled picture inside ``encode``, each at least 1."""
        if self.policy == "stretch":
            return encode
        scale = min(encode[0] / picture[0], encode[1] / picture[1])
        rows, columns = (
            max(1, min(limit, _rounded(n * scale, self.rounding)))
            for n, limit in zip(picture, encode, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Normalisation:
    """What is done to the values: ``(x - mean) / std`` a channel, in units of 0…255; or
    ``min-max``, which maps each picture's content to 0…1; or nothing."""

    kind: NormalisationKind = "mean-std"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)

    @classmethod
    def parse(cls, rule: Mapping[str, Any]) -> Normalisation:
        """From ``bundle.json`` or a spec. Raises ValueError naming the field."""
        default = cls()
        mean = _triple(rule, "mean", default.mean)
        std = _triple(rule, "std", default.std)
        if min(std) <= 0:
            raise ValueError('"std" must be positive')
        return cls(one_of(rule, "kind", NormalisationKind, default.kind), mean, std)

    def apply(self, planes: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """``(3, rows, columns)`` 0…255, normalised into ``out`` (which may be ``planes``)."""
        if self.kind == "none":
            out[...] = planes
            return
        low: NDArray[np.float32] | np.float32 = np.array(self.mean, dtype=np.float32)[:, None, None]
        width: NDArray[np.float32] | np.float32
        width = np.array(self.std, dtype=np.float32)[:, None, None]
        if self.kind == "min-max":
            low, high = np.float32(planes.min()), np.float32(planes.max())
            width = max(high - low, np.float32(1e-8))
        np.subtract(planes, low, out=out)
        np.divide(out, width, out=out)


@dataclass(frozen=True)
class Preparation:
    """Everything between a picture of 0…255 and an encoder's input. Sizes are rows, columns."""

    encode_size: tuple[int, int] = (1024, 1024)
    prompt_frame: tuple[int, int] = (1024, 1024)
    prompt_coordinates: PromptCoordinates = "scaled"
    resize: Resize = field(default_factory=Resize)
    normalisation: Normalisation = field(default_factory=Normalisation)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    prompt_scale: PromptScale = "content"
    """Of prompts: as the picture is scaled to ``encode_size``; as it would be to the prompt frame,
    whose rounding may differ; or by the longest side alone."""

    def fit(self, picture: tuple[int, int]) -> Fit:
        """How a picture of these rows and columns lies in the encoder's square."""
        content = self.resize.content(picture, self.encode_size)
        scale = self._prompt_scale(picture)
        return Fit(picture, content, self.encode_size, self.prompt_frame, scale)

    def _prompt_scale(self, picture: tuple[int, int]) -> tuple[float, float] | None:
        if self.prompt_scale == "content":
            return None
        if self.prompt_scale == "frame":
            rows, columns = self.resize.content(picture, self.prompt_frame)
            return columns / picture[1], rows / picture[0]
        both = max(self.prompt_frame) / max(picture)
        return both, both


def prepare(
    pictures: Sequence[NDArray[np.float32]], preparation: Preparation
) -> tuple[NDArray[np.float32], list[Fit]]:
    """Pictures as the encoder wants them.

    Args:
        pictures: each ``(3, rows, columns)`` float32, 0…255, RGB; sizes may differ.
        preparation: the model's rules.

    Returns:
        ``(B, 3, rows, columns)`` float32, contiguous, of the encode size; and one fit a picture.

    Raises:
        InputError: a picture that has not three channels, or no pixels.
    """
    rows, columns = preparation.encode_size
    batch = np.empty((len(pictures), 3, rows, columns), dtype=np.float32)
    fits = []
    for target, picture in zip(batch, pictures, strict=True):
        if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
            raise InputError(
                f"a picture of shape {picture.shape} cannot be encoded: "
                "give (3, rows, columns), at least one pixel"
            )
        fit = preparation.fit((picture.shape[1], picture.shape[2]))
        _place(picture, fit, preparation, target)
        fits.append(fit)
    return batch, fits


def _place(
    picture: NDArray[np.float32], fit: Fit, preparation: Preparation, target: NDArray[np.float32]
) -> None:
    """Scale, normalise and pad one picture into its ``(3, rows, columns)`` place."""
    rule, normalisation = preparation.resize, preparation.normalisation
    if rule.whole_levels:
        planes = resample_levels(picture, fit.content, rule.interpolation)
    else:
        same = picture.shape[1:] == fit.content
        planes = picture if same else resample(picture, fit.content, rule.interpolation)
    if preparation.channel_order == "BGR":
        planes = planes[::-1]
    rows, columns = fit.content
    target[:, rows:] = rule.pad_value
    target[:, :rows, columns:] = rule.pad_value
    content = target[:, :rows, :columns]
    if rule.pad_before_normalising:
        content[...] = planes
        normalisation.apply(target, target)
    else:
        normalisation.apply(planes, content)


def _rounded(value: float, rounding: Rounding) -> int:
    if rounding == "half-up":
        return math.floor(value + 0.5)
    if rounding == "round":
        return round(value)
    return math.floor(value) if rounding == "floor" else math.ceil(value)


def one_of(rule: Mapping[str, Any], key: str, choices: Any, default: Any) -> Any:
    """The value of ``key``, one of a Literal's. Raises ValueError listing them."""
    value = rule.get(key, default)
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f'"{key}" is {value!r}, not one of {", ".join(map(str, allowed))}')
    return value


def number(rule: Mapping[str, Any], key: str, default: float) -> float:
    """The value of ``key``, finite. Raises ValueError."""
    value = rule.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f'"{key}" is {value!r}, not a number')
    return float(value)


def _triple(rule: Mapping[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    values = rule.get(key, default)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
        raise ValueError(f'"{key}" must hold three numbers, one a channel')
    return tuple(number({key: v}, key, 0.0) for v in values)
