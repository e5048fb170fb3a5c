"""The abdomen: what the CT phantom holds, and its solid organs.

Sizes and HU are those of an adult in the portal venous phase; every seed moves, scales and bends
them a little. Coordinates are LPS millimetres around the first lumbar level.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.bowel import Bowel
from samovar_datasets.chest import Chest
from samovar_datasets.shapes import Array, Solid, ellipsoid, tube, waves
from samovar_datasets.skeleton import Skeleton
from samovar_datasets.torso import BLOOD, FAT, WATER, Stroke, rotation
from samovar_datasets.vessels import Vessels

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


class Abdomen(Bowel, Chest, Skeleton, Vessels):
    """One patient: all strokes, in painting order."""

    def strokes(self) -> Iterator[Stroke]:
        yield from self._wall()
        yield from self._bowel()
        yield from self._muscles()
        yield from self._chest()
        yield from self._bones()
        yield from self._vessels()
        yield from self._organs()

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
