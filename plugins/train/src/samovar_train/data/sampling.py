"""Prompts of an object, as people and propagation give them.

All coordinates are x, y in the prompt frame, continuous pixel edges. A prompt set has P token
slots; a box takes two (labels 2 and 3), a point one (1 or 0), the rest is padding (-1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage


@dataclass(frozen=True)
class PromptMix:
    """How often each kind of prompt is drawn; the numbers are relative weights."""

    box: float = 0.48
    extent: float = 0.10
    box_points: float = 0.06
    points: float = 0.13
    prior_box: float = 0.19
    prior: float = 0.04
    tight: float = 0.75  # of boxes: exact or within a pixel or two
    loose: float = 0.10  # of boxes: up to 20 % larger; the remainder is jittered both ways

    def draw(self, rng: np.random.Generator) -> str:
        """A kind of prompt, its weight its chance."""
        return drawn_kind(
            rng, self, ["box", "extent", "box_points", "points", "prior_box", "prior"]
        )


def drawn_kind(rng: np.random.Generator, mix: object, names: list[str]) -> str:
    """One of a mix's kinds, by their relative weights."""
    weights = np.array([getattr(mix, n) for n in names], float)
    return str(rng.choice(names, p=weights / weights.sum()))


@dataclass
class Prompt:
    """Tokens and an optional prior of one object."""

    coords: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    prior: NDArray[np.float32] | None = None

    def padded(self, slots: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        coords = np.zeros((slots, 2), np.float32)
        labels = np.full(slots, -1, np.float32)
        count = min(len(self.labels), slots)
        coords[:count] = np.array(self.coords[:count], np.float32).reshape(-1, 2)
        labels[:count] = self.labels[:count]
        return coords, labels

    def add_box(self, box: NDArray[np.float64]) -> None:
        self.coords += [(box[0], box[1]), (box[2], box[3])]
        self.labels += [2, 3]

    def add_point(self, xy: tuple[float, float], positive: bool) -> None:
        self.coords.append(xy)
        self.labels.append(int(positive))


def jittered_box(
    rng: np.random.Generator, box: NDArray[np.float64], size: int, mix: PromptMix
) -> NDArray[np.float64]:
    """Box x0, y0, x1, y1 → tight, loose or jittered, inside the frame, at least 2 px wide."""
    extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    draw = rng.random()
    if draw < mix.tight:
        shift = rng.normal(0, 0.6, 4) if rng.random() < 0.5 else np.zeros(4)
    elif draw < mix.tight + mix.loose:
        shift = rng.uniform(0, 0.2, 4) * extent * np.array([-1, -1, 1, 1])
    else:
        shift = np.clip(rng.normal(0, 0.05, 4), -0.2, 0.2) * extent
    return legal_box(box + shift, size)


def extent_box(rng: np.random.Generator, view: ObjectView, least: float) -> NDArray[np.float64]:
    """The sides of a 3-D box: the object lies anywhere in it and fills at least `least` of it."""
    box = view.box
    extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    area = float(view.soft.sum()) * 16
    for reach in (rng.choice([0.4, 0.8, 1.4]), 0.6, 0.3):
        grow = rng.uniform(0, reach, 4) * (rng.random(4) < 0.65)
        grown = legal_box(box + grow * extent * np.array([-1, -1, 1, 1]), view.size)
        if area >= least * (grown[2] - grown[0]) * (grown[3] - grown[1]):
            return grown
    return legal_box(box, view.size)


def legal_box(box: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    out = np.clip(box, 0, size)
    for a in (0, 1):
        if out[a + 2] - out[a] < 2:
            middle = np.clip((out[a] + out[a + 2]) / 2, 1, size - 1)
            out[a], out[a + 2] = middle - 1, middle + 1
    return out


def perturbed_prior(rng: np.random.Generator, soft: NDArray[np.float32]) -> NDArray[np.float32]:
    """What propagation from a neighbouring slice hands over: logits of a mask that is nearly right.

    `soft` is the true coverage `(h, w)` in 0-1. It is shifted, scaled, its outline bent, eroded or
    dilated, sometimes with holes or islands, then turned into logits, sharp or blurred.
    """
    h, w = soft.shape
    ys, xs = np.nonzero(soft > 0.3)
    if ys.size == 0:
        return np.full((h, w), -6.0, np.float32)
    extent = max(np.ptp(ys) + 1, np.ptp(xs) + 1)
    cy, cx = ys.mean(), xs.mean()
    zoom_y, zoom_x = np.exp(rng.normal(0.03, 0.13, 2)) if rng.random() < 0.8 else (1.0, 1.0)
    dy, dx = rng.normal(0, 0.05, 2) * extent
    affine = (1 / zoom_x, 0, cx - (cx + dx) / zoom_x, 0, 1 / zoom_y, cy - (cy + dy) / zoom_y)
    mask = Image.fromarray((soft * 255).astype(np.uint8)).transform(
        (w, h), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    blur = rng.uniform(0.2, max(0.5, 0.06 * extent))
    p = np.asarray(mask.filter(ImageFilter.GaussianBlur(blur))).astype(np.float32) / 255
    cell = max(3.0, rng.uniform(0.1, 0.5) * extent)
    grid = rng.standard_normal((int(h / cell) + 3, int(w / cell) + 3)).astype(np.float32)
    bend = np.asarray(Image.fromarray(grid).resize((w, h), Image.Resampling.BICUBIC))
    p = p + bend * rng.uniform(0, 0.22) * (p > 0.02) + rng.normal(0, 0.12)  # outline, thickness
    if rng.random() < 0.12:
        p = p + np.where(np.roll(bend, 7) > 1.2, rng.choice([-0.6, 0.6]), 0)
    logits = (p - 0.5) * np.exp(rng.uniform(np.log(4), np.log(40)))
    if rng.random() < 0.25:
        logits = np.where(logits > 0, 1.0, -1.0) * rng.uniform(3, 12)
    return np.clip(logits, -16, 16).astype(np.float32)


class ObjectView:
    """One object in the frame: its pixels in the crop, its coverage at stride 4, its box."""

    def __init__(self, mask: NDArray[np.bool_], scale: float, size: int):
        self.mask, self.scale, self.size = mask, scale, size
        height, width = mask.shape
        side = max(height, width)
        square = np.zeros((side, side), np.uint8)
        square[:height, :width] = mask.view(np.uint8) * np.uint8(255)
        grid = size // 4
        filter_ = Image.Resampling.BOX if side >= grid else Image.Resampling.BILINEAR
        self.soft = (
            np.asarray(Image.fromarray(square).resize((grid, grid), filter_)).astype(np.float32)
            / 255
        )
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        self.box = scale * np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
        self.flat = np.flatnonzero(mask)

    def region(self, window: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
        """Coverage `(cells, cells)` in 0-1 over a window x0, y0, x1, y1 of the frame."""
        x0, y0, x1, y1 = window / self.scale
        left, top = math.floor(x0) - 1, math.floor(y0) - 1
        right, bottom = math.ceil(x1) + 1, math.ceil(y1) + 1
        height, width = self.mask.shape
        part = np.zeros((bottom - top, right - left), np.uint8)
        ys, xs = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
        if ys.stop > ys.start and xs.stop > xs.start:
            shown = self.mask[ys, xs].view(np.uint8) * np.uint8(255)
            part[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left] = shown
        shrinks = min(x1 - x0, y1 - y0) >= cells
        filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        box = (x0 - left, y0 - top, x1 - left, y1 - top)
        out = Image.fromarray(part).resize((cells, cells), filter_, box=box)
        return np.asarray(out).astype(np.float32) / 255

    def random_point(self, rng: np.random.Generator) -> tuple[float, float]:
        y, x = divmod(int(self.flat[rng.integers(self.flat.size)]), self.mask.shape[1])
        return (x + rng.random()) * self.scale, (y + rng.random()) * self.scale

    def inner_point(self) -> tuple[float, float]:
        """The point deepest inside (chessboard distance at stride 4)."""
        x0, y0 = (self.box[:2] // 4).astype(int)
        x1, y1 = np.ceil(self.box[2:] / 4).astype(int)
        part = np.pad(self.soft[y0:y1, x0:x1] > 0.5, 1)
        if not part.any():
            return float(self.box[[0, 2]].mean()), float(self.box[[1, 3]].mean())
        depth = ndimage.distance_transform_cdt(part)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return float(x - 1 + x0) * 4 + 2, float(y - 1 + y0) * 4 + 2

    def outside_point(self, rng: np.random.Generator) -> tuple[float, float] | None:
        """A point near the object but not on it, or None."""
        x0, y0, x1, y1 = self.box
        grow = 0.35 * np.array([x1 - x0, y1 - y0]) + 8
        grid = self.soft.shape[0]
        for _ in range(8):
            x = rng.uniform(max(0, x0 - grow[0]), min(self.size, x1 + grow[0]))
            y = rng.uniform(max(0, y0 - grow[1]), min(self.size, y1 + grow[1]))
            if self.soft[min(int(y / 4), grid - 1), min(int(x / 4), grid - 1)] < 0.05:
                return x, y
        return None


def draw_prompt(
    rng: np.random.Generator, view: ObjectView, slots: int, mix: PromptMix
) -> tuple[Prompt, str]:
    """A prompt that fits into `slots` tokens, and its kind (single points are "point")."""
    kind = mix.draw(rng)
    if slots < 3 and kind == "box_points":
        kind = "box"
    prompt = Prompt()
    if kind in ("box", "box_points"):
        prompt.add_box(jittered_box(rng, view.box, view.size, mix))
    elif kind == "extent":
        prompt.add_box(extent_box(rng, view, 0.27))
    elif kind == "prior_box":
        prompt.prior = perturbed_prior(rng, view.soft)
        if rng.random() < 0.6:
            prompt.add_box(extent_box(rng, view, 0.08))
        else:
            prompt.add_box(jittered_box(rng, view.box, view.size, mix))
    elif kind == "prior":
        prompt.prior = perturbed_prior(rng, view.soft)
        if rng.random() < 0.5:
            prompt.add_point(view.random_point(rng), True)
    if kind in ("points", "box_points"):
        room = slots - len(prompt.labels)
        positives = 1 if kind == "points" and rng.random() < 0.6 else int(rng.integers(0, room + 1))
        if kind == "points":
            positives = max(positives, 1)
        negatives = int(rng.integers(0, room - positives + 1)) if rng.random() < 0.5 else 0
        for i in range(positives):
            deep = i == 0 and rng.random() < 0.45
            prompt.add_point(view.inner_point() if deep else view.random_point(rng), True)
        for _ in range(negatives):
            outside = view.outside_point(rng)
            if outside is not None:
                prompt.add_point(outside, False)
        if kind == "points" and len(prompt.labels) == 1:
            kind = "point"
    return prompt, kind


FOLLOW_MARGIN = 0.06
"""Share of a mask's larger side by which propagation grows its box for the next slice."""
NOTHING = -6.0
"""Logit of a prior where it says nothing."""


@dataclass(frozen=True)
class RegionMix:
    """How often each kind of prompt is drawn for the region decoder; relative weights."""

    box: float = 0.36
    extent: float = 0.12
    box_points: float = 0.08
    prior_box: float = 0.10
    followed: float = 0.34

    def draw(self, rng: np.random.Generator) -> str:
        """A kind of prompt, its weight its chance."""
        return drawn_kind(rng, self, [f.name for f in fields(self)])


def window_around(box: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """A box and `margin` of its sides on each side; it may leave the frame."""
    size = np.maximum(box[2:] - box[:2], 1.0)
    centre = (box[:2] + box[2:]) / 2
    return np.concatenate([centre - size * (0.5 + margin), centre + size * (0.5 + margin)])


def reframed(
    logits: NDArray[np.float32],
    window: NDArray[np.float64],
    into: NDArray[np.float64],
    cells: int,
) -> NDArray[np.float32]:
    """Logits `(h, w)` over one window → `(cells, cells)` over another; nothing beyond the first."""
    h, w = logits.shape
    per_cell = (window[2:] - window[:2]) / (w, h)
    x0, y0, x1, y1 = (into - np.tile(window[:2], 2)) / np.tile(per_cell, 2)
    left, top, right, bottom = (max(0, math.ceil(v) + 1) for v in (-x0, -y0, x1 - w, y1 - h))
    padded = np.pad(logits, ((top, bottom), (left, right)), constant_values=NOTHING)
    box = (x0 + left, y0 + top, x1 + left, y1 + top)
    shrinks = min(x1 - x0, y1 - y0) >= cells
    filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    out = Image.fromarray(padded).resize((cells, cells), filter_, box=box)
    return np.asarray(out).astype(np.float32)


def followed_box(
    rng: np.random.Generator, view: ObjectView, found: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What propagation asks next after a mask with these bounds, mostly inside a 3-D box."""
    margin = max(view.scale, FOLLOW_MARGIN * float((found[2:] - found[:2]).max()))
    box = found + margin * np.array([-1, -1, 1, 1])
    if rng.random() < 0.7:
        limit = extent_box(rng, view, 0.08)
        inside = np.concatenate([np.maximum(box[:2], limit[:2]), np.minimum(box[2:], limit[2:])])
        box = inside if (inside[2:] > inside[:2]).all() else limit
    return legal_box(box, view.size)


def draw_followed(
    rng: np.random.Generator, view: ObjectView, margin: float, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Box, and prior over its window, as an object is followed from one slice to the next.

    The box goes by the mask before, so that the object may reach beyond it.
    """
    around = window_around(view.box, 0.6)
    prior = perturbed_prior(rng, view.region(around, cells + cells // 2))
    ys, xs = np.nonzero(prior > 0)
    if ys.size < 4:
        return view.box, reframed(prior, around, window_around(view.box, margin), cells)
    cell = (around[2:] - around[:2]) / prior.shape[0]
    bounds = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    box = followed_box(rng, view, np.tile(around[:2], 2) + bounds * np.tile(cell, 2))
    return box, reframed(prior, around, window_around(box, margin), cells)


def draw_region(
    rng: np.random.Generator,
    view: ObjectView,
    slots: int,
    mix: PromptMix,
    margin: float,
    cells: int,
    region_mix: RegionMix,
) -> tuple[Prompt, NDArray[np.float64], NDArray[np.float32]]:
    """A prompt with a box for the region decoder, its window, and the coverage there."""
    kind = region_mix.draw(rng)
    prior = None
    if kind == "followed":
        box, prior = draw_followed(rng, view, margin, cells)
    elif kind in ("box", "box_points") or (kind == "prior_box" and rng.random() < 0.4):
        box = jittered_box(rng, view.box, view.size, mix)
    else:
        box = extent_box(rng, view, 0.27 if kind == "extent" else 0.08)
    prompt = Prompt()
    prompt.add_box(box)
    window = window_around(box, margin)
    soft = view.region(window, cells)
    prompt.prior = perturbed_prior(rng, soft) if kind == "prior_box" else prior
    for _ in range(int(rng.integers(1, slots - 1)) if kind == "box_points" and slots > 2 else 0):
        outside = view.outside_point(rng) if rng.random() < 0.5 else None
        if outside is None:
            prompt.add_point(view.random_point(rng), True)
        else:
            prompt.add_point(outside, False)
    return prompt, window, soft


def visible_objects(labels: NDArray[Any], floor: float) -> NDArray[np.int64]:
    """Numbers of the objects that cover at least `floor` pixels of a crop."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return np.flatnonzero(counts >= max(floor, 6))
