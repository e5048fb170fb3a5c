"""Fields, meadows, water and paved ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.ground import Parcel
from samovar_datasets.houses import Building, wing_level
from samovar_datasets.mixing import Floats, Mixture
from samovar_datasets.randomness import noise, unit
from samovar_datasets.spectra import spectrum

_ROWS = {"crop": 0.75, "wheat": 1.6, "rape": 1.1, "soil": 2.4, "dark_soil": 3.0, "hay": 5.0}


class Land(Mixture):
    """Paints what lies on the ground."""

    def _parcel(self, number: int, parcel: Parcel) -> None:
        low, high = parcel.outline.min(axis=0), parcel.outline.max(axis=0)
        middle, reach = (low + high) / 2, float((high - low).max() / 2 + 2 * self.gsd)
        part = self.window(*middle, reach)
        if part is None:
            return
        u, v = self.u[part], self.v[part]
        whole = np.minimum.reduce(
            [e.offset - e.normal[0] * u - e.normal[1] * v for e in parcel.edges]
        )
        # the borders of the partition are drawn sharp: neighbours fill each other's pixels
        mine = whole >= 0
        mine &= self.owner[part] < 0
        self.owner[part][mine] = number
        inside = parcel.inside(u, v)
        u, v, inside = u[mine], v[mine], inside[mine]
        tone = self._texture(parcel, u, v)
        ground = spectrum(parcel.cover, self.bands)
        verge = spectrum("grass", self.bands) * 1.02
        share = np.clip(0.5 + inside / self.gsd, 0, 1)
        rough = 1 + 0.13 * noise(self.seed + 3, u, v, 2.6)
        second = self._second(parcel, u, v)
        for band in range(self.bands):
            proper = ground[band] * tone
            if second is not None:
                other, amount = second
                proper = proper + amount * (spectrum(other, self.bands)[band] * tone - proper)
            self.pixels[band][part][mine] = verge[band] * rough * (1 - share) + proper * share
        proper_part = np.zeros(mine.shape, bool)
        proper_part[mine] = inside >= 0
        if parcel.use == "field":
            self.classes[part][proper_part] = 2

    def _texture(self, parcel: Parcel, u: Floats, v: Floats) -> Any:
        seed, key = self.seed, parcel.key
        tone = 0.88 + 0.26 * unit(seed, 61, *key)
        tone = tone * (1 + 0.10 * noise(seed + 1, u, v, 34.0) + 0.06 * noise(seed + 2, u, v, 7.0))
        tone = tone * (1 + 0.10 * self.fade(1.2) * noise(seed + 4, u, v, 0.8))
        if parcel.use != "field":
            if parcel.use == "wood":
                return tone * 0.8
            return tone * (1 + 0.12 * noise(seed + 8, u, v, 2.1))
        c, s = math.cos(parcel.angle), math.sin(parcel.angle)
        across = c * v - s * u
        period = _ROWS[parcel.cover]
        wobble = 0.25 * noise(seed + 7, u, v, 18.0)
        row = np.sin(2 * np.pi * (across + wobble) / period)
        tone = tone * (1 + 0.11 * self.fade(period) * row)
        # the sprayer's tracks, and bands of a harvester's width
        width = 12.0 + 9.0 * unit(seed, 62, *key)
        place = np.mod(across + wobble, width)
        for at in (1.0, 2.8):
            tone = tone * (1 - 0.20 * np.clip(1 - np.abs(place - at) / 0.35, 0, 1))
        lanes = unit(seed, 63, np.floor((across + wobble) / width).astype(np.int64), key[0], key[1])
        return tone * (0.965 + 0.07 * lanes)

    def _second(self, parcel: Parcel, u: Floats, v: Floats) -> tuple[str, NDArray[Any]] | None:
        """A material that shows through in patches, and how much of it."""
        patches = noise(self.seed + 9, u, v, 23.0) + 0.5 * noise(self.seed + 10, u, v, 6.0)
        if parcel.use == "town":
            plots = noise(self.seed + 13, u, v, 9.0)
            return "hay", np.clip(0.28 + 0.5 * patches + 0.3 * plots, 0, 0.75)
        if parcel.use == "works":
            return "gravel", np.clip(0.3 + patches, 0, 1)
        if parcel.use in ("meadow", "bank", "pond", "farm"):
            return "hay", np.clip(0.3 + 0.6 * patches, 0, 0.8)
        if parcel.use == "field" and parcel.cover in ("crop", "wheat", "rape", "hay"):
            return "soil", np.clip(patches - 0.75, 0, 0.6)
        return None

    def _waters(self) -> None:
        level = self.ground.river(self.u, self.v)
        if level.min() < 6:
            self._water(np.s_[:, :], level, -1)
        for number, parcel in enumerate(self.parcels):
            part = self.window(*parcel.site, 50.0) if parcel.use == "pond" else None
            if part is not None:
                level = self.ground.pond(parcel, self.u[part], self.v[part])
                level = np.maximum(level, 2.0 - parcel.inside(self.u[part], self.v[part]))
                self._water(part, level, number)

    def _water(self, part: Any, level: NDArray[Any], number: int) -> None:
        u, v = self.u[part], self.v[part]
        self.mix(part, self.cover(level - 1.3) * np.float32(0.75), "hay", 0.8)
        ripple = 1 + 0.06 * noise(self.seed + 36, u, v, 3.0) + 0.08 * noise(self.seed, u, v, 45.0)
        shallow = 1 + 0.8 * np.exp(np.minimum(level, 0) / 1.4)
        self.mix(part, self.cover(level), "water", ripple * shallow)
        wet = level < 0
        self.classes[part][wet] = 4
        self.owner[part][wet] = number

    def _lots(self, buildings: list[tuple[Parcel, Building]]) -> None:
        """The paved strip around houses and the way to the next road."""
        for parcel, building in buildings:
            main = building.wings[0]
            reach = max(main.half) + 22
            part = self.window(*main.centre, reach)
            if part is None or parcel.use == "works":
                continue
            u, v = self.u[part], self.v[part]
            paved = wing_level(main, building.angle, u, v) - 0.9
            edges = [e for e in parcel.edges if e.road > 0]
            if edges:
                c = np.array(main.centre)
                edge = min(edges, key=lambda e: e.offset - np.dot(e.normal, c))
                normal = np.array(edge.normal)
                if edge.offset - normal @ c < 34:
                    away = (u - c[0]) * normal[0] + (v - c[1]) * normal[1]
                    aside = (u - c[0]) * -normal[1] + (v - c[1]) * normal[0]
                    shift = 0.5 * main.half[0]
                    drive = np.maximum(np.abs(aside - shift) - 1.5, -away)
                    paved = np.minimum(paved, np.maximum(drive, away - 40))
            paved = np.maximum(paved, -parcel.inside(u, v) - 3.0)
            tone = 0.75 + 0.2 * building.tone + 0.08 * noise(self.seed + 14, u, v, 1.5)
            material = ("concrete", "gravel", "asphalt")[building.number % 3]
            self.mix(part, self.cover(paved) * np.float32(0.9), material, tone * 0.85)
