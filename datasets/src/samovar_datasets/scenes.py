"""Scenes: aerial imagery without end, made block by block, with exact instances and outlines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_datasets.ground import Ground, Parcel
from samovar_datasets.houses import MAX_REACH, Houses
from samovar_datasets.painting import CLASSES, Block
from samovar_datasets.randomness import unit
from samovar_datasets.spectra import band_names, to_pixels

TILE = 256
"""Pixels are made in tiles of this size, aligned to the scene's first pixel, whatever is read."""
_MARGIN = 4
_ORIGINS = {"EPSG:3857": (1280000.0, 6130000.0), "EPSG:4326": (11.52, 48.15)}
_UTM_ORIGIN = (600000.0, 5335000.0)

__all__ = ["CLASSES", "Scene", "Truth", "transform_for"]


@dataclass(frozen=True)
class Truth:
    """One object of a scene, exactly.

    ``outline`` is ``(n, 2)`` float64, columns and rows of *corner-anchored* pixel coordinates
    (the first pixel covers 0 … 1), closed implicitly.
    """

    id: int
    kind: str
    outline: NDArray[np.float64]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """An aerial scene.

    Args:
        seed: the place. The same seed is the same ground at any size, pixel size and CRS.
        size: rows and columns.
        gsd: metres a pixel.
        bands: 1 (panchromatic), 3 (red, green, blue), 4 (and near infrared) … 13.
        bits: 8 (display values) or 16 (reflectance × 10000). 0 is nodata in both.
        crs: authority code; UTM, EPSG:3857 and EPSG:4326 have sensible origins.
        rotation: degrees by which rows are turned against the CRS's axes, counter-clockwise.
        south_up: rows run northwards.
        nodata: ``corner`` cuts one corner off, ``island`` leaves a square in the middle with
            ``fill`` of the pixels, ``none`` fills all.
        start: metres of ground at the first pixel's corner, to look elsewhere.

    Raises:
        ValueError: an argument is out of its range.
    """

    seed: int = 0
    size: tuple[int, int] = (1024, 1024)
    gsd: float = 0.25
    bands: int = 3
    bits: int = 8
    crs: str = "EPSG:32633"
    rotation: float = 0.0
    south_up: bool = False
    nodata: str = "corner"
    fill: float = 0.02
    start: tuple[float, float] = (0.0, 0.0)
    _ground: Ground = field(init=False, repr=False, compare=False)
    _houses: Houses = field(init=False, repr=False, compare=False)
    _tile: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.gsd <= 0 or self.bits not in (8, 16):
            raise ValueError("size and gsd must be positive, bits 8 or 16")
        if self.nodata not in ("corner", "island", "none"):
            raise ValueError(f"nodata is corner, island or none, not {self.nodata!r}")
        band_names(self.bands)
        object.__setattr__(self, "_ground", Ground(self.seed))
        object.__setattr__(self, "_houses", Houses(self._ground))
        object.__setattr__(self, "_tile", lru_cache(maxsize=24)(self._render))

    # Geometry ------------------------------------------------------------------------------

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """``a … f``: x = a·column + b·row + c, y = d·column + e·row + f, of pixel corners."""
        return transform_for(self.crs, self.gsd, self.size[0], self.rotation, self.south_up)

    def to_world(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, 2)`` corner-anchored columns and rows → x, y in the CRS."""
        a, b, c, d, e, f = self.transform
        columns, rows = pixels[..., 0], pixels[..., 1]
        return np.stack([a * columns + b * rows + c, d * columns + e * rows + f], axis=-1)

    def valid(self, row: int, column: int, rows: int, columns: int) -> NDArray[np.bool_]:
        """Where the scene holds data: ``(rows, columns)`` bool."""
        r = (np.arange(row, row + rows)[:, None] + 0.5) / self.size[0]
        c = (np.arange(column, column + columns)[None, :] + 0.5) / self.size[1]
        inside = (r > 0) & (r < 1) & (c > 0) & (c < 1)
        if self.nodata == "corner":
            return inside & (c * 1.0 + r * 0.75 > 0.13)
        if self.nodata == "island":
            return inside & (
                np.maximum(np.abs(r - 0.5), np.abs(c - 0.5)) < math.sqrt(self.fill) / 2
            )
        return inside

    def empty(self, row: int, column: int, rows: int, columns: int) -> bool:
        """Whether a block holds no data at all, found without making it."""
        r = np.array([max(row, 0), min(row + rows, self.size[0]) - 1])
        c = np.array([max(column, 0), min(column + columns, self.size[1]) - 1])
        if r[1] < r[0] or c[1] < c[0]:
            return True
        # each rule holds at the corner nearest to the data if it holds anywhere in the block
        r = np.clip((self.size[0] - 1) // 2, *r) if self.nodata == "island" else r[1]
        c = np.clip((self.size[1] - 1) // 2, *c) if self.nodata == "island" else c[1]
        return not self.valid(int(r), int(c), 1, 1).any()

    # Pixels and truth ----------------------------------------------------------------------

    def read(self, row: int, column: int, rows: int, columns: int) -> NDArray[Any]:
        """``(bands, rows, columns)`` uint8 or uint16; the same pixels whatever the block."""
        dtype = np.uint8 if self.bits == 8 else np.uint16
        out = np.zeros((self.bands, rows, columns), dtype)
        self._assemble(0, out, row, column)
        return out

    def labels(self, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint32]:
        """``(rows, columns)`` uint32: the id of the building, field or pond; 0 elsewhere."""
        out = np.zeros((rows, columns), np.uint32)
        self._assemble(1, out, row, column)
        return out

    def classes(self, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """``(rows, columns)`` uint8 with the values of :data:`CLASSES`."""
        out = np.zeros((rows, columns), np.uint8)
        self._assemble(2, out, row, column)
        return out

    def truth(self) -> Iterator[Truth]:
        """Every building, field and pond that touches the valid part, with its outline.

        Buildings and fields are exact; a pond's shore is followed in 256 steps.
        """
        for parcel in self._parcels():
            if parcel.use == "field" and len(parcel.proper) >= 3:
                yield from self._truth(parcel, 0, "field", parcel.proper, {"cover": parcel.cover})
            if parcel.use == "pond" and len(parcel.proper) >= 3:
                shore = self._ground.pond_outline(parcel)
                yield from self._truth(parcel, 0, "water", shore, {"cover": "water"})
            for building in self._houses.buildings(parcel.key):
                about = {
                    "roof": building.roof,
                    "material": building.material,
                    "height": round(building.height, 2),
                }
                yield from self._truth(parcel, building.number, "building", building.outline, about)

    def object_id(self, parcel: Parcel, number: int) -> int:
        """The label of a parcel's ``number``-th building, or of itself (0)."""
        (i0, j0), width = self._span()
        i, j = parcel.key
        return ((j - j0) * width + (i - i0)) * 64 + number + 1

    def _span(self) -> tuple[tuple[int, int], int]:
        first = self._ground.keys(*self.start, *self.start)[0]
        end = self._ground.keys(*self._end(), *self._end())[-1]
        return first, end[0] - first[0] + 1

    def _end(self) -> tuple[float, float]:
        return (
            self.start[0] + self.size[1] * self.gsd,
            self.start[1] + self.size[0] * self.gsd,
        )

    def _parcels(self) -> list[Parcel]:
        return self._ground.parcels(*self.start, *self._end())

    def _truth(
        self, parcel: Parcel, number: int, kind: str, outline: Any, about: dict[str, Any]
    ) -> Iterator[Truth]:
        pixels = np.round((np.asarray(outline) - np.array(self.start)) / self.gsd, 6)
        low = np.floor(pixels.min(axis=0)).astype(int)
        high = np.ceil(pixels.max(axis=0)).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, self.size[::-1])
        if (high <= low).any() or self.empty(low[1], low[0], *(high - low)[::-1]):
            return
        yield Truth(self.object_id(parcel, number), kind, pixels, about)

    def _assemble(self, which: int, out: NDArray[Any], row: int, column: int) -> None:
        rows, columns = out.shape[-2:]
        for r in range(row // TILE, -(-(row + rows) // TILE)):
            for c in range(column // TILE, -(-(column + columns) // TILE)):
                r0, c0 = max(row, r * TILE), max(column, c * TILE)
                r1, c1 = min(row + rows, (r + 1) * TILE), min(column + columns, (c + 1) * TILE)
                if self.empty(r0, c0, r1 - r0, c1 - c0):
                    continue
                tile = self._tile(r, c)[which]
                out[..., r0 - row : r1 - row, c0 - column : c1 - column] = tile[
                    ..., r0 - r * TILE : r1 - r * TILE, c0 - c * TILE : c1 - c * TILE
                ]

    def _render(self, r: int, c: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        rows = np.arange(r * TILE - _MARGIN, (r + 1) * TILE + _MARGIN)
        columns = np.arange(c * TILE - _MARGIN, (c + 1) * TILE + _MARGIN)
        u = (columns[None, :] + 0.5) * self.gsd + self.start[0]
        v = (rows[:, None] + 0.5) * self.gsd + self.start[1]
        azimuth = math.radians(-150 + 120 * unit(self.seed, 99))
        length = 0.55 + 0.5 * unit(self.seed, 98)
        block = Block(self._ground, self._houses, u, v, self.gsd, self.bands, (azimuth, length))
        block.paint()
        sensed = ndimage.gaussian_filter(block.pixels, (0, 0.55, 0.55), truncate=4)
        grain = unit(self.seed, 97, columns[None, :], rows[:, None])
        grain = grain + unit(self.seed, 96, columns[None, :], rows[:, None]) - 1
        sensed *= (1 + 0.035 * grain).astype(np.float32)
        core = np.s_[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        valid = self.valid(r * TILE, c * TILE, TILE, TILE)
        pixels = to_pixels(sensed[core], valid, self.bits)
        ids = np.zeros((len(block.parcels) + 1, 64), np.uint32)
        for number, parcel in enumerate(block.parcels):
            first = self.object_id(parcel, 0)
            ids[number] = np.arange(first, first + 64)
        named = np.isin(block.classes, (1, 2)) | ((block.classes == 4) & (block.owner >= 0))
        labels = np.where(named & (block.owner >= 0), ids[block.owner, block.local], 0)
        classes = np.where(valid, block.classes[core], 0).astype(np.uint8)
        return pixels, np.where(valid, labels[core], 0).astype(np.uint32), classes


def transform_for(
    crs: str, gsd: float, rows: int, rotation: float = 0.0, south_up: bool = False
) -> tuple[float, float, float, float, float, float]:
    """The affine of a scene: north-up unless rotated or south-up."""
    x, y = _ORIGINS.get(crs, _UTM_ORIGIN)
    step_x, step_y = gsd, gsd
    if crs == "EPSG:4326":
        step_y = gsd / 111_200.0
        step_x = step_y / math.cos(math.radians(y))
    elif crs == "EPSG:3857":
        # the map's metres are longer than the ground's away from the equator
        step_x = step_y = gsd * math.cosh(y / 6378137.0)
    c, s = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    sign = 1.0 if south_up else -1.0
    origin_y = y if south_up else y + rows * step_y
    return (c * step_x, -s * sign * step_x, x, s * step_y, c * sign * step_y, origin_y)


assert MAX_REACH < 60.0, "shadows must fit in the margin that Block.paint looks around"
