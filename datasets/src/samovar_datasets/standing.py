"""Shadows, roofs and crowns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.ground import Parcel
from samovar_datasets.houses import Building, Tree, wing_frame
from samovar_datasets.mixing import Floats, Mixture
from samovar_datasets.randomness import noise, unit
from samovar_datasets.spectra import spectrum


class Standing(Mixture):
    """Paints what stands on the ground."""

    def _shade(self, buildings: list[tuple[Parcel, Building]], trees: list[Tree]) -> None:
        dark = np.zeros(self.shape, np.float32)
        for _, building in buildings:
            fall = self.shadow * building.height
            for wing in building.wings:
                corners = wing.corners(building.angle)
                hull = _hull(np.concatenate([corners, corners + fall]))
                middle = hull.mean(axis=0)
                reach = float(np.linalg.norm(hull - middle, axis=1).max()) + 1
                part = self.window(*middle, reach)
                if part is not None:
                    level = _hull_level(hull, self.u[part], self.v[part])
                    np.maximum(dark[part], self.cover(level), out=dark[part])
        for tree in trees:
            at = np.array(tree.centre) + self.shadow * tree.radius * 1.6
            part = self.window(*at, tree.radius * 1.2 + 1)
            if part is not None:
                level = np.hypot(self.u[part] - at[0], self.v[part] - at[1]) - tree.radius
                np.maximum(dark[part], self.cover(level) * np.float32(0.9), out=dark[part])
        blue = spectrum("concrete", self.bands)
        for band in range(self.bands):
            keep = 0.40 if self.bands < 3 or blue[band] > 0.255 else 0.46
            self.pixels[band] *= 1 - dark * np.float32(1 - keep)

    def _roof(self, number: int, building: Building) -> None:
        low, high = building.outline.min(axis=0), building.outline.max(axis=0)
        middle = (low + high) / 2
        part = self.window(*middle, float((high - low).max() / 2 + 2 * self.gsd))
        if part is None:
            return
        u, v = self.u[part], self.v[part]
        best = np.full(u.shape, -np.inf)
        tone = np.ones(u.shape)
        level = np.full(u.shape, np.inf)
        for wing in building.wings:
            p, q = wing_frame(wing, building.angle, u, v)
            rise, shade = self._slope(wing, building, p, q)
            inside = np.maximum(np.abs(p) - wing.half[0], np.abs(q) - wing.half[1])
            rise = np.where(inside < self.gsd, rise, -np.inf)
            tone = np.where(rise > best, shade, tone)
            best = np.maximum(best, rise)
            level = np.minimum(level, inside)
        rough = 1 + 0.05 * noise(self.seed + 16, u, v, 1.7) + 0.04 * noise(self.seed, u, v, 5.0)
        self.mix(part, self.cover(level), building.material, tone * rough * building.tone)
        if building.roof == "flat":
            self._flat_roof(part, building, level)
        covered = level < 0
        self.classes[part][covered] = 1
        self.owner[part][covered] = number
        self.local[part][covered] = building.number

    def _slope(self, wing: Any, building: Building, p: Floats, q: Floats) -> tuple[Any, Any]:
        """Height above the eaves and brightness of a roof at local coordinates."""
        if building.roof == "flat":
            return np.zeros(p.shape), np.ones(p.shape)
        a, b = wing.half
        c, s = math.cos(building.angle), math.sin(building.angle)
        light_p = c * self.light[0] + s * self.light[1]
        light_q = c * self.light[1] - s * self.light[0]
        along_p = a >= b
        if not along_p:
            p, q, a, b, light_p, light_q = q, p, b, a, light_q, light_p
        sides, ends = b - np.abs(q), a - np.abs(p)
        shade = 1 + 0.42 * np.sign(q) * light_q
        rise = sides
        if building.roof == "hip":
            end = 1 + 0.42 * np.sign(p) * light_p
            shade = np.where(ends < sides, end, shade)
            rise = np.minimum(sides, ends)
        period = 0.9
        course = np.sin(2 * np.pi * (q if building.material == "tile" else p) / period)
        shade = shade * (1 + 0.06 * self.fade(period) * course)
        ridge = np.clip(1 - np.abs(q) / 0.22, 0, 1) * (rise > 0.3)
        return rise, shade + 0.16 * ridge

    def _flat_roof(self, part: Any, building: Building, level: NDArray[Any]) -> None:
        u, v = self.u[part], self.v[part]
        parapet = np.abs(level + 0.35) - 0.25
        self.mix(part, self.cover(parapet) * np.float32(0.6), "concrete", 1.1)
        wing = building.wings[0]
        p, q = wing_frame(wing, building.angle, u, v)
        for n in range(int(building.area // 60)):
            dice = [
                unit(self.seed, 90 + k, round(wing.centre[0] * 8), round(wing.centre[1] * 8), n)
                for k in range(4)
            ]
            at = (2 * np.array(dice[:2]) - 1) * (np.array(wing.half) - 2.2)
            x, y = p - at[0], q - at[1]
            size = 0.5 + 0.9 * dice[2]
            box = np.maximum(np.abs(x) - size, np.abs(y) - size * 0.7)
            inside = np.maximum(box, level + 0.6)
            light = "glass" if dice[3] < 0.4 else "metal"
            self.mix(part, self.cover(inside - 0.35) * np.float32(0.5), "car_dark", 1.5)
            self.mix(part, self.cover(inside), light, 0.95)

    def _crown(self, tree: Tree) -> None:
        part = self.window(*tree.centre, tree.radius * 1.3 + 1)
        if part is None:
            return
        x, y = self.u[part] - tree.centre[0], self.v[part] - tree.centre[1]
        bumps = noise(self.seed + 17, self.u[part], self.v[part], 1.3)
        distance = np.hypot(x, y)
        level = distance - tree.radius * (1 + 0.14 * bumps)
        dome = np.sqrt(np.clip(1 - np.square(distance / (tree.radius * 1.2)), 0, 1))
        lit = (x * self.light[0] + y * self.light[1]) / tree.radius
        tone = tree.tone * (0.62 + 0.42 * dome + 0.34 * lit + 0.16 * bumps)
        material = "wood" if tree.conifer else "leaves"
        self.mix(part, self.cover(level), material, np.clip(tone, 0.25, 2.0) * 1.15)
        crown = (level < 0) & (self.classes[part] == 0)
        self.classes[part][crown] = 5


def _hull(points: Floats) -> Floats:
    """Convex hull, counter-clockwise (monotone chain)."""
    order = sorted(map(tuple, points))
    halves: list[list[tuple[float, float]]] = []
    for run in (order, order[::-1]):
        chain: list[tuple[float, float]] = []
        for p in run:
            while len(chain) > 1 and _turns_right(chain[-2], chain[-1], p):
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return np.array(halves[0] + halves[1])


def _turns_right(a: Any, b: Any, c: Any) -> bool:
    return bool((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0)


def _hull_level(hull: Floats, u: Floats, v: Floats) -> Floats:
    level = np.full(u.shape, -np.inf)
    for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        d = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        level = np.maximum(level, (u - a[0]) * d[1] - (v - a[1]) * d[0])
    return level
