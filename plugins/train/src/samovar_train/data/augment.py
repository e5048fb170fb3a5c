"""Geometry and photometry of training views: a few milliseconds a view."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch.nn import functional as F

BILINEAR = Image.Resampling.BILINEAR
PAD_COLOUR = (124, 116, 104)  # the mean of the normalisation: zero after it


def crop_window(
    rng: np.random.Generator,
    shape: tuple[int, int],
    anchor: tuple[int, int, int, int],
    size: int,
    whole: float = 0.55,
) -> tuple[int, int, int, int]:
    """A window y0, x0, y1, x1 of a picture that shows (most of) the anchor's bounds.

    With probability `whole` it is the whole picture, as the host shows it. Otherwise its size is
    such that the anchor measures 20 to 420 px (of 512) across, log-uniformly, within 0.4 to 5 times
    the picture's own magnification.
    """
    height, width = shape
    y0, x0, y1, x1 = anchor
    if rng.random() < whole:
        return 0, 0, height, width
    extent = max(y1 - y0, x1 - x0, 4)
    wanted = np.exp(rng.uniform(np.log(20), np.log(420))) * size / 512
    side = float(np.clip(extent * size / wanted, size / 6, 2.5 * size))
    side = max(side, extent * 0.8)
    aspect = np.exp(rng.uniform(-0.35, 0.35)) if rng.random() < 0.6 else 1.0
    h, w = min(height, int(side * min(1.0, aspect))), min(width, int(side * min(1.0, 1 / aspect)))
    h, w = max(h, min(16, height)), max(w, min(16, width))
    cy, cx = rng.uniform(y0, y1), rng.uniform(x0, x1)
    top = int(np.clip(cy - h * rng.uniform(0.25, 0.75), 0, height - h))
    left = int(np.clip(cx - w * rng.uniform(0.25, 0.75), 0, width - w))
    return top, left, top + h, left + w


def rotate(
    image: NDArray[np.uint8], labels: NDArray[Any], degrees: float
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Both turned about their centre; what comes from outside is 0."""
    turned = np.asarray(Image.fromarray(image).rotate(degrees, BILINEAR))
    wide = labels.astype(np.int32)
    back = np.asarray(Image.fromarray(wide, mode="I").rotate(degrees, Image.Resampling.NEAREST))
    return turned, back.astype(labels.dtype)


def elastic(
    rng: np.random.Generator, image: NDArray[np.uint8], labels: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Both bent by one smooth field (Simard et al. 2003); what comes from outside is 0.

    The field goes through random offsets at the knots of a grid, 3 to 8 cells along the longer
    side, of at most a quarter of a cell: it never folds. Each label is that of the pixel nearest to
    the place that the image is sampled at.
    """
    h, w = labels.shape
    cell = max(h, w) / int(rng.integers(3, 9))
    knots = [int(np.ceil(side / cell)) + 1 for side in (h, w)]
    offsets = rng.uniform(-1, 1, (2, *knots)) * rng.uniform(0.08, 0.25) * cell
    field = F.interpolate(
        torch.from_numpy(offsets.astype(np.float32))[None],
        (h, w),
        mode="bicubic",
        align_corners=True,
    )[0]
    y = torch.arange(h, dtype=torch.float32)[:, None] + field[0]
    x = torch.arange(w, dtype=torch.float32)[None] + field[1]
    places = torch.stack([2 * x / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1], -1)[None]
    planes = image[..., None] if image.ndim == 2 else image
    bent = sampled(planes, places, "bilinear").round().astype(np.uint8).reshape(image.shape)
    return bent, sampled(labels[..., None], places, "nearest")[..., 0].astype(labels.dtype)


def sampled(planes: NDArray[Any], places: torch.Tensor, mode: str) -> NDArray[np.float32]:
    """`(h, w, C)` sampled at `places` `(1, h, w, 2)`, x and y from -1 to 1 at the pixels' centres.

    Float32 holds every label of 16 bits.
    """
    whole = torch.from_numpy(planes.astype(np.float32)).permute(2, 0, 1)[None]
    out: NDArray[np.float32] = (
        F.grid_sample(whole, places, mode=mode, padding_mode="zeros", align_corners=True)[0]
        .permute(1, 2, 0)
        .numpy()
    )
    return out


def resize_to_frame(
    rng: np.random.Generator, image: NDArray[np.uint8], size: int, coarse: float
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Longest side to `size`, as the host does; with probability `coarse` by way of fewer pixels.

    Returns the content `(h, w)` or `(h, w, 3)` and its height and width.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    h, w = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    picture = Image.fromarray(image)
    if rng.random() < coarse:
        down = np.exp(rng.uniform(np.log(0.16), np.log(0.7)))
        small = (max(8, int(w * down)), max(8, int(h * down)))
        if small[0] < width:
            picture = picture.resize(small, BILINEAR)
            if rng.random() < 0.4:
                grain = rng.normal(0, rng.uniform(1, 9), (small[1], small[0]))
                pixels = np.asarray(picture).astype(np.float32)
                pixels += grain if pixels.ndim == 2 else grain[..., None]
                picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    picture = picture.resize((w, h), BILINEAR)
    if rng.random() < 0.12:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    return np.asarray(picture), (h, w)


def tone_curve(rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """256 output levels: gamma, contrast, brightness and now and then a narrow window."""
    x = np.linspace(0, 1, 256)
    x = x ** np.exp(rng.normal(0, 0.35 * strength))
    if rng.random() < 0.25 * strength:  # a window inside the range
        low, high = np.sort(rng.uniform(0, 1, 2))
        if high - low > 0.35:
            x = np.clip((x - low) / (high - low), 0, 1)
    mean = rng.uniform(0.3, 0.6)
    x = (x - mean) * np.exp(rng.normal(0, 0.22 * strength)) + mean + rng.normal(0, 0.07 * strength)
    return (x * 255).astype(np.float32)


def recolour(
    rng: np.random.Generator, image: NDArray[np.uint8], noise_bank: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`(h, w)` or `(h, w, 3)` uint8 → `(h, w, 3)` uint8 with other tones, noise and colours."""
    strength = float(rng.choice([0.0, 0.6, 1.0, 1.5], p=[0.3, 0.35, 0.25, 0.1]))
    grey = image.ndim == 2
    if not grey and rng.random() < 0.12:
        image = image.astype(np.float32).mean(-1).astype(np.uint8)
    curve = tone_curve(rng, strength)
    if rng.random() < (0.1 if grey else 0.03):
        curve = curve[::-1]
    if image.ndim == 2:
        if rng.random() < 0.2:  # windows or bands stacked as channels
            curves = [tone_curve(rng, strength) if rng.random() < 0.6 else curve for _ in range(3)]
            pixels = np.stack([c[image] for c in curves], -1)
        else:
            pixels = curve[image][..., None]
    else:
        gains = np.exp(rng.normal(0, 0.12 * strength, 3))
        pixels = np.stack([curve[image[..., c]] * np.float32(gains[c]) for c in range(3)], -1)
        if rng.random() < 0.15:
            pixels = pixels[..., rng.permutation(3)]
        if rng.random() < 0.25 * strength:  # saturation
            middle = pixels.mean(-1, keepdims=True)
            pixels = middle + (pixels - middle) * np.float32(rng.uniform(0.3, 1.8))
    h, w = pixels.shape[:2]
    if rng.random() < (0.25 if grey else 0.1):  # bias field, shading
        field = Image.fromarray(rng.normal(0, 0.22, (4, 4)).astype(np.float32))
        field = np.exp(np.asarray(field.resize((w, h), Image.Resampling.BICUBIC)))
        pixels = pixels * field[..., None]
    if rng.random() < 0.35:
        start = int(rng.integers(0, noise_bank.size - h * w))
        grain = noise_bank[start : start + h * w].reshape(h, w, 1)
        pixels = pixels + grain * np.float32(np.exp(rng.uniform(np.log(1.5), np.log(22))))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels
