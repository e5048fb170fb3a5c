"""Generated training scenes: CT-like sections and aerial-like ground, with exact labels.

They teach what no small set shows: liver, spleen, kidneys and vessels in the windows a radiologist
uses, at coarse resolution too; buildings with right angles beside shadows, fields sharing edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from samovar_train.data.packing import Item, number_objects


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> NDArray[np.float32]:
    """Gaussian noise correlated over about `cell` pixels, unit deviation."""
    h, w = max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2)
    small = Image.fromarray(rng.standard_normal((h, w)).astype(np.float32))
    big = np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    out: NDArray[np.float32] = (big / (big.std() + 1e-6)).astype(np.float32)
    return out


def blob(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    power: float = 2.0,
    wobble: float = 0.12,
) -> NDArray[np.bool_]:
    """A superellipse with a wavy outline. `centre` y, x and `radii` in pixels, `angle` radians."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - centre[0], x - centre[1]
    c, s = np.cos(angle), np.sin(angle)
    u, v = (c * x + s * y) / radii[1], (-s * x + c * y) / radii[0]
    theta = np.arctan2(v, u)
    waves = sum(
        wobble / k * rng.uniform(0, 1) * np.cos(k * theta + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)
    )
    inside: NDArray[np.bool_] = np.abs(u) ** power + np.abs(v) ** power < (1 + waves) ** power
    return inside


# name: centre y, centre x, radius y, radius x (shares of the body's half axes), then mean HU and
# deviation with contrast medium; without it organs differ by little, as UNENHANCED says
ORGANS = {
    "liver": (-0.15, -0.42, 0.48, 0.42, 105, 22),
    "stomach": (-0.35, 0.35, 0.22, 0.26, 35, 35),
    "spleen": (0.0, 0.66, 0.28, 0.17, 115, 25),
    "kidney right": (0.32, -0.38, 0.20, 0.14, 165, 45),
    "kidney left": (0.32, 0.38, 0.20, 0.14, 165, 45),
    "aorta": (0.25, 0.07, 0.085, 0.07, 160, 60),
    "cava": (0.22, -0.12, 0.085, 0.075, 120, 40),
    "gallbladder": (-0.05, -0.18, 0.12, 0.09, 12, 10),
    "pancreas": (0.0, 0.08, 0.08, 0.22, 90, 22),
    "bowel a": (-0.45, -0.05, 0.14, 0.16, 30, 40),
    "bowel b": (-0.30, 0.05, 0.13, 0.15, 20, 45),
    "bowel c": (-0.1, 0.3, 0.13, 0.12, 25, 45),
    "heart": (-0.25, 0.1, 0.35, 0.38, 140, 50),
}
UNENHANCED = {
    "liver": (56, 9), "stomach": (30, 20), "spleen": (48, 6), "kidney right": (33, 5),
    "kidney left": (33, 5), "aorta": (42, 6), "cava": (40, 6), "gallbladder": (10, 8),
    "pancreas": (38, 8), "bowel a": (30, 20), "bowel b": (28, 22), "bowel c": (30, 20), "heart": (42, 6),
}  # fmt: skip


def organ(
    rng: np.random.Generator, name: str, shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.bool_]:
    """The outline of one organ: the liver with a left lobe, the spleen hollowed, vessels round."""
    vessel = name in ("aorta", "cava")
    angle = rng.normal(0, 0.15 if vessel else 0.6)
    wobble = 0.05 if vessel else rng.uniform(0.1, 0.45)
    part = blob(rng, shape, centre, (max(radii[0], 2), max(radii[1], 2)), angle, rng.uniform(1.7, 2.8), wobble)
    if name == "liver" and rng.random() < 0.6:
        left = (centre[0] - rng.uniform(0.1, 0.5) * radii[0], centre[1] + rng.uniform(0.6, 1.1) * radii[1])
        part |= blob(rng, shape, left, (radii[0] * rng.uniform(0.3, 0.55), radii[1] * rng.uniform(0.6, 1.0)), rng.normal(0, 0.3), 2, 0.2)
    if name in ("liver", "spleen") and rng.random() < 0.5:  # where a neighbour presses in
        towards = np.sign(shape[1] / 2 - centre[1]) * rng.uniform(0.6, 1.1)
        dent = (centre[0] + rng.normal(0.2, 0.4) * radii[0], centre[1] + towards * radii[1])
        part &= ~blob(rng, shape, dent, (radii[0] * rng.uniform(0.3, 0.7), radii[1] * rng.uniform(0.3, 0.7)), 0)
    return part


def ct_section(rng: np.random.Generator) -> Item:
    """An axial abdominal or thoracic section in a random window, 96 to 288 pixels wide."""
    width = int(np.exp(rng.uniform(np.log(96), np.log(288))))
    height = int(width * rng.uniform(0.7, 1.0))
    shape = (height, width)
    cy, cx = height * rng.uniform(0.46, 0.54), width * rng.uniform(0.46, 0.54)
    ry, rx = height * rng.uniform(0.36, 0.47), width * rng.uniform(0.38, 0.48)
    hu = np.full(shape, -1000.0, np.float32)
    body = blob(rng, shape, (cy, cx), (ry, rx), 0, 2.3, 0.05)
    hu[body] = rng.uniform(-115, -85)
    fat = rng.uniform(0.78, 0.95)
    muscle = blob(rng, shape, (cy, cx), (ry * fat, rx * fat), 0, 2.3, 0.06)
    hu[muscle] = rng.uniform(40, 70)
    inner_share = fat * rng.uniform(0.82, 0.92)
    cavity = blob(rng, shape, (cy, cx), (ry * inner_share, rx * inner_share), 0, 2.2, 0.08) & muscle
    hu[cavity] = rng.uniform(-110, -60) + 25 * smooth_noise(rng, shape, width / 20)[cavity]
    labels = np.zeros(shape, np.int32)
    thorax, plain = rng.random() < 0.2, rng.random() < 0.45
    if not thorax and rng.random() < 0.25:  # the lungs' base around the dome of the liver
        base = blob(rng, shape, (cy, cx), (ry * inner_share * 0.95, rx * inner_share * 0.95), 0, 2.2, 0.3) & cavity
        hu[base] = rng.uniform(-900, -750)
    names = [n for n in ORGANS if n not in ("heart",)]
    if thorax:
        hu[cavity] = rng.uniform(20, 50)
        names = ["heart", "aorta"]
        for side in (-1, 1):
            lung = blob(
                rng, shape, (cy - 0.05 * ry, cx + side * 0.5 * rx), (0.68 * ry, 0.36 * rx), 0, 2.4, 0.2
            )
            lung &= cavity
            hu[lung] = rng.uniform(-880, -780) + 40 * smooth_noise(rng, shape, width / 60)[lung]
            labels[lung] = labels.max() + 1
    # vertebra and canal
    vy, vx, vr = cy + 0.58 * ry, cx + rng.normal(0, 0.02) * rx, 0.14 * rx
    bone = blob(rng, shape, (vy, vx), (vr * 0.8, vr), 0, 2.5, 0.15)
    arch = blob(rng, shape, (vy + 1.25 * vr, vx), (0.75 * vr, 1.3 * vr), 0, 1.6, 0.4)
    canal = blob(rng, shape, (vy + 1.1 * vr, vx), (0.36 * vr, 0.42 * vr), 0)
    flip = bool(rng.random() < 0.5)
    drawn = []
    for name in rng.permutation(names):
        if rng.random() < 0.15:
            continue
        oy, ox, sy, sx, mean, spread = ORGANS[str(name)]
        scale = rng.uniform(0.6, 1.25)
        centre = (cy + (oy + rng.normal(0, 0.06)) * ry * inner_share, cx + (ox + rng.normal(0, 0.06)) * rx * inner_share)
        radii = (sy * ry * scale * rng.uniform(0.8, 1.25), sx * rx * scale * rng.uniform(0.8, 1.25))
        if plain:
            mean, spread = UNENHANCED[str(name)]
        part = organ(rng, str(name), shape, centre, radii) & cavity & (labels == 0)
        if part.sum() < 12:
            continue
        value = rng.normal(mean, spread)
        texture = smooth_noise(rng, shape, rng.uniform(2, width / 12)) * rng.uniform(1, 4 if plain else 9)
        hu[part] = value + texture[part]
        labels[part] = labels.max() + 1
        drawn.append(name)
        if str(name).startswith("kidney") and rng.random() < 0.6:  # the hilum's fat
            hole = blob(rng, shape, (centre[0], centre[1] + (0.6 if "right" in name else -0.6) * radii[1]),
                        (radii[0] * 0.35, radii[1] * 0.5), 0)
            hole &= part
            hu[hole] = rng.uniform(-90, -20)
            labels[hole] = 0
        elif str(name).startswith(("bowel", "stomach")) and rng.random() < 0.5:  # gas on top
            gas = part & (np.arange(height)[:, None] < centre[0] - radii[0] * rng.uniform(-0.2, 0.6))
            hu[gas] = -950
        elif name == "liver" and rng.random() < 0.7:  # vessels and lesions
            for _ in range(int(rng.integers(1, 7))):
                spot = (centre[0] + rng.normal(0, 0.5) * radii[0], centre[1] + rng.normal(0, 0.5) * radii[1])
                r = rng.uniform(0.03, 0.14) * radii[1]
                lesion = blob(rng, shape, spot, (r, r * rng.uniform(0.6, 1.8)), rng.uniform(0, 3)) & part
                hu[lesion] = value + rng.choice([-40, -20, 25, 40]) * (0.5 if plain else 1)
    hu[arch | bone] = rng.uniform(180, 420) + 60 * smooth_noise(rng, shape, width / 60)[arch | bone]
    labels[arch | bone] = 0
    if bone.sum() > 12:
        labels[bone] = labels.max() + 1
    hu[canal] = rng.uniform(20, 50)
    labels[canal] = 0
    for k in range(int(rng.integers(6, 12))):  # ribs
        t = 2 * np.pi * k / 11 + rng.uniform(0, 0.4)
        spot = (cy + ry * inner_share * 1.04 * np.sin(t), cx + rx * inner_share * 1.04 * np.cos(t))
        rib = blob(rng, shape, spot, (max(1.5, 0.02 * width), max(1.5, 0.03 * width)), t + 1.57) & muscle
        hu[rib & (labels == 0)] = rng.uniform(250, 600)
    hu = ndimage.gaussian_filter(hu, rng.uniform(0.4, 0.9))
    hu += smooth_noise(rng, shape, rng.uniform(1.0, 1.8)) * rng.uniform(3, 28)
    if flip:
        hu, labels = hu[:, ::-1], labels[:, ::-1]
    level, window = [(40, 400), (50, 350), (60, 250), (-20, 700), (100, 700), (-400, 1500), (250, 1300)][
        int(rng.choice(7, p=[0.38, 0.18, 0.12, 0.1, 0.1, 0.06, 0.06]))
    ]
    image = (np.clip((hu - (level - window / 2)) / window, 0, 1) * 255).astype(np.uint8)
    numbered, table = number_objects(labels, instances=True)
    return Item("generated_ct", "", image, numbered, table, "medical", "synthetic")


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
        points = [(0, 0), (w, 0), (w, h), (w * 0.7, h), (w * 0.7, b), (w * 0.3, b), (w * 0.3, h), (0, h)]
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

    def paint(mask: NDArray[np.bool_], colour: NDArray[Any], rough: float, cell: float, keep: bool) -> None:
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
        distance = [np.abs(x - a) + stretch * np.abs(y - b) if rng.random() < 0.0 else (x - a) ** 2 + stretch * (y - b) ** 2 for a, b in seeds]
        order = np.argsort(np.stack(distance), axis=0)[:2]
        cell = order[0]
        near = np.sort(np.stack(distance), axis=0)
        gap = np.sqrt(near[1]) - np.sqrt(near[0]) < rng.uniform(0.5, 5)
        for k in range(n):
            paint((cell == k) & ~gap, rng.uniform(30, 190, 3), rng.uniform(2, 18), rng.uniform(1.5, 30), True)
    else:
        image += (smooth_noise(rng, shape, rng.uniform(4, 60)) * rng.uniform(4, 25))[..., None]
    for _ in range(int(rng.integers(0, 3))):  # ponds
        r = rng.uniform(15, 70)
        pond = blob(rng, shape, tuple(rng.uniform(0, side, 2)), (r, r * rng.uniform(0.5, 1.5)), rng.uniform(0, 3), 2, 0.5)
        base = rng.uniform(15, 80)
        paint(pond, np.array([base * 0.6, base, base * rng.uniform(0.8, 1.4)]), rng.uniform(0, 5), 20, True)
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
        corners = turn(building(rng, own), heading if rng.random() < 0.75 else rng.uniform(0, np.pi)) + centre
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
        image[roof] = colour + (smooth_noise(rng, shape, rng.uniform(1, 8)) * rng.uniform(1, 14))[roof][:, None]
        if rng.random() < 0.5:  # a ridge: one side of the roof is darker
            middle = (np.mgrid[:side, :side][::-1].reshape(2, -1).T - centre) @ np.array([np.cos(heading), np.sin(heading)])
            image[roof & (middle.reshape(shape) > 0)] *= rng.uniform(0.7, 0.95)
        if rng.random() < 0.4:  # things on the roof
            for _ in range(int(rng.integers(1, 5))):
                spot = raster(turn(building(rng, own * 0.15), heading) + centre + rng.normal(0, own * 0.25, 2)) & roof
                image[spot] = rng.uniform(20, 240)
        count += 1
        labels[roof] = 1000 + count
    for _ in range(int(rng.integers(0, 25))):  # trees
        r = rng.uniform(3, 18)
        tree = blob(rng, shape, tuple(rng.uniform(0, side, 2)), (r, r), 0, 2, 0.35)
        image[tree] = np.array([40, 75, 35]) * rng.uniform(0.5, 1.5) + (smooth_noise(rng, shape, 2.5) * 12)[tree][:, None]
        labels[tree] = 0
        if r > 9 and rng.random() < 0.5:
            count += 1
            labels[tree] = 2000 + count
    image = np.stack([ndimage.gaussian_filter(image[..., c], rng.uniform(0.4, 0.5)) for c in range(3)], -1)
    image += rng.normal(0, rng.uniform(0.5, 8), shape)[..., None]
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    numbered, table = number_objects(labels, instances=True)
    return Item("generated_aerial", "", pixels, numbered, table, "remote_sensing", "synthetic")


def blob_scene(rng: np.random.Generator, side: int = 256) -> Item:
    """Soft blobs of unlike brightness over a textured ground: ultrasound, MR, SAR and microscopy."""
    shape = (side, int(side * rng.uniform(0.7, 1.0)))
    image = 128 + smooth_noise(rng, shape, rng.uniform(20, 120)) * rng.uniform(5, 30)
    image += rng.uniform(-80, 80)
    labels = np.zeros(shape, np.int32)
    for k in range(int(rng.integers(1, 14))):
        r = np.exp(rng.uniform(np.log(6), np.log(85)))
        part = blob(
            rng, shape, (rng.uniform(0, shape[0]), rng.uniform(0, shape[1])), (r, r * rng.uniform(0.4, 1.6)),
            rng.uniform(0, np.pi), rng.uniform(1.4, 3), rng.uniform(0.05, 0.6),
        )
        if part.sum() < 40:
            continue
        level = rng.uniform(10, 240)
        if rng.random() < 0.3:  # seen by its rim only
            rim = part & ~ndimage.binary_erosion(part, iterations=int(rng.integers(1, 4)))
            image[rim] = level
        else:
            image[part] = level + (smooth_noise(rng, shape, rng.uniform(2, 20)) * rng.uniform(1, 20))[part]
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
