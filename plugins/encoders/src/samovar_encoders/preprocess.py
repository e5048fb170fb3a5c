"""Pictures and prompts as each system's own predictor prepares them. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .resampling import KERNELS
from .rules import Normalise, PromptFrame, Resize

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture ready for an encoder."""

    pixels: NDArray[np.float32]
    """``(3, S, S)``, contiguous."""
    content: Size
    """Rows and columns that the picture covers, upper left."""
    original: Size


def content_size(original: Size, size: int, rule: Resize) -> Size:
    """Rows and columns of a picture resized for a square of ``size``."""
    if rule.policy == "stretch":
        return size, size
    scale = size / max(original)
    extra = 0.5 if rule.rounding == "nearest" else 0.0
    return int(original[0] * scale + extra), int(original[1] * scale + extra)


def normalised(pixels: NDArray[np.generic], rule: Normalise) -> NDArray[np.float32]:
    """``(H, W, 3)`` of 0…255 (or already 0…1 where a float kernel scaled it) → float32."""
    values = pixels.astype(np.float32)
    if rule.kind == "minmax":
        low, high = values.min(), values.max()
        return (values - low) / np.maximum(high - low, np.float32(1e-8))
    if rule.kind != "standardise" and np.issubdtype(pixels.dtype, np.integer):
        values = values / np.float32(255)
    if rule.kind == "scale":
        return values
    mean, std = np.asarray(rule.mean, np.float32), np.asarray(rule.std, np.float32)
    return (values - mean) / std


def prepare(
    picture: NDArray[np.uint8], size: int, resize: Resize, normalise: Normalise
) -> Prepared:
    """``(H, W, 3)`` uint8 RGB → the encoder's input."""
    original = (picture.shape[0], picture.shape[1])
    content = content_size(original, size, resize)
    kernel = KERNELS[resize.kernel]
    if resize.after_normalising:
        values = kernel(normalised(picture, normalise), content).astype(np.float32)
    else:
        source = picture / np.float32(255) if resize.scaled else picture
        # Pillow leaves a picture that has the size already alone, and so do we
        resized = source if content == original else kernel(source, content)
        values = normalised(resized, normalise)
    square = np.zeros((3, size, size), np.float32)
    square[:, : content[0], : content[1]] = values.transpose(2, 0, 1)
    return Prepared(square, content, original)


def _scales(original: Size, rule: PromptFrame, resize: Resize) -> tuple[float, float]:
    """Frame units a picture pixel along x and y."""
    if rule.scale.startswith("isotropic"):
        scale = rule.size / max(original)
        return scale, scale
    if rule.scale.startswith("stretch"):
        return rule.size / original[1], rule.size / original[0]
    content = content_size(original, rule.size, resize)
    return content[1] / original[1], content[0] / original[0]


def to_frame(
    xy: NDArray[np.generic], original: Size, rule: PromptFrame, resize: Resize
) -> NDArray[np.float32]:
    """``(…, 2)`` x, y in picture pixels → the prompt frame."""
    scales = np.asarray(_scales(original, rule, resize))
    if rule.scale.endswith("32"):
        return np.asarray(xy, np.float32) * scales.astype(np.float32)
    return (np.asarray(xy, np.float64) * scales).astype(np.float32)


def box_to_frame(
    box: NDArray[np.generic], original: Size, rule: PromptFrame, resize: Resize
) -> NDArray[np.float32]:
    """``(…, 4)`` x0, y0, x1, y1 in picture pixels → the prompt frame."""
    box = np.asarray(box)
    corners = to_frame(box.reshape(*box.shape[:-1], 2, 2), original, rule, resize)
    if rule.whole_boxes:
        corners = np.trunc(corners)
    return corners.reshape(box.shape)
