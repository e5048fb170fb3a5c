"""The abdomen: what lies where in the CT phantom, in LPS millimetres around the first lumbar level.

x grows towards the patient's left, y towards the back, z towards the head. Sizes and HU are those
of an adult in the portal venous phase; every seed moves, scales and bends them a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from samovar_datasets.shapes import Array, Level, Solid, ellipsoid, everywhere, tube, waves

CLASSES = {
    1: "liver",
    2: "spleen",
    3: "kidney_left",
    4: "kidney_right",
    5: "aorta",
    6: "inferior_vena_cava",
    7: "stomach",
    8: "bladder",
    9: "lung_left",
    10: "lung_right",
    11: "vertebrae",
    12: "gallbladder",
    13: "pancreas",
    14: "heart",
    15: "ribs",
    16: "colon",
    17: "psoas_left",
    18: "psoas_right",
    19: "hip_left",
    20: "hip_right",
}
"""Label value → organ."""

PROMPTED = ("liver", "spleen", "kidney_left", "kidney_right", "aorta", "bladder", "heart")
"""Organs for which a box says what is meant."""

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


class Abdomen:
    """One patient: all strokes, in painting order."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.width = rng.uniform(158, 176)
        self.depth = rng.uniform(104, 118)
        self.fat = rng.uniform(11, 24)
        self.contrast = rng.uniform(0.85, 1.15)
        self.wall_bumps = waves(rng, 2.0, (60, 140))

    def strokes(self) -> Iterator[Stroke]:
        yield from self._wall()
        yield from self._bowel()
        yield from self._muscles()
        yield from self._chest()
        yield from self._bones()
        yield from self._vessels()
        yield from self._organs()

    def texture(self, base: float, amplitude: float, wavelength: tuple[float, float]) -> Level:
        """HU ``base`` with smooth variations."""
        pattern = waves(self.rng, amplitude, wavelength, 6)
        return lambda x, y, z: np.float32(base) + pattern(x, y, z)

    def near(self, value: float, spread: float = 0.07) -> float:
        return float(value * self.rng.uniform(1 - spread, 1 + spread))

    # The body wall -------------------------------------------------------------------------

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

    # Bowel ---------------------------------------------------------------------------------

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

    def _inside(self, depth: float) -> Level:
        return lambda x, y, z: self.cavity(x, y, z) + np.float32(depth)

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

    # Muscles beside the spine --------------------------------------------------------------

    def spine_line(self, z: float) -> tuple[float, float]:
        """x, y of the vertebral bodies' centre at height ``z``: a mild lordosis."""
        return 0.0, self.depth * 0.31 + 6 * float(np.cos((z + 60) / 75))

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

    # Chest ---------------------------------------------------------------------------------

    def diaphragm(self, x: Array, y: Array) -> Array:
        """Height of the diaphragm, the same for every z: two domes, low at the rim and the back."""
        a, b = np.float32(self.width), np.float32(self.depth)
        right = 112 - 92 * np.square((x + 0.42 * a) / (0.55 * a)) - 60 * np.square(y / b)
        left = 98 - 92 * np.square((x - 0.42 * a) / (0.55 * a)) - 60 * np.square(y / b)
        middle = 84 - 40 * np.square(y / b) - 22 * np.square(x / 40)
        return np.maximum(np.maximum(right, left), middle) - 10 * (1 + np.tanh((y - 30) / 30))

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

    # Bones ---------------------------------------------------------------------------------

    def _bones(self) -> Iterator[Stroke]:
        yield from self._ribs()
        yield from self._hips()
        yield from self._spine()

    def _spine(self) -> Iterator[Stroke]:
        height, offset = self.near(33, 0.05), self.rng.uniform(0, 33)
        trabecular = waves(self.rng, 22, (4, 9), 6)
        canal_y = 25.0

        def frame(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
            y0 = self.depth * 0.31 + 6 * np.cos((z + 60) / 75)
            part = np.mod(z + np.float32(offset), np.float32(height)) - np.float32(height / 2)
            return x, y - y0, part

        def body(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            pinch = 1.5 * np.cos(part / height * 2 * np.pi)
            dent = 4 * np.exp(-np.square(x / 13)) * (y > 0)
            round_ = (np.sqrt(np.square(x / 24) + np.square(y / 17)) - 1) * 19 + pinch + dent
            return np.maximum(round_, np.abs(part) - np.float32(height / 2 - 4))

        def disc(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            round_ = (np.sqrt(np.square(x / 24) + np.square(y / 17)) - 1) * 19
            return np.maximum(round_, np.float32(height / 2 - 3.5) - np.abs(part))

        def arch(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            ring = np.abs(np.hypot(x / 1.15, y - canal_y) - 12.5) - 3.2
            spinous = np.maximum(np.abs(x) - 3.4, np.abs(y - canal_y - 22) - 12)
            spinous = np.maximum(spinous, np.abs(part + 4) - 11)
            across = np.maximum(np.abs(y - 19 - np.abs(x) * 0.12) - 4.0, np.abs(x) - 41)
            across = np.maximum(np.maximum(across, np.abs(part - 2) - 7), 13 - np.abs(x))
            facet = np.hypot(np.abs(x) - 19, y - 31) - 8
            ring = np.maximum(ring, np.abs(part - 1) - np.float32(height / 2 - 6))
            return np.minimum(np.minimum(ring, spinous), np.minimum(across, facet))

        def canal(x: Array, y: Array, z: Array) -> Array:
            x, y, _ = frame(x, y, z)
            return np.hypot(x / 1.1, y - canal_y) - 9.3

        yield Stroke(everywhere(disc), 85.0, 11)
        bone, posterior = everywhere(body), everywhere(arch)
        yield Stroke(posterior, 520.0, 11)
        yield Stroke(posterior.inset(2.4), 250.0, 11)
        yield Stroke(bone, 460.0, 11)
        inner = self.near(175, 0.15)
        yield Stroke(bone.inset(1.9), lambda x, y, z: inner + trabecular(x, y, z), 11)
        yield Stroke(everywhere(canal), 22.0, 0)
        yield Stroke(everywhere(lambda x, y, z: canal(x, y, z) + 4.2), 42.0, 0)

    def _ribs(self) -> Iterator[Stroke]:
        spacing = self.near(27, 0.05)

        def rib(x: Array, y: Array, z: Array) -> Array:
            around = np.arctan2(np.abs(x), y / np.float32(self.depth / self.width))
            along = around / np.pi
            level = self.cavity(x, y, z) - 5.5
            drop = z + 190 * along - 45 * np.square(along)
            height = np.mod(drop, np.float32(spacing)) - np.float32(spacing / 2)
            number = np.floor(drop / np.float32(spacing))
            across = np.sqrt(np.square(level / 3.9) + np.square(height / 6.2)) - 1
            end = np.clip((number + 1) * 0.23, 0.30, 0.86)
            limit = np.maximum((along - end) * 150, (0.10 - along) * 150)
            return np.maximum(across * 4.2, np.maximum(limit, 8 - drop))

        ribs = everywhere(rib)
        yield Stroke(ribs, 430.0, 15)
        yield Stroke(ribs.inset(1.7), self.texture(190, 25, (5, 12)), 15)

    def _hips(self) -> Iterator[Stroke]:
        for side, label in ((1, 19), (-1, 20)):

            def wing(x: Array, y: Array, z: Array, s: int = side) -> Array:
                down = np.clip((-z - 92) / 70, 0, 1)
                u = (s * x - 98 + 16 * down) * 0.80 + (y - 22) * 0.46
                v = -(s * x - 98 + 16 * down) * 0.46 + (y - 22) * 0.80
                bend = u + np.square(v) / 130
                thick = 4.2 + 4.5 * np.clip((v - 10) / 40, 0, 1) + 3 * down
                blade = np.hypot(bend / thick, (v - 8) / (44 * np.sqrt(down + 0.05))) - 1
                return np.maximum(blade * 5, z + 94)

            bone = everywhere(wing)
            gluteus = everywhere(
                lambda x, y, z, f=wing: np.maximum(f(x, y, z) - 2.5, self._muscle_shell(x, y, z))
            )
            yield Stroke(gluteus, MUSCLE)
            yield Stroke(bone, 480.0, label)
            yield Stroke(bone.inset(2.2), self.texture(170, 30, (5, 14)), label)

    # Vessels -------------------------------------------------------------------------------

    def _vessels(self) -> Iterator[Stroke]:
        rng = self.rng
        tone = BLOOD * self.contrast

        def ahead(z: float, off: float) -> float:
            return self.spine_line(z)[1] - off

        sway = rng.uniform(-3, 3)
        heights = [190, 130, 70, 10, -40, -88]
        aorta = tube(
            [(11 + sway * np.sin(z / 60), ahead(z, 27), z) for z in heights],
            [12.5, 12, 11.2, 10.2, 9.4, 8.8],
        )
        legs = [
            tube([(11, ahead(-88, 27), -88), (s * 30 + 3, ahead(-150, 30), -165)], [8.6, 6.4])
            for s in (1, -1)
        ]
        aorta = aorta | legs[0] | legs[1]
        cava = tube(
            [
                (-22, ahead(-98, 26), -98),
                (-21, ahead(-30, 27), -30),
                (-20, ahead(30, 29), 30),
                (-17, ahead(90, 42), 90),
                (-14, ahead(110, 48), 150),
            ],
            [11, 12.5, 13, 13, 13],
            0.78,
        )
        iliac = [
            tube([(-22, ahead(-98, 26), -98), (s * 33 - 4, ahead(-160, 24), -170)], [9, 7])
            for s in (1, -1)
        ]
        yield Stroke(cava | iliac[0] | iliac[1], self.texture(tone * 0.92, 5, (12, 30)), 6)
        yield Stroke(aorta, self.texture(tone * 1.12 + 8, 3, (12, 30)), 5)
        plaque = waves(rng, 1.0, (9, 25), 5)
        yield Stroke(
            aorta
            & (lambda x, y, z: np.maximum(1.55 - plaque(x, y, z), -1e3) * 4)
            & (lambda x, y, z: -aorta.level(x, y, z) - 1.9),
            520.0,
        )
        mesenteric = tube(
            [(9, ahead(18, 38), 18), (6, ahead(5, 52), 0), (3, ahead(-60, 62), -70)], [4.2, 3.8, 3]
        )
        yield Stroke(mesenteric, tone * 1.1, 0)
        vein = tube(
            [(-4, ahead(-60, 64), -70), (-4, ahead(0, 54), 2), (-22, ahead(20, 58), 22)],
            [4.2, 5.4, 6.8],
        )
        yield Stroke(vein, tone, 0)

    # Organs --------------------------------------------------------------------------------

    def _below_diaphragm(self, gap: float) -> Level:
        return lambda x, y, z: (z - self.diaphragm(x, y) + np.float32(gap)) * np.float32(0.55)

    def _organs(self) -> Iterator[Stroke]:
        yield from self._pancreas()
        yield from self._stomach()
        yield from self._spleen()
        yield from self._kidney(1, 3)
        yield from self._kidney(-1, 4)
        yield from self._liver()
        yield from self._bladder()

    def _pancreas(self) -> Iterator[Stroke]:
        rng = self.rng
        y = self.spine_line(5)[1]
        gland = tube(
            [
                (-36, y - 46, -14),
                (-24, y - 52, 4),
                (8, y - 62, 14),
                (40, y - 44, 22),
                (72, y - 22, 30),
            ],
            [13, 12, 9, 9, 8],
        ).shifted(waves(rng, 1.6, (8, 16), 7))
        yield Stroke(gland, self.texture(self.near(92), 7, (6, 14)), 13)
        duodenum = tube([(-40, y - 54, 18), (-50, y - 40, -8), (-44, y - 32, -36)], [11, 12, 11])
        yield Stroke(duodenum.shifted(waves(rng, 1, (12, 25))), 80.0, 0)
        yield Stroke(duodenum.inset(2.6), 32.0, 0)

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

    def _spleen(self) -> Iterator[Stroke]:
        rng = self.rng
        a = self.width
        size = self.near(1, 0.12)
        spleen = ellipsoid(
            (a * 0.58, 36, 42), (40 * size, 56 * size, 54 * size), rotation(16, 0, -16)
        )
        hilum = ellipsoid((a * 0.33, 6, 34), (30, 36, 56))
        spleen = (spleen - hilum).shifted(waves(rng, 1.5, (24, 50)))
        spleen = spleen & self._inside(4) & self._below_diaphragm(8)
        tone = self.near(118) * self.contrast
        yield Stroke(spleen, self.texture(tone, 4, (10, 30)), 2)
        vein = tube([(a * 0.45, 28, 34), (a * 0.30, 12, 28), (10, 4, 20)], [4.5, 4, 4])
        yield Stroke(vein, BLOOD * self.contrast * 1.05, 0)

    def _kidney(self, side: int, label: int) -> Iterator[Stroke]:
        rng = self.rng
        z = (-14 if side > 0 else -28) + rng.uniform(-6, 6)
        y = self.spine_line(z)[1] - 4
        x = side * (66 + rng.uniform(-3, 5))
        turn = rotation(12, side * 14, side * 28)
        size = self.near(1, 0.08)
        whole = ellipsoid((x, y, z), (27 * size, 25 * size, 54 * size), turn)
        inward = turn @ np.array([-side * 15.0, -4.0, 0.0])
        hilum = np.array([x, y, z]) + inward
        sinus = ellipsoid(hilum, (17, 9, 26), turn)
        bumps = waves(rng, 0.9, (18, 40))
        whole = whole.shifted(bumps)
        parenchyma = whole - sinus
        fat = Stroke(whole.inset(-9) & self._inside(3), FAT - 2, 0)
        yield fat
        cortex, medulla = 172 * self.contrast, 132 * self.contrast
        pyramids = waves(rng, 1.0, (17, 26), 6)

        def tissue(px: Array, py: Array, pz: Array) -> Array:
            depth = -whole.level(px, py, pz)
            inner = np.clip((depth - 6.5) / 2, 0, 1) * np.clip(0.5 + pyramids(px, py, pz) * 3, 0, 1)
            return cortex + (medulla - cortex) * inner

        yield Stroke(parenchyma, tissue, label)
        yield Stroke(sinus & whole, FAT + 22, 0)
        pelvis = ellipsoid(hilum + inward * 0.1, (9, 5.5, 12), turn)
        yield Stroke(pelvis, 14.0, 0)
        vessel_z = z + 6
        middle = (side * 14, self.spine_line(vessel_z)[1] - 30, vessel_z + 4)
        vein = tube([tuple(hilum + inward * 0.5), middle], [4.6, 4.8])
        yield Stroke(vein, BLOOD * self.contrast, 0)
        if rng.random() < 0.6:
            at = np.array([x, y, z]) + turn @ np.array([side * 22.0, -6.0, rng.uniform(-25, 25)])
            yield Stroke(ellipsoid(at, (rng.uniform(6, 11),) * 3), WATER + 4, label)

    def _liver(self) -> Iterator[Stroke]:
        rng = self.rng
        a, b = self.width, self.depth
        right = ellipsoid((-a * 0.43, 4, 34), (a * 0.47, b * 0.80, 84), rotation(0, 8, 0))
        left = ellipsoid((-6, -b * 0.46, 62), (70, 33, 36), rotation(0, -14, 8))
        under = ellipsoid((-8, 10, -34), (78, 84, 62), rotation(0, 26, 0))
        fissure = tube([(-14, -b * 0.2, 20), (-20, -b * 0.95, 34)], [3.5, 5])
        liver = (right.blend(left, 22) - under - fissure).shifted(waves(rng, 2.2, (40, 90)))
        kidney_bed = ellipsoid((-70, self.spine_line(-20)[1] - 4, -28), (38, 35, 66))
        spine_bed = tube(
            [(-6, self.spine_line(z)[1] - 12, z) for z in (-40, 20, 80, 140)], [36, 36, 37, 40]
        )
        liver = liver - kidney_bed - spine_bed
        # no tongue of liver behind the kidney
        liver = liver & (lambda x, y, z: (y - np.float32(53) - z * np.float32(0.5)) * 0.9)
        liver = liver & self._inside(3.5) & self._below_diaphragm(6)
        tone = self.near(104) * (0.6 + 0.4 * self.contrast)
        yield Stroke(liver, self.texture(tone, 3.5, (12, 40)), 1)
        yield from self._liver_vessels(liver, tone)
        for _ in range(int(rng.integers(0, 4))):
            at = (rng.uniform(-a * 0.7, -a * 0.25), rng.uniform(-50, 40), rng.uniform(-10, 75))
            lesion = ellipsoid(at, rng.uniform(4, 11, 3)) & liver.inset(3)
            yield Stroke(lesion, rng.uniform(10, 62), 1)
        bladder = ellipsoid((-46, -b * 0.36, 0), (15, 18, 27), rotation(20, 15, 0))
        bladder = bladder.shifted(waves(rng, 1, (25, 50)))
        yield Stroke(bladder, 62.0, 12)
        yield Stroke(bladder.inset(1.8), 12.0, 12)

    def _liver_vessels(self, liver: Solid, tone: float) -> Iterator[Stroke]:
        rng = self.rng
        inside = liver.inset(4)
        root_y = self.spine_line(90)[1] - 40
        bright = tone + 42 * self.contrast
        for target in ((-115, 30, 55), (-95, -50, 60), (-20, -60, 66), (-105, 0, 85)):
            aim = np.array(target) + rng.normal(size=3) * 6
            root = np.array([-18, root_y, 92.0])
            yield from self._branch(root, aim, 5.4, inside, bright, 1)
        gate = np.array([-30.0, self.spine_line(25)[1] - 58, 26.0])
        for target in ((-110, 30, 20), (-105, -40, 25), (-15, -62, 55), (-80, 40, 55)):
            aim = np.array(target) + rng.normal(size=3) * 6
            yield from self._branch(gate, aim, 5.6, inside, bright + 6, 1)

    def _branch(
        self, root: np.ndarray, aim: np.ndarray, radius: float, inside: Solid, hu: float, depth: int
    ) -> Iterator[Stroke]:
        bend = (root + aim) / 2 + self.rng.normal(size=3) * 6
        part = tube([root, bend, aim], [radius, radius * 0.75, radius * 0.4]) & inside
        yield Stroke(part, hu, 1)
        if depth < 3:
            for start in (bend, (bend + aim) / 2):
                way = (aim - root) * 0.45 + self.rng.normal(size=3) * 16
                yield from self._branch(start, start + way, radius * 0.6, inside, hu, depth + 1)

    def _bladder(self) -> Iterator[Stroke]:
        at = (self.rng.uniform(-4, 4), -self.depth * 0.30, -140)
        bladder = ellipsoid(at, (self.near(38), self.near(31), self.near(34)))
        bladder = bladder.shifted(waves(self.rng, 1.5, (35, 70))) & self._inside(8)
        yield Stroke(bladder.inset(-5), FAT, 0)
        yield Stroke(bladder, 42.0, 8)
        yield Stroke(bladder.inset(2.6), 8.0, 8)
