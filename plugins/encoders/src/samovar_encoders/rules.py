"""How a system wants its picture, its prompts and its masks: frozen rules, no heavy import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SAM_MEAN, SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Resize:
    """Picture → square of the encode size."""

    kernel: str = "pillow-bilinear"
    """Key of :data:`samovar_encoders.resampling.KERNELS`."""
    policy: Literal["longest", "stretch"] = "longest"
    """``longest`` keeps the aspect and zero-pads right and bottom after normalising."""
    rounding: Literal["nearest", "down"] = "nearest"
    """Of the shorter side: ``int(x + 0.5)`` or ``int(x)``."""
    after_normalising: bool = False
    scaled: bool = False
    """The kernel works on values in 0…1 (float) instead of 0…255."""


@dataclass(frozen=True)
class Normalise:
    """What is done to the values.

    ``standardise``: (x − mean) / std on 0…255; ``unit``: the same on 0…1; ``minmax``: each picture
    to 0…1; ``scale``: divided by 255.
    """

    kind: Literal["standardise", "unit", "minmax", "scale"] = "standardise"
    mean: tuple[float, float, float] = SAM_MEAN
    std: tuple[float, float, float] = SAM_STD


@dataclass(frozen=True)
class PromptFrame:
    """From picture pixels to the coordinates that the prompt encoder expects."""

    size: int = 1024
    scale: Literal["axis", "isotropic", "isotropic32", "stretch", "stretch32"] = "axis"
    """``axis``: each axis by new/old of the resized picture in this frame; ``isotropic``: both by
    size / longest side; ``stretch``: each axis by size / side. ``32`` computes in float32."""
    whole_boxes: bool = False
    """Box corners are truncated to whole frame pixels."""
    padding: Literal["no-box", "always", "never", "six"] = "no-box"
    """A padding point follows: where there is no box; always; never; up to six points."""
    kinds: tuple[str, ...] = ("point", "negative-point", "box", "mask")
    max_points: int | None = None


@dataclass(frozen=True)
class Output:
    """From low-resolution logits to logits over the picture."""

    via_frame: bool = True
    """Enlarge to the prompt frame, cut the content out, resize; else straight to the picture."""
    crop: Literal["none", "low-res"] = "none"
    """``low-res``: cut the content out of the low-resolution logits, sizes truncated."""
    kernel: Literal["bilinear", "bicubic"] = "bilinear"
    clamp: float = 0.0
    """Low-resolution logits are given back clamped to ±this; 0 for not at all."""
    selection: str = "best-iou"
    """``best-iou``, ``first-token``, ``stability``, ``class-argmax`` or ``modality-index``."""
