"""Generated echo-like scenes, shapes whose inside does not give them away; and soft blobs.

An outline that is bright on one side only, an inside of several textures, a shadow across: what a
box surrounds must be completed from its shape, as fetal heads and lesions in ultrasound must.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_train.data.packing import Item, number_objects
from samovar_train.data.shapes import blob, smooth_noise


def fill(
    rng: np.random.Generator, image: NDArray[np.float32], part: NDArray[np.bool_], size: float
) -> NDArray[np.float32]:
    """The picture with one object drawn into it, in one of five manners."""
    shape = (image.shape[0], image.shape[1])
    manner = int(rng.choice(5, p=[0.25, 0.12, 0.23, 0.25, 0.15]))
    soft = ndimage.gaussian_filter(part.astype(np.float32), rng.uniform(0.8, 0.02 * size + 1.5))
    if manner == 0:  # darker or brighter by a factor
        image = image * (1 + soft * (rng.uniform(0.15, 0.8) - 1))
    elif manner == 1:
        image = image + soft * rng.uniform(20, 90)
    elif manner == 2:  # nothing but pieces of its rim
        thick = int(rng.integers(1, max(2, int(0.03 * size)) + 1))
        rim = part & ~ndimage.binary_erosion(part, iterations=thick)
        seen = smooth_noise(rng, shape, size) > rng.uniform(-1.2, 0.3)
        image = image.copy()
        image[rim & seen] += rng.choice([-1, 1, 1]) * rng.uniform(30, 120)
    elif manner == 3:  # several textures inside
        inner = rng.uniform(0.7, 1.3) * image.mean() + smooth_noise(
            rng, shape, size * rng.uniform(0.15, 0.8)
        ) * rng.uniform(10, 45)
        image = image * (1 - soft) + inner * soft
    else:  # brightness falls from the middle to the rim, or rises
        depth = ndimage.distance_transform_edt(part)
        depth = depth / (depth.max() + 1e-6)
        image = image + part * (depth - 0.5) * rng.choice([-1, 1]) * rng.uniform(30, 140)
    if manner < 2 and rng.random() < 0.35:
        inner = smooth_noise(rng, shape, size * rng.uniform(0.1, 0.5)) * rng.uniform(5, 30)
        image = image + inner * soft
    out: NDArray[np.float32] = image.astype(np.float32)
    return out


def echo_scene(rng: np.random.Generator, side: int = 256) -> Item:
    """Layers, one to four shapes, shadows and speckle, with or without the fan of a probe. Grey."""
    shape = (side, int(side * rng.uniform(0.8, 1.0)))
    height, width = shape
    image = rng.uniform(40, 130) + smooth_noise(rng, shape, rng.uniform(15, 90)) * rng.uniform(
        5, 30
    )
    if rng.random() < 0.6:  # layers
        rows = ndimage.gaussian_filter1d(
            rng.standard_normal(height), rng.uniform(2, 10)
        ) * rng.uniform(20, 90)
        tilt = (np.arange(height)[:, None] + np.arange(width)[None] * rng.normal(0, 0.2)).astype(
            int
        )
        image = (
            image
            + rows[np.clip(tilt + (smooth_noise(rng, shape, 50) * 4).astype(int), 0, height - 1)]
        )
    image = image.astype(np.float32)
    labels = np.zeros(shape, np.int32)
    for k in range(int(rng.integers(1, 5))):
        r = float(np.exp(rng.uniform(np.log(10), np.log(95))))
        centre = (rng.uniform(0.15, 0.85) * height, rng.uniform(0.15, 0.85) * width)
        radii = (r, r * rng.uniform(0.5, 1.7))
        part = blob(
            rng,
            shape,
            centre,
            radii,
            rng.uniform(0, np.pi),
            rng.uniform(1.8, 2.4),
            rng.uniform(0, 0.3),
        )
        part &= labels == 0
        if part.sum() < 120:
            continue
        image = fill(rng, image, part, r)
        labels[part] = k + 1
    for _ in range(int(rng.choice([0, 0, 1, 2]))):  # shadows
        x, w = rng.uniform(0, width), rng.uniform(4, 40)
        band = (
            np.exp(-(((np.arange(width) - x) / w) ** 2))[None]
            * (np.arange(height) > rng.uniform(0, height))[:, None]
        )
        image = image * (1 - rng.uniform(0.3, 0.9) * ndimage.gaussian_filter(band, 3))
    image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.2))
    grain = ndimage.gaussian_filter(
        rng.standard_normal(shape), (rng.uniform(0.5, 1), rng.uniform(0.5, 2))
    )
    image = np.maximum(image, 3) * np.exp(grain / grain.std() * rng.uniform(0.03, 0.45))
    if rng.random() < 0.35:  # the fan
        y, x = np.mgrid[:height, :width]
        y0, x0 = -rng.uniform(0.05, 0.6) * height, width * rng.uniform(0.4, 0.6)
        angle = np.abs(np.arctan2(x - x0, y - y0)) < rng.uniform(0.5, 0.9)
        radius = np.hypot(y - y0, x - x0)
        fan = (
            angle
            & (radius > abs(y0) * rng.uniform(1, 1.4))
            & (radius < height * rng.uniform(1.1, 1.4))
        )
        image = np.where(fan, image, rng.uniform(0, 10))
        labels[~fan] = 0
    numbered, table = number_objects(labels, instances=True)
    pixels: NDArray[Any] = np.clip(image, 0, 255).astype(np.uint8)
    return Item("generated_echoes", "", pixels, numbered, table, "medical", "synthetic")


def blob_scene(rng: np.random.Generator, side: int = 256) -> Item:
    """Soft blobs of unlike brightness over a textured ground: MR, SAR and microscopy."""
    shape = (side, int(side * rng.uniform(0.7, 1.0)))
    image = 128 + smooth_noise(rng, shape, rng.uniform(20, 120)) * rng.uniform(5, 30)
    image += rng.uniform(-80, 80)
    labels = np.zeros(shape, np.int32)
    for k in range(int(rng.integers(1, 14))):
        r = np.exp(rng.uniform(np.log(6), np.log(85)))
        part = blob(
            rng,
            shape,
            (rng.uniform(0, shape[0]), rng.uniform(0, shape[1])),
            (r, r * rng.uniform(0.4, 1.6)),
            rng.uniform(0, np.pi),
            rng.uniform(1.4, 3),
            rng.uniform(0.05, 0.6),
        )
        if part.sum() < 40:
            continue
        level = rng.uniform(10, 240)
        if rng.random() < 0.3:  # seen by its rim only
            rim = part & ~ndimage.binary_erosion(part, iterations=int(rng.integers(1, 4)))
            image[rim] = level
        else:
            image[part] = (
                level + (smooth_noise(rng, shape, rng.uniform(2, 20)) * rng.uniform(1, 20))[part]
            )
        labels[part] = k + 1
    image = ndimage.gaussian_filter(image, rng.uniform(0.3, 2.0))
    speckle = smooth_noise(rng, shape, rng.uniform(1, 3))
    if rng.random() < 0.4:
        image = image * np.exp(speckle * rng.uniform(0.05, 0.45))
    else:
        image = image + speckle * rng.uniform(2, 25)
    numbered, table = number_objects(labels, instances=True)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return Item("generated_blobs", "", pixels, numbered, table, "medical", "synthetic")
