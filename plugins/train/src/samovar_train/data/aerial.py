"""Generated aerial scenes: buildings with right angles beside shadows, fields sharing edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from samovar_train.data.packing import Item, number_objects
from samovar_train.data.shapes import blob, smooth_noise


def polygon(draw: ImageDraw.ImageDraw, corners: NDArray[Any], value: int) -> None:
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=value)


def building(rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    """Corners x, y around the origin of a rectangle, an L, a T or a U."""
    w, h = size * rng.uniform(0.6, 1.4), size * rng.uniform(0.5, 1.1)
    a, b = w * rng.uniform(0.3, 0.7), h * rng.uniform(0.3, 0.7)
    form = int(rng.choice(4, p=[0.6, 0.22, 0.1, 0.08]))
    if form == 0:
        points = [(0, 0), (w, 0), (w, h), (0, h)]
    elif form == 1:
        points = [(0, 0), (w, 0), (w, b), (a, b), (a, h), (0, h)]
    elif form == 2:
        c = (w - a) / 2
        points = [(0, 0), (w, 0), (w, b), (w - c, b), (w - c, h), (c, h), (c, b), (0, b)]
    else:
        points = [
            (0, 0),
            (w, 0),
            (w, h),
            (w * 0.7, h),
            (w * 0.7, b),
            (w * 0.3, b),
            (w * 0.3, h),
            (0, h),
        ]
    return np.array(points, float) - [w / 2, h / 2]


def turn(points: NDArray[Any], angle: float) -> NDArray[Any]:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def aerial_scene(rng: np.random.Generator, side: int = 384) -> Item:
    """Ground of fields, then roads, trees, ponds, and buildings with shadows. RGB."""
    shape = (side, side)
    image = np.empty((side, side, 3), np.float32)
    image[:] = rng.uniform(60, 170, 3)
    labels = np.zeros(shape, np.int32)
    count = 0

    def paint(
        mask: NDArray[np.bool_], colour: NDArray[Any], rough: float, cell: float, keep: bool
    ) -> None:
        nonlocal count
        texture = smooth_noise(rng, shape, cell) * rough
        image[mask] = colour + texture[mask][:, None] * rng.uniform(0.7, 1.3, 3)
        labels[mask] = 0
        if keep:
            count += 1
            labels[mask] = count

    def raster(corners: NDArray[Any]) -> NDArray[np.bool_]:
        picture = Image.new("L", (side, side))
        polygon(ImageDraw.Draw(picture), corners, 1)
        return np.asarray(picture) > 0

    if rng.random() < 0.55:  # fields: cells of a Voronoi partition with slanted axes
        n = int(rng.integers(4, 22))
        seeds = rng.uniform(0, side, (n, 2))
        y, x = np.mgrid[:side, :side]
        stretch = rng.uniform(0.5, 2)
        distance = [
            np.abs(x - a) + stretch * np.abs(y - b)
            if rng.random() < 0.0
            else (x - a) ** 2 + stretch * (y - b) ** 2
            for a, b in seeds
        ]
        order = np.argsort(np.stack(distance), axis=0)[:2]
        cell = order[0]
        near = np.sort(np.stack(distance), axis=0)
        gap = np.sqrt(near[1]) - np.sqrt(near[0]) < rng.uniform(0.5, 5)
        for k in range(n):
            paint(
                (cell == k) & ~gap,
                rng.uniform(30, 190, 3),
                rng.uniform(2, 18),
                rng.uniform(1.5, 30),
                True,
            )
    else:
        image += (smooth_noise(rng, shape, rng.uniform(4, 60)) * rng.uniform(4, 25))[..., None]
    for _ in range(int(rng.integers(0, 3))):  # ponds
        r = rng.uniform(15, 70)
        pond = blob(
            rng,
            shape,
            tuple(rng.uniform(0, side, 2)),
            (r, r * rng.uniform(0.5, 1.5)),
            rng.uniform(0, 3),
            2,
            0.5,
        )
        base = rng.uniform(15, 80)
        paint(
            pond,
            np.array([base * 0.6, base, base * rng.uniform(0.8, 1.4)]),
            rng.uniform(0, 5),
            20,
            True,
        )
    for _ in range(int(rng.integers(0, 4))):  # roads
        a, b = rng.uniform(-50, side + 50, 2), rng.uniform(-50, side + 50, 2)
        direction = (b - a) / (np.linalg.norm(b - a) + 1e-6)
        normal = np.array([-direction[1], direction[0]]) * rng.uniform(3, 11)
        a, b = a - 600 * direction, b + 600 * direction
        road = raster(np.array([a + normal, b + normal, b - normal, a - normal]))
        paint(road, np.full(3, rng.uniform(70, 200)) + rng.normal(0, 8, 3), 5, 3, False)
    size = float(np.exp(rng.uniform(np.log(14), np.log(95))))
    heading = rng.uniform(0, np.pi)
    light = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(3, max(5, min(60, int(9e4 / (size * size * 4))))))):
        own = size * rng.uniform(0.6, 1.5)
        centre = rng.uniform(0, side, 2)
        corners = (
            turn(building(rng, own), heading if rng.random() < 0.75 else rng.uniform(0, np.pi))
            + centre
        )
        roof = raster(corners)
        if roof.sum() < 40 or (labels[ndimage.binary_dilation(roof, iterations=2)] > 1000).any():
            continue
        fall = own * rng.uniform(0.08, 0.4) * np.array([np.cos(light), np.sin(light)])
        shadow = raster(corners + fall) & ~roof
        image[shadow] *= rng.uniform(0.3, 0.6)
        labels[shadow & (labels < 1000)] = 0
        bright = rng.uniform(60, 240)
        tint = rng.uniform(0.75, 1.2, 3) if rng.random() < 0.6 else np.ones(3)
        colour = np.clip(bright * tint, 0, 255)
        image[roof] = (
            colour
            + (smooth_noise(rng, shape, rng.uniform(1, 8)) * rng.uniform(1, 14))[roof][:, None]
        )
        if rng.random() < 0.5:  # a ridge: one side of the roof is darker
            middle = (np.mgrid[:side, :side][::-1].reshape(2, -1).T - centre) @ np.array(
                [np.cos(heading), np.sin(heading)]
            )
            image[roof & (middle.reshape(shape) > 0)] *= rng.uniform(0.7, 0.95)
        if rng.random() < 0.4:  # things on the roof
            for _ in range(int(rng.integers(1, 5))):
                spot = (
                    raster(
                        turn(building(rng, own * 0.15), heading)
                        + centre
                        + rng.normal(0, own * 0.25, 2)
                    )
                    & roof
                )
                image[spot] = rng.uniform(20, 240)
        count += 1
        labels[roof] = 1000 + count
    for _ in range(int(rng.integers(0, 25))):  # trees
        r = rng.uniform(3, 18)
        tree = blob(rng, shape, tuple(rng.uniform(0, side, 2)), (r, r), 0, 2, 0.35)
        image[tree] = (
            np.array([40, 75, 35]) * rng.uniform(0.5, 1.5)
            + (smooth_noise(rng, shape, 2.5) * 12)[tree][:, None]
        )
        labels[tree] = 0
        if r > 9 and rng.random() < 0.5:
            count += 1
            labels[tree] = 2000 + count
    image = np.stack(
        [ndimage.gaussian_filter(image[..., c], rng.uniform(0.4, 0.5)) for c in range(3)], -1
    )
    image += rng.normal(0, rng.uniform(0.5, 8), shape)[..., None]
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    numbered, table = number_objects(labels, instances=True)
    return Item("generated_aerial", "", pixels, numbered, table, "remote_sensing", "synthetic")
