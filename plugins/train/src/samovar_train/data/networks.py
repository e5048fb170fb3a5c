"""Generated networks: branching vessels and meshes of roads, thin things that a box says little of.

Trees grow by a walk that bends, tapers and forks; meshes are two families of bent parallels. What
tells a strand from its ground is small: a contrast of a few levels, a profile, an edge.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from samovar_train.data.packing import Item, number_objects
from samovar_train.data.shapes import blob, smooth_noise

FINE = 3  # strands are drawn this many times larger, then averaged


def stroke(
    draw: ImageDraw.ImageDraw, start: NDArray[np.float64], stop: NDArray[np.float64], width: float
) -> None:
    """A piece of strand with round ends; x, y and width in pixels."""
    a, b, r = start * FINE, stop * FINE, width * FINE / 2
    draw.line([tuple(a), tuple(b)], fill=255, width=max(1, round(2 * r)))
    if r > 1:
        draw.ellipse([*(b - r), *(b + r)], fill=255)


def grow_tree(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    side: int,
    root: NDArray[np.float64],
    heading: float,
    width: float,
) -> None:
    """A vessel and its branches, down to strands of a pixel."""
    strands = [(root, heading, width)]
    drawn = 0
    bend = rng.uniform(0.05, 0.3)
    taper = rng.uniform(0.988, 0.998)
    fork = rng.uniform(0.02, 0.07)
    while strands and drawn < 500:
        at, angle, thick = strands.pop()
        curl = 0.0
        while thick > 1.0 and at.min() > -10 and at.max() < side + 10 and drawn < 500:
            step = rng.uniform(3, 6)
            curl = 0.8 * curl + rng.normal(0, bend)
            angle += 0.35 * curl
            after = at + step * np.array([np.cos(angle), np.sin(angle)])
            stroke(draw, at, after, thick)
            at, thick, drawn = after, thick * taper, drawn + 1
            if rng.random() < fork:
                share = rng.uniform(0.45, 0.85)
                turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
                strands.insert(0, (at, angle + turn, thick * share))
                angle -= 0.3 * turn
                thick *= rng.uniform(0.8, 0.97)


def vessels(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Coverage `(side, side)` of one to six trees that start at a point or at the border."""
    canvas = Image.new("L", (side * FINE, side * FINE))
    draw = ImageDraw.Draw(canvas)
    common = rng.random() < 0.5
    hub = rng.uniform(0.2, 0.8, 2) * side
    for _ in range(int(rng.integers(1, 7))):
        root = hub + rng.normal(0, 3, 2) if common else rng.uniform(0, 1, 2) * side
        if not common:
            root[int(rng.integers(2))] = rng.choice([0.0, float(side)])
        towards = np.array([side / 2, side / 2]) - root
        heading = rng.uniform(0, 2 * np.pi) if common else np.arctan2(towards[1], towards[0])
        grow_tree(rng, draw, side, root, heading, float(np.exp(rng.uniform(0.7, 2.6))))
    return coverage(canvas, side)


def mesh(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Coverage `(side, side)` of streets: two families of parallels, some missing, bent."""
    canvas = Image.new("L", (side * FINE, side * FINE))
    draw = ImageDraw.Draw(canvas)
    base, width = rng.uniform(0, np.pi), rng.uniform(3, 12)
    bent = rng.uniform(0, 30)
    phase = rng.uniform(0, 2 * np.pi, 4)
    for family in range(2):
        angle = base + family * (np.pi / 2 + rng.normal(0, 0.15))
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        position = -0.7 * side + rng.uniform(0, 80)
        while position < 0.7 * side:
            position += rng.uniform(35, 200)
            if rng.random() < 0.3:
                continue
            reach = np.sort(rng.uniform(-0.75, 0.75, 2)) if rng.random() < 0.4 else (-0.75, 0.75)
            t = np.linspace(reach[0] * side, reach[1] * side, 60)
            wave = bent * np.sin(t / side * 4 + phase[family] + position / side)
            path = side / 2 + along * t[:, None] + across * (position + wave)[:, None]
            own = width * rng.uniform(0.5, 1.4)
            for a, b in pairwise(path):
                stroke(draw, a, b, own)
    return coverage(canvas, side)


def coverage(canvas: Image.Image, side: int) -> NDArray[np.float32]:
    small = canvas.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small).astype(np.float32) / 255


def network_scene(rng: np.random.Generator, side: int = 448) -> Item:
    """Vessels or streets over a ground of their own. Grey or RGB."""
    streets = rng.random() < 0.45
    strands = mesh(rng, side) if streets else vessels(rng, side)
    image = ground(rng, side, streets)
    contrast = rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(12), np.log(90)))
    profile = strands
    if rng.random() < 0.4:  # deepest in the middle of the strand
        depth = ndimage.distance_transform_edt(strands > 0.5)
        profile = strands * np.minimum(1, 0.4 + depth / 5).astype(np.float32)
    uneven = 1 + 0.3 * smooth_noise(rng, (side, side), rng.uniform(30, 120))
    image = image + (profile * uneven * contrast)[..., None] * rng.uniform(0.5, 1.2, 3)
    if streets and rng.random() < 0.6:  # crowns hang over the street
        crowns = smooth_noise(rng, (side, side), rng.uniform(8, 25)) > rng.uniform(1.0, 2.2)
        image[crowns] = image[crowns] * 0.3 + rng.uniform(20, 80, 3)
    image = ndimage.gaussian_filter(image, (*[rng.uniform(0.2, 1.2)] * 2, 0))
    image += rng.normal(0, rng.uniform(1, 12), (side, side, 1))
    labels = (strands > 0.4).astype(np.int32)
    if not streets and rng.random() < 0.5:  # the round field of a lens
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        outside = np.hypot(y, x) > side * rng.uniform(0.44, 0.52)
        image[outside], labels[outside] = rng.uniform(0, 12), 0
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        pixels = pixels[..., 1]
    numbered, table = number_objects(labels)
    domain = "remote_sensing" if streets else "medical"
    return Item("generated_networks", "", pixels, numbered, table, domain, "synthetic")


def ground(rng: np.random.Generator, side: int, streets: bool) -> NDArray[np.float32]:
    """RGB `(side, side, 3)` float32: shading, texture, and roofs and fields beside streets."""
    shape = (side, side)
    image = np.empty((*shape, 3), np.float32)
    image[:] = rng.uniform(50, 190, 3)
    image += (smooth_noise(rng, shape, side * rng.uniform(0.2, 0.8)) * rng.uniform(5, 30))[
        ..., None
    ]
    image += (smooth_noise(rng, shape, rng.uniform(2, 25)) * rng.uniform(2, 14))[..., None]
    for _ in range(int(rng.integers(20, 90)) if streets else int(rng.integers(0, 4))):
        if streets:
            r = rng.uniform(4, 22, 2)
            power = 8.0
        else:
            r = rng.uniform(10, 60, 2)
            power = 2.0
        centre = (float(rng.uniform(0, side)), float(rng.uniform(0, side)))
        part = blob(rng, shape, centre, (r[0], r[1]), rng.uniform(0, np.pi), power, 0.02)
        soft = part[..., None] * rng.uniform(0.5, 1.0)
        image = image * (1 - soft) + soft * rng.uniform(30, 230, 3)
    return image
