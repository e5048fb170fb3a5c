"""The head: what lies where in the MR phantom, in LPS millimetres around the third ventricle.

Intensities are those of a FLAIR-like sequence: dark fluid, grey matter brighter than white matter,
bright lesions, vessels as thin dark flow voids.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.shapes import Array, Level, Solid, ellipsoid, everywhere, tube, waves
from samovar_datasets.torso import Stroke, rotation

CLASSES = {
    1: "grey_matter",
    2: "white_matter",
    3: "ventricles",
    4: "cerebrospinal_fluid",
    5: "deep_grey_left",
    6: "deep_grey_right",
    7: "lesion",
    8: "vessel",
    9: "cerebellum",
}
"""Label value → structure."""

PROMPTED = ("deep_grey_left", "deep_grey_right", "cerebellum")
"""Structures for which a box says what is meant; lesions are prompted one by one."""

CENTRE = (0.0, 4.0, 16.0)
FAT, MUSCLE, BONE, MARROW, FLUID, GREY, WHITE = 560.0, 330.0, 40.0, 300.0, 70.0, 520.0, 400.0


class Brain:
    """One head: all strokes, in painting order."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.radii = (rng.uniform(66, 72), rng.uniform(82, 90), rng.uniform(66, 72))
        self.folds = waves(rng, 1.0, (17, 27), 9)
        self.bends = waves(rng, 1.6, (18, 40), 6)

    def strokes(self) -> Iterator[Stroke]:
        yield from self._scalp()
        yield from self._cortex()
        yield from self._cerebellum()
        yield from self._deep()
        yield from self._ventricles()
        yield from self._lesions()
        yield from self._vessels()

    def shell(self, grow: float) -> Solid:
        """The inner table of the skull, grown outwards by ``grow`` mm."""
        a, b, c = self.radii

        def level(x: Array, y: Array, z: Array) -> Array:
            front = 1 - 0.07 * np.tanh((-y - 20) / 40)
            rho = np.sqrt(np.square(x / (a * front)) + np.square(y / b) + np.square((z - 8) / c))
            return (rho - 1) * 72 - np.float32(grow)

        # the head goes on below the brain, as the neck
        neck = np.float32(48)
        if grow > 2:
            return everywhere(
                lambda x, y, z: np.minimum(
                    level(x, y, z),
                    np.maximum(np.hypot(x / 1.05, (y - 8) / 1.25) - neck - grow, z + 10),
                )
            )
        return everywhere(level)

    def _tone(self, base: float, amplitude: float, wavelength: tuple[float, float]) -> Level:
        pattern = waves(self.rng, amplitude, wavelength, 6)
        return lambda x, y, z: np.float32(base) + pattern(x, y, z)

    def _scalp(self) -> Iterator[Stroke]:
        yield Stroke(self.shell(12), 420.0)
        yield Stroke(self.shell(10.6), self._tone(FAT, 40, (12, 40)))
        yield Stroke(self.shell(7.6), self._tone(MUSCLE, 30, (8, 30)))
        yield Stroke(self.shell(6.2), BONE)
        yield Stroke(self.shell(4.4), self._tone(MARROW, 50, (6, 20)))
        yield Stroke(self.shell(2.9), BONE)
        yield Stroke(self.shell(0.8), FLUID, 4)
        base = self.shell(0.8) & (
            lambda x, y, z: np.maximum(z + 37 - 6 * np.tanh((y + 10) / 20), y - 20)
        )
        yield Stroke(base, self._tone(200, 110, (9, 24)), 0)

    def _sulcus(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        """Distance in mm to the nearest sulcal sheet, and the depth below the brain's surface."""
        depth = -self.shell(-1.2).level(x, y, z) - self.bends(x, y, z) * 0.4
        # one wave has a mean slope of about 2π / 21 mm, times the RMS of 1
        distance = np.abs(self.folds(x, y, z)) * np.float32(3.6)
        return distance, depth

    def _cortex(self) -> Iterator[Stroke]:
        def tissue(x: Array, y: Array, z: Array) -> Array:
            distance, depth = self._sulcus(x, y, z)
            gap = 1.25 * np.clip(1 - depth / 17, -1.5, 1)
            midline = 1.1 * np.clip(1 - np.clip(depth - 8, 0, None) / 30, -2, 1) - np.abs(x)
            floor = -36 - z + 6 * np.tanh((y + 10) / 20)
            return np.maximum(
                np.maximum(-depth, np.maximum(gap - distance, midline)), np.float32(1) * floor
            )

        def white(x: Array, y: Array, z: Array) -> Array:
            distance, depth = self._sulcus(x, y, z)
            ribbon = 3.1
            fade = np.clip((20 - depth) / 5, -2, 1)
            near_fold = np.float32(1.25 + ribbon) * fade - distance
            midline = 3.6 * np.clip(1 - np.clip(depth - 8, 0, None) / 22, -2, 1) - np.abs(x)
            return np.maximum(
                np.maximum(np.float32(ribbon) - depth, near_fold),
                np.maximum(midline, tissue(x, y, z) + 1.5),
            )

        yield Stroke(everywhere(tissue), self._tone(GREY, 14, (8, 30)), 1)
        yield Stroke(everywhere(white), self._tone(WHITE, 10, (10, 40)), 2)

    def _cerebellum(self) -> Iterator[Stroke]:
        both = ellipsoid((-24, 50, -38), (31, 28, 23)).blend(
            ellipsoid((24, 50, -38), (31, 28, 23)), 6
        )
        inside = both & self.shell(-3)
        yield Stroke(inside, self._tone(GREY - 30, 16, (5, 12)), 9)
        stripes = waves(self.rng, 1.0, (4, 6), 3)
        yield Stroke(inside.inset(5).shifted(lambda x, y, z: stripes(x, y, z) * 2.4), WHITE - 5, 9)
        stem = tube([(0, 14, -14), (0, 20, -36), (0, 26, -90)], [15, 17, 11])
        yield Stroke(stem, self._tone(WHITE + 15, 8, (10, 30)), 2)
        yield Stroke(tube([(0, 33, -24), (0, 38, -48)], [4.5, 3.2]), FLUID, 3)

    def _deep(self) -> Iterator[Stroke]:
        for side, label in ((1, 5), (-1, 6)):
            thalamus = ellipsoid((side * 12, 10, 4), (9, 16, 11), rotation(0, 0, side * -18))
            putamen = ellipsoid((side * 26, -10, 3), (6.5, 18, 12), rotation(0, 0, side * 14))
            caudate = ellipsoid((side * 13, -24, 10), (5.5, 11, 13))
            for part, tone in ((thalamus, 478.0), (putamen, 488.0), (caudate, 505.0)):
                yield Stroke(
                    part.shifted(waves(self.rng, 0.6, (12, 25))),
                    self._tone(tone, 8, (8, 20)),
                    label,
                )

    def _ventricles(self) -> Iterator[Stroke]:
        size = self.rng.uniform(0.85, 1.3)
        for side in (1, -1):
            body = tube(
                [
                    (side * 9, -33, 9),
                    (side * 6, -14, 17),
                    (side * 9, 12, 19),
                    (side * 19, 33, 11),
                    (side * 24, 48, 4),
                ],
                [4.4 * size, 4.8 * size, 4.8 * size, 6.6 * size, 3.0 * size],
            )
            horn = tube([(side * 19, 33, 11), (side * 32, 18, -12)], [4.5 * size, 2.5 * size])
            yield Stroke(body.blend(horn, 4).shifted(waves(self.rng, 0.5, (14, 30))), FLUID, 3)
        third = ellipsoid((0, 5, 2), (2.2 * size, 14, 9))
        yield Stroke(third, FLUID, 3)

    def _lesions(self) -> Iterator[Stroke]:
        rng = self.rng
        for number in range(int(rng.integers(6, 12))):
            side = 1 if number % 2 else -1
            radius = rng.uniform(2.2, 6.5)
            angle = rng.uniform(0, 2 * np.pi)
            at = (
                side * (24 + 7 * abs(np.cos(angle)) + rng.uniform(0, 8)),
                38 * np.sin(angle),
                rng.uniform(10, 34),
            )
            spot = ellipsoid(at, radius * rng.uniform(0.7, 1.4, 3)).shifted(
                waves(rng, 0.7, (7, 16))
            )
            yield Stroke(spot, self._tone(rng.uniform(640, 740), 14, (4, 10)), 7)

    def _vessels(self) -> Iterator[Stroke]:
        rng = self.rng
        b = self.radii[1]
        for side in (1, -1):
            points = [(side * 7, -14, -20), (side * 24, -14, -17), (side * 40, -6, -8)]
            points.append((side * 52, 8, 8))
            yield Stroke(tube(points, [1.7, 1.5, 1.2, 1.0]), 60.0, 8)
            forward = [(side * 4, -16, -19), (side * 2.2, -30, -4), (side * 1.8, -40, 16)]
            yield Stroke(tube(forward, [1.3, 1.1, 0.9]), 60.0, 8)
            yield Stroke(tube([(side * 7, -14, -44), (side * 9, -13, -20)], [2.4, 2.2]), 45.0, 8)
        yield Stroke(tube([(0, 2, -46), (0, 0, -24)], [1.8, 1.6]), 45.0, 8)
        c = self.radii[2]
        arc = np.linspace(-0.9, 2.0, 10)
        sinus = [(0.0, (b - 1.5) * np.sin(t), 8 + (c - 1.5) * np.cos(t)) for t in arc]
        yield Stroke(tube(sinus, [1.0] + [2.9] * 8 + [3.4]), 90.0, 8)
        for _ in range(10):
            start = np.array([rng.choice([-1, 1]) * rng.uniform(10, 40), rng.uniform(-50, 50), 30])
            end = start + rng.normal(size=3) * (10, 12, 14)
            yield Stroke(
                tube([start, (start + end) / 2 + rng.normal(size=3) * 3, end], [0.9] * 3), 140.0, 8
            )
