"""Generated CT-like sections, with exact labels.

They teach what no small set shows: liver, spleen, kidneys and vessels, with and without contrast
medium, in the windows a radiologist uses, at coarse resolution too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_train.data.packing import Item, number_objects
from samovar_train.data.shapes import blob, smooth_noise

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
    "pancreas": (38, 8), "bowel a": (30, 20), "bowel b": (28, 22), "bowel c": (30, 20),
    "heart": (42, 6),
}  # fmt: skip


WINDOWS = ((40, 400), (50, 350), (60, 250), (-20, 700), (100, 700), (-400, 1500), (250, 1300))
"""Levels and widths, HU; the first three are those of the abdomen."""


def in_window(hu: NDArray[Any], level: float, width: float) -> NDArray[np.uint8]:
    """Hounsfield units → 0-255."""
    shown: NDArray[np.uint8] = (np.clip((hu - (level - width / 2)) / width, 0, 1) * 255).astype(
        np.uint8
    )
    return shown


def organ(
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> NDArray[np.bool_]:
    """The outline of one organ: the liver with a left lobe, the spleen hollowed, vessels round."""
    vessel = name in ("aorta", "cava")
    angle = rng.normal(0, 0.15 if vessel else 0.6)
    wobble = 0.05 if vessel else rng.uniform(0.1, 0.45)
    part = blob(
        rng,
        shape,
        centre,
        (max(radii[0], 2), max(radii[1], 2)),
        angle,
        rng.uniform(1.7, 2.8),
        wobble,
    )
    if name == "liver" and rng.random() < 0.6:
        left = (
            centre[0] - rng.uniform(0.1, 0.5) * radii[0],
            centre[1] + rng.uniform(0.6, 1.1) * radii[1],
        )
        part |= blob(
            rng,
            shape,
            left,
            (radii[0] * rng.uniform(0.3, 0.55), radii[1] * rng.uniform(0.6, 1.0)),
            rng.normal(0, 0.3),
            2,
            0.2,
        )
    if name in ("liver", "spleen") and rng.random() < 0.5:  # where a neighbour presses in
        towards = np.sign(shape[1] / 2 - centre[1]) * rng.uniform(0.6, 1.1)
        dent = (centre[0] + rng.normal(0.2, 0.4) * radii[0], centre[1] + towards * radii[1])
        part &= ~blob(
            rng,
            shape,
            dent,
            (radii[0] * rng.uniform(0.3, 0.7), radii[1] * rng.uniform(0.3, 0.7)),
            0,
        )
    return part


def crescent(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> NDArray[np.bool_]:
    """An organ that bends around its neighbours: its box holds more of them than of itself."""
    big = (radii[0] * rng.uniform(1.0, 1.5), radii[1] * rng.uniform(1.0, 1.4))
    part = blob(rng, shape, centre, big, rng.normal(0, 0.5), rng.uniform(1.8, 2.6), 0.2)
    inward = np.sign(shape[1] / 2 - centre[1])
    shift = (rng.normal(0, 0.6) * big[0], inward * rng.uniform(0.3, 0.9) * big[1])
    hollow = (big[0] * rng.uniform(0.6, 1.05), big[1] * rng.uniform(0.5, 0.95))
    inner = (centre[0] + shift[0], centre[1] + shift[1])
    return part & ~blob(rng, shape, inner, hollow, rng.normal(0, 0.5), 2, 0.2)


def ct_section(rng: np.random.Generator, crescents: bool = False) -> Item:
    """An axial abdominal or thoracic section in a random window, 96 to 288 pixels wide.

    With `crescents` it is abdominal, and liver, spleen and stomach bend around their neighbours.
    """
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
    thorax, plain = rng.random() < 0.2 and not crescents, rng.random() < 0.45
    if not thorax and rng.random() < 0.25:  # the lungs' base around the dome of the liver
        base = (
            blob(
                rng,
                shape,
                (cy, cx),
                (ry * inner_share * 0.95, rx * inner_share * 0.95),
                0,
                2.2,
                0.3,
            )
            & cavity
        )
        hu[base] = rng.uniform(-900, -750)
    names = [n for n in ORGANS if n not in ("heart",)]
    if thorax:
        hu[cavity] = rng.uniform(20, 50)
        names = ["heart", "aorta"]
        for side in (-1, 1):
            lung = blob(
                rng,
                shape,
                (cy - 0.05 * ry, cx + side * 0.5 * rx),
                (0.68 * ry, 0.36 * rx),
                0,
                2.4,
                0.2,
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
    order = [str(n) for n in rng.permutation(names)]
    if crescents:  # the bent ones first: neighbours fill their hollows
        order.sort(key=lambda n: n not in ("liver", "spleen", "stomach"))
    for name in order:
        if rng.random() < 0.15:
            continue
        oy, ox, sy, sx, mean, spread = ORGANS[str(name)]
        scale = rng.uniform(0.6, 1.25)
        centre = (
            cy + (oy + rng.normal(0, 0.06)) * ry * inner_share,
            cx + (ox + rng.normal(0, 0.06)) * rx * inner_share,
        )
        radii = (sy * ry * scale * rng.uniform(0.8, 1.25), sx * rx * scale * rng.uniform(0.8, 1.25))
        if plain:
            mean, spread = UNENHANCED[str(name)]
        bent = crescents and name in ("liver", "spleen", "stomach") and rng.random() < 0.85
        part = (
            crescent(rng, shape, centre, radii)
            if bent
            else organ(rng, str(name), shape, centre, radii)
        )
        part &= cavity & (labels == 0)
        if part.sum() < 12:
            continue
        value = rng.normal(mean, spread)
        texture = smooth_noise(rng, shape, rng.uniform(2, width / 12)) * rng.uniform(
            1, 4 if plain else 9
        )
        hu[part] = value + texture[part]
        labels[part] = labels.max() + 1
        drawn.append(name)
        if str(name).startswith("kidney") and rng.random() < 0.6:  # the hilum's fat
            hole = blob(
                rng,
                shape,
                (centre[0], centre[1] + (0.6 if "right" in name else -0.6) * radii[1]),
                (radii[0] * 0.35, radii[1] * 0.5),
                0,
            )
            hole &= part
            hu[hole] = rng.uniform(-90, -20)
            labels[hole] = 0
        elif str(name).startswith(("bowel", "stomach")) and rng.random() < 0.5:  # gas on top
            gas = part & (
                np.arange(height)[:, None] < centre[0] - radii[0] * rng.uniform(-0.2, 0.6)
            )
            hu[gas] = -950
        elif name == "liver" and rng.random() < 0.7:  # vessels and lesions
            for _ in range(int(rng.integers(1, 7))):
                spot = (
                    centre[0] + rng.normal(0, 0.5) * radii[0],
                    centre[1] + rng.normal(0, 0.5) * radii[1],
                )
                r = rng.uniform(0.03, 0.14) * radii[1]
                lesion = (
                    blob(rng, shape, spot, (r, r * rng.uniform(0.6, 1.8)), rng.uniform(0, 3)) & part
                )
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
        rib = (
            blob(rng, shape, spot, (max(1.5, 0.02 * width), max(1.5, 0.03 * width)), t + 1.57)
            & muscle
        )
        hu[rib & (labels == 0)] = rng.uniform(250, 600)
    hu = ndimage.gaussian_filter(hu, rng.uniform(0.4, 0.9))
    hu += smooth_noise(rng, shape, rng.uniform(1.0, 1.8)) * rng.uniform(3, 28)
    if flip:
        hu, labels = hu[:, ::-1], labels[:, ::-1]
    level, window = WINDOWS[int(rng.choice(7, p=[0.38, 0.18, 0.12, 0.1, 0.1, 0.06, 0.06]))]
    image = in_window(hu, level, window)
    numbered, table = number_objects(labels, instances=True)
    return Item("generated_ct", "", image, numbered, table, "medical", "synthetic")


def crescent_section(rng: np.random.Generator) -> Item:
    """A section whose large organs bend around their neighbours."""
    item = ct_section(rng, crescents=True)
    item.source = "generated_crescents"
    return item
