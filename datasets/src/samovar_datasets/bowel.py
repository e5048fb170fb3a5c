"""Bowel, colon and stomach of the CT phantom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.shapes import ellipsoid, everywhere, tube, waves
from samovar_datasets.torso import Stroke, Torso


class Bowel(Torso):
    """The digestive tube, with what is in it."""

    def _bowel(self) -> Iterator[Stroke]:
        rng = self.rng
        veins = waves(rng, 1.0, (14, 30), 6)
        yield Stroke(
            everywhere(
                lambda x, y, z: np.maximum(
                    np.abs(veins(x, y, z)) * 9 - 0.6,
                    np.maximum(self.cavity(x, y, z) + 22, np.abs(z + 70) - 75),
                )
            ),
            20.0,
        )
        for _ in range(62):
            centre = np.array([rng.uniform(-78, 78), rng.uniform(-72, 12), rng.uniform(-150, -25)])
            step = rng.normal(size=3) * (20, 16, 10)
            points = [centre - step, centre + rng.normal(size=3) * 7, centre + step]
            radius = rng.uniform(8.5, 13)
            loop = tube(points, [radius] * 3).shifted(waves(rng, 0.8, (14, 30))) & self._inside(6)
            wall, content = rng.uniform(70, 105), rng.uniform(15, 45)
            yield Stroke(loop, wall, 0)
            yield Stroke(loop.inset(2.4), self.texture(content, 9, (8, 22)), 0)
            if rng.random() < 0.2:
                gas = loop.inset(2.6) & (lambda x, y, z, c=centre: y - np.float32(c[1] - 2))
                yield Stroke(gas, -880.0, 0)
        yield from self._colon()

    def _colon(self) -> Iterator[Stroke]:
        rng = self.rng
        a, b = self.width, self.depth
        right = [(-a * 0.60, 18, -130), (-a * 0.64, 22, -80), (-a * 0.60, 8, -48)]
        across = [
            (-a * 0.60, 8, -48),
            (-a * 0.34, -b * 0.52, -62),
            (0, -b * 0.60, -74),
            (a * 0.36, -b * 0.46, -40),
            (a * 0.62, 14, 2),
        ]
        left = [(a * 0.62, 14, 2), (a * 0.66, 34, -50), (a * 0.64, 30, -105), (a * 0.5, 10, -150)]
        for points, radius in ((right, 21), (across, 17), (left, 14)):
            radius = self.near(radius, 0.12)
            haustra = waves(rng, 1.8, (20, 34))
            part = tube(points, [radius] * len(points)).shifted(haustra) & self._inside(4)
            yield Stroke(part, 62.0, 16)
            stool = waves(rng, 55, (6, 16), 7)
            yield Stroke(
                part.inset(2.6), lambda x, y, z, s=stool: np.clip(20 + s(x, y, z), -180, 110), 16
            )
            top = np.mean([p[1] for p in points]) - radius * 0.25
            gas = part.inset(3.0) & (lambda x, y, z, t=top: y - np.float32(t))
            yield Stroke(gas, -900.0, 16)

    def _stomach(self) -> Iterator[Stroke]:
        rng = self.rng
        b = self.depth
        fundus = ellipsoid((62, -b * 0.10, 62), (40, 40, 34))
        body = ellipsoid((54, -b * 0.40, 30), (38, 33, 42))
        antrum = tube([(48, -b * 0.5, 8), (10, -b * 0.52, -8), (-26, -b * 0.36, 8)], [24, 17, 12])
        stomach = fundus.blend(body, 18).blend(antrum, 12).shifted(waves(rng, 1.8, (25, 60)))
        stomach = stomach & self._inside(7) & self._below_diaphragm(9)
        yield Stroke(stomach, 92.0, 7)
        content = waves(rng, 16, (7, 20), 7)
        yield Stroke(stomach.inset(3.6), lambda x, y, z: 24 + content(x, y, z), 7)
        level = np.float32(-b * rng.uniform(0.44, 0.52))
        yield Stroke(stomach.inset(3.8) & (lambda x, y, z: y - level), -930.0, 7)
