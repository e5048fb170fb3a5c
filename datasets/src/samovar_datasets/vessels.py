"""Aorta, vena cava and their branches in the CT phantom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.shapes import tube, waves
from samovar_datasets.torso import BLOOD, Stroke, Torso


class Vessels(Torso):
    """The great vessels of the abdomen."""

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
