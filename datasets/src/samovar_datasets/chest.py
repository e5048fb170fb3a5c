"""Lungs, heart and what lies between them in the CT phantom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.shapes import Array, ellipsoid, everywhere, waves
from samovar_datasets.torso import BLOOD, FAT, LUNG, MUSCLE, Stroke, Torso, rotation


class Chest(Torso):
    """What lies above the diaphragm."""

    def _chest(self) -> Iterator[Stroke]:
        heart_at = (22, -self.depth * 0.28, 138)
        heart = ellipsoid(heart_at, (62, 50, 50), rotation(0, 18, -35))

        def lung(x: Array, y: Array, z: Array) -> Array:
            above = self.diaphragm(x, y) - z
            beside = np.square((np.abs(x) - 0.50 * self.width) / (0.36 * self.width))
            oval = (np.sqrt(beside + np.square((y - 4) / (0.86 * self.depth))) - 1) * 60
            return np.maximum(np.maximum(above * 0.55, oval), self.cavity(x, y, z) - 1)

        chest = everywhere(
            lambda x, y, z: np.maximum(self.diaphragm(x, y) - 3 - z, self.cavity(x, y, z) - 3)
        )
        yield Stroke(chest, MUSCLE, 0)
        yield Stroke(
            everywhere(
                lambda x, y, z: np.maximum(
                    np.maximum(self.diaphragm(x, y) + 3 - z, self.cavity(x, y, z) + 2),
                    np.abs(x) - 40,
                )
            ),
            FAT + 12,
            0,
        )
        vessels = waves(self.rng, 1.0, (16, 34), 8)
        fine = waves(self.rng, 1.0, (7, 13), 6)

        def parenchyma(x: Array, y: Array, z: Array) -> Array:
            thick = np.clip(1 - np.abs(vessels(x, y, z)) * 7, 0, 1)
            thin = np.clip(1 - np.abs(fine(x, y, z)) * 4, 0, 1)
            both = np.clip(thick * thin * 1.8, 0, 1)
            gravity = np.clip((y + 40) / 120, 0, 1)
            return LUNG + 60 * gravity + 760 * both**2 + 22 * fine(x, y, z)

        for side, label in ((1, 9), (-1, 10)):
            half = everywhere(lambda x, y, z, s=side: np.maximum(lung(x, y, z), -s * x))
            yield Stroke(half - heart.inset(-3), parenchyma, label)
        yield Stroke(heart.inset(-3) & self._inside(6), FAT + 10, 0)
        yield Stroke(heart & self._inside(8), self.texture(96, 4, (20, 50)), 14)
        chamber = BLOOD * self.contrast + 22
        for at, radii in (((34, -8, 6), (26, 24, 26)), ((-22, -6, 2), (24, 28, 28))):
            centre = tuple(h + o for h, o in zip(heart_at, at, strict=True))
            yield Stroke(ellipsoid(centre, radii) & heart.inset(7), chamber, 14)
