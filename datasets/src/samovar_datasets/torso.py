"""The torso: body wall, muscles and the landmarks that every organ is placed by.

LPS millimetres: x grows towards the patient's left, y towards the back, z towards the head; 0 is in
the middle at the first lumbar level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from samovar_datasets.shapes import Array, Level, Solid, ellipsoid, everywhere, tube, waves

AIR, LUNG, FAT, WATER, MUSCLE, BLOOD = -1000.0, -840.0, -102.0, 5.0, 58.0, 130.0


@dataclass(frozen=True)
class Stroke:
    """One thing to paint: a solid, its HU, and the label its voxels get (None: keep)."""

    solid: Solid
    value: float | Level
    label: int | None = None


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """3×3 rotation by degrees about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(np.radians([x, y, z])):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
        result = turn @ result
    return result


class Torso:
    """The frame of one patient; ``rng`` decides everything, in the order of painting."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.width = rng.uniform(158, 176)
        self.depth = rng.uniform(104, 118)
        self.fat = rng.uniform(11, 24)
        self.contrast = rng.uniform(0.85, 1.15)
        self.wall_bumps = waves(rng, 2.0, (60, 140))

    def texture(self, base: float, amplitude: float, wavelength: tuple[float, float]) -> Level:
        """HU ``base`` with smooth variations."""
        pattern = waves(self.rng, amplitude, wavelength, 6)
        return lambda x, y, z: np.float32(base) + pattern(x, y, z)

    def near(self, value: float, spread: float = 0.07) -> float:
        """``value``, give or take a share of ``spread``."""
        return float(value * self.rng.uniform(1 - spread, 1 + spread))

    def body(self, x: Array, y: Array, z: Array) -> Array:
        """Level of the skin: a rounded box, narrower at the waist, flatter at the back."""
        waist = 1 - 0.05 * np.exp(-np.square((z + 30) / 70)) + 0.03 * np.tanh((-z - 110) / 30)
        a = np.float32(self.width) * waist
        b = np.float32(self.depth) * (1 + 0.04 * np.tanh(-y / 60))
        rho = (np.abs(x / a) ** 2.35 + np.abs(y / b) ** 2.35) ** np.float32(1 / 2.35)
        spine_groove = 5 * np.exp(-np.square(x / 16)) * (y > 0)
        return (rho - 1) * np.float32(self.depth) + spine_groove

    def cavity(self, x: Array, y: Array, z: Array) -> Array:
        """Level of the inner side of the muscular wall."""
        angle = np.arctan2(y, x)
        front = np.clip(-np.sin(angle), 0, 1)
        fat = self.fat * (0.75 + 0.45 * np.clip(np.sin(angle), 0, 1) ** 2 + 0.25 * front)
        muscle = 13 - 5.5 * front + 2 * np.cos(2 * angle)
        return self.body(x, y, z) + fat + muscle + self.wall_bumps(x, y, z) * 0.6

    def _muscle_shell(self, x: Array, y: Array, z: Array) -> Array:
        angle = np.arctan2(y, x)
        front = np.clip(-np.sin(angle), 0, 1)
        fat = self.fat * (0.75 + 0.45 * np.clip(np.sin(angle), 0, 1) ** 2 + 0.25 * front)
        return self.body(x, y, z) + fat + self.wall_bumps(x, y, z) * 0.8

    def _inside(self, depth: float) -> Level:
        return lambda x, y, z: self.cavity(x, y, z) + np.float32(depth)

    def spine_line(self, z: float) -> tuple[float, float]:
        """x, y of the vertebral bodies' centre at height ``z``: a mild lordosis."""
        return 0.0, self.depth * 0.31 + 6 * float(np.cos((z + 60) / 75))

    def diaphragm(self, x: Array, y: Array) -> Array:
        """Height of the diaphragm, the same for every z: two domes, low at the rim and the back."""
        a, b = np.float32(self.width), np.float32(self.depth)
        right = 112 - 92 * np.square((x + 0.42 * a) / (0.55 * a)) - 60 * np.square(y / b)
        left = 98 - 92 * np.square((x - 0.42 * a) / (0.55 * a)) - 60 * np.square(y / b)
        middle = 84 - 40 * np.square(y / b) - 22 * np.square(x / 40)
        return np.maximum(np.maximum(right, left), middle) - 10 * (1 + np.tanh((y - 30) / 30))

    def _below_diaphragm(self, gap: float) -> Level:
        return lambda x, y, z: (z - self.diaphragm(x, y) + np.float32(gap)) * np.float32(0.55)

    def _wall(self) -> Iterator[Stroke]:
        body, shell = everywhere(self.body), everywhere(self._muscle_shell)
        inside = everywhere(self.cavity)
        yield from self._couch()
        yield Stroke(body, -10.0)
        yield Stroke(body.inset(1.8), self.texture(FAT, 5, (15, 60)))
        yield Stroke(shell, self.texture(MUSCLE - 4, 6, (10, 50)))
        layers = everywhere(
            lambda x, y, z: np.abs(self.cavity(x, y, z) - 5.0) - 0.7 + 3.0 * (y > 40)
        )
        yield Stroke(layers, -35.0)
        linea = tube([(0, -self.depth * 0.87, -200), (0, -self.depth * 0.87, 60)], [2.2, 2.2])
        yield Stroke(linea, FAT + 30)
        yield Stroke(inside, self.texture(FAT + 3, 5, (15, 60)))

    def _couch(self) -> Iterator[Stroke]:
        back = self.depth + 5

        def shell(x: Array, y: Array, z: Array) -> Array:
            curve = back + 5 - np.square(x / 200) * 38
            return np.maximum(np.abs(y - curve - 4) - 4, np.abs(x) - 205)

        yield Stroke(everywhere(shell), -690.0)
        yield Stroke(everywhere(lambda x, y, z: shell(x, y, z) + 1.6), -930.0)

    def _muscles(self) -> Iterator[Stroke]:
        back = self.depth * 0.31
        for side, label in ((1, 17), (-1, 18)):
            points, radii = [], []
            for z in range(-170, 41, 30):
                y = self.spine_line(z)[1]
                grow = np.clip((40 - z) / 150, 0, 1)
                points.append((side * (33 + 14 * grow), y - 6 - 10 * grow * grow, z))
                radii.append(5 + 15 * grow)
            yield Stroke(tube(points, radii), self.texture(MUSCLE + 4, 4, (6, 20)), label)
            quadratus = ellipsoid((side * 66, back + 20, -70), (20, 11, 55))
            yield Stroke(quadratus & self._inside(-4), MUSCLE)
            erector = everywhere(
                lambda x, y, z, s=side: np.maximum(
                    (
                        np.sqrt(
                            np.square((x - s * 34) / 31)
                            + np.square((y - np.float32(back + 41)) / 20)
                        )
                        - 1
                    )
                    * 20,
                    self.body(x, y, z) + np.float32(self.fat * 0.8),
                )
            )
            yield Stroke(erector, self.texture(MUSCLE, 9, (5, 16)))
