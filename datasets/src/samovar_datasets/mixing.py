"""The picture of a block of ground, into which materials are mixed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.ground import Ground, Parcel
from samovar_datasets.houses import Houses
from samovar_datasets.spectra import spectrum

Floats = NDArray[np.float64]


class Mixture:
    """A rectangle of ground being painted.

    Args:
        ground, houses: what is there.
        u, v: ``(1, columns)`` and ``(rows, 1)`` metres of the pixel centres.
        gsd: metres a pixel.
        bands: how many.
        sun: direction that shadows fall to, and metres of shadow a metre of height.
    """

    def __init__(
        self,
        ground: Ground,
        houses: Houses,
        u: Floats,
        v: Floats,
        gsd: float,
        bands: int,
        sun: tuple[float, float],
    ):
        self.ground, self.houses, self.gsd, self.bands = ground, houses, gsd, bands
        self.seed = ground.seed
        self.parcels: list[Parcel] = []
        self.u, self.v = np.broadcast_arrays(u, v)
        self.shape = self.u.shape
        self.shadow = np.array([math.cos(sun[0]), math.sin(sun[0])]) * sun[1]
        self.light = -self.shadow / np.hypot(*self.shadow)
        self.pixels = np.empty((bands, *self.shape), np.float32)
        self.classes = np.zeros(self.shape, np.uint8)
        self.owner = np.full(self.shape, -1, np.int32)
        self.local = np.zeros(self.shape, np.uint8)
        """0: the parcel itself (field or water), n: its n-th building."""

    def window(self, u: float, v: float, reach: float) -> tuple[slice, slice] | None:
        """The pixels within ``reach`` metres of a place, or None."""
        c0 = math.floor((u - reach - self.u[0, 0]) / self.gsd)
        c1 = math.ceil((u + reach - self.u[0, 0]) / self.gsd) + 1
        r0 = math.floor((v - reach - self.v[0, 0]) / self.gsd)
        r1 = math.ceil((v + reach - self.v[0, 0]) / self.gsd) + 1
        c0, r0 = max(c0, 0), max(r0, 0)
        c1, r1 = min(c1, self.shape[1]), min(r1, self.shape[0])
        return (slice(r0, r1), slice(c0, c1)) if c1 > c0 and r1 > r0 else None

    def cover(self, level: NDArray[Any]) -> NDArray[np.float32]:
        """Share of a pixel that lies inside, from the level at its centre."""
        return np.clip(0.5 - level / self.gsd, 0, 1).astype(np.float32)

    def mix(self, part: Any, cover: NDArray[np.float32], material: str, tone: Any = 1.0) -> None:
        """Blend a material, times ``tone``, into a part of the picture."""
        tone = np.asarray(tone, np.float32)
        colour = spectrum(material, self.bands)
        for band in range(self.bands):
            pixels = self.pixels[band][part]
            pixels += cover * (colour[band] * tone - pixels)

    def fade(self, period: float) -> float:
        """How much of a pattern of ``period`` metres survives at this pixel size."""
        return float(np.clip((period / self.gsd - 2) / 2, 0, 1))
