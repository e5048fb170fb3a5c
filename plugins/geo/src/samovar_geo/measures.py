"""Areas and lengths on the ellipsoid.

Planar square metres are wrong wherever the projection stretches: EPSG:3857 by 27 % in Nepal.
A pixel's own size is therefore found by geodesics (Karney 2013, through PROJ) at the centres of
blocks of the grid, and an object is the sum of its pixels and of its pixels' edges: no polygon is
needed, and ten megapixels cost a fraction of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from samovar.grid import Grid
from samovar.image import Image
from samovar.objects import SegmentedObject
from samovar_geo.georeference import FloatArray, corner_transform, grid_crs, reprojection
from samovar_geo.outlines import Edges, edges_of
from samovar_geo.polygons import map_points

BLOCK_M = 1000.0
"""A block whose pixels are taken to be of one size is at most this long, or one pixel."""
BLOCK_PIXELS = 256
STEP_M = 50.0
"""Distance over which a pixel's size is measured; much shorter ones drown in rounding."""
LONGEST_EDGE_M = 200.0
"""Straight edges of polygons are cut to this length (or one pixel): a parallel is no geodesic."""


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Sizes of one pixel at some places, in metres."""

    area: FloatArray
    along_x: FloatArray
    along_y: FloatArray


class Ellipsoid:
    """Measures objects of one grid on the ellipsoid of its CRS."""

    def __init__(self, grid: Grid, image: Image | None = None) -> None:
        crs = grid_crs(grid)
        geodetic = crs.geodetic_crs if crs is not None else None
        self._transform = corner_transform(grid, image)
        self._geod: Any = crs.get_geod() if crs is not None and geodetic is not None else None
        self._to_lonlat: Callable[[FloatArray], FloatArray] | None = None
        if crs is not None and geodetic is not None:
            self._to_lonlat = reprojection(crs, CRS(geodetic.to_2d()))
        self._degrees = _degrees_a_unit(geodetic)
        self._pixel_m = _pixel_metres(grid, crs) if crs is not None else 1.0
        self._block = int(min(max(BLOCK_M / self._pixel_m, 1), BLOCK_PIXELS))
        self._step = max(1.0, STEP_M / self._pixel_m)

    @property
    def known(self) -> bool:
        """Whether the CRS is tied to an ellipsoid."""
        return self._geod is not None

    def measure(self, segmented: SegmentedObject) -> dict[str, float]:
        """``area_m2`` and ``perimeter_m`` (outer and inner rings) of an object's pixels.

        Empty when the CRS is not tied to an ellipsoid, or the object lies where its projection
        is not defined.
        """
        if not self.known:
            return {}
        if segmented.empty:
            return {"area_m2": 0.0, "perimeter_m": 0.0}
        area = 0.0
        for piece in segmented.pieces():
            counts, centres = self._counts(piece.inside, piece.region.start)
            area += float(counts @ self._sizes(centres).area)
        perimeter = self._perimeter(edges_of(segmented))
        if not math.isfinite(area + perimeter):
            return {}
        return {"area_m2": area, "perimeter_m": perimeter}

    def measure_polygon(self, shape: Any) -> dict[str, float]:
        """The same of a polygon in corner coordinates, by geodesics along its rings."""
        if not self.known:
            return {}
        edge = max(1.0, LONGEST_EDGE_M / self._pixel_m)
        shape = map_points(shapely.segmentize(shape, edge), self._transform, self._lonlat)
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            return {}
        area = perimeter = 0.0
        for part in shapely.get_parts(shape):
            for i, ring in enumerate((part.exterior, *part.interiors)):
                x, y = shapely.get_coordinates(ring).T
                ring_area, ring_length = self._geod.polygon_area_perimeter(x, y)
                area += -abs(ring_area) if i else abs(ring_area)
                perimeter += ring_length
        return {"area_m2": area, "perimeter_m": perimeter}

    def pixel_metres(self, x: float, y: float) -> tuple[float, float]:
        """Ground lengths of one pixel along x and y at a place in corner coordinates.

        NaN where the projection is not defined.
        """
        sizes = self._sizes(np.array([[x, y]]))
        return float(sizes.along_x[0]), float(sizes.along_y[0])

    def _counts(
        self, inside: NDArray[np.bool_], start: tuple[int, ...]
    ) -> tuple[FloatArray, FloatArray]:
        """Pixels in each block, and the centres of blocks in corner coordinates."""
        rows, columns = inside.shape
        tops, lefts = np.arange(0, rows, self._block), np.arange(0, columns, self._block)
        sums = np.add.reduceat(np.add.reduceat(inside, lefts, axis=1, dtype=np.int64), tops, axis=0)
        y = start[0] + (tops + np.minimum(tops + self._block, rows)) / 2
        x = start[1] + (lefts + np.minimum(lefts + self._block, columns)) / 2
        centres = np.column_stack([np.tile(x, len(y)), np.repeat(y, len(x))])
        counts = sums.ravel().astype(np.float64)
        filled = counts > 0
        return counts[filled], centres[filled]

    def _perimeter(self, edges: Edges) -> float:
        total = 0.0
        for x, y, dx, dy in ((edges.hx, edges.hy, 0.5, 0.0), (edges.vx, edges.vy, 0.0, 0.5)):
            bx, by = x // self._block, y // self._block
            width = int(bx.max()) + 1
            counts = np.bincount(by * width + bx - int(by.min()) * width)
            filled = np.flatnonzero(counts)
            row, column = np.divmod(filled, width)
            centres = np.column_stack([column + 0.5, row + int(by.min()) + 0.5]) * self._block
            if self._block == 1:
                centres += (dx - 0.5, dy - 0.5)
            sizes = self._sizes(centres)
            total += float(counts[filled] @ (sizes.along_x if dx else sizes.along_y))
        return total

    def _sizes(self, centres: FloatArray) -> _Sizes:
        """Sizes of a pixel at ``(n, 2)`` corner coordinates."""
        half = self._step / 2
        arms = np.array([[-half, 0], [half, 0], [0, -half], [0, half]])
        lonlat = self._lonlat(self._world((centres[None] + arms[:, None]).reshape(-1, 2)))
        west, east, north, south = lonlat.reshape(4, -1, 2)
        with np.errstate(invalid="ignore"):
            ahead, _, x = self._geod.inv(west[:, 0], west[:, 1], east[:, 0], east[:, 1])
            down, _, y = self._geod.inv(north[:, 0], north[:, 1], south[:, 0], south[:, 1])
            # azimuths at the ends, not in the middle: the difference is second order but for the
            # convergence of meridians, which both share
            back = self._geod.inv(east[:, 0], east[:, 1], west[:, 0], west[:, 1])[0]
            other = self._geod.inv(south[:, 0], south[:, 1], north[:, 0], north[:, 1])[0]
        angle = np.radians(_middle(ahead, back) - _middle(down, other))
        along_x, along_y = np.asarray(x) / self._step, np.asarray(y) / self._step
        return _Sizes(np.abs(along_x * along_y * np.sin(angle)), along_x, along_y)

    def _world(self, points: FloatArray) -> FloatArray:
        t = self._transform
        x, y = points.T
        return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])

    def _lonlat(self, points: FloatArray) -> FloatArray:
        lonlat = self._to_lonlat(points) if self._to_lonlat is not None else points
        return lonlat * self._degrees


def _middle(ahead: Any, back: Any) -> FloatArray:
    """The azimuth in the middle of a line from those at its two ends."""
    forward, behind = np.radians(ahead), np.radians(np.asarray(back) + 180.0)
    return np.degrees(
        np.arctan2(np.sin(forward) + np.sin(behind), np.cos(forward) + np.cos(behind))
    )


def _pixel_metres(grid: Grid, crs: CRS) -> float:
    """Length of a pixel, roughly."""
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    if crs.is_geographic:
        metres *= 6_371_000.0
    return max(max(grid.spacing) * metres, 1e-6)


def _degrees_a_unit(geodetic: CRS | None) -> float:
    if geodetic is None or not geodetic.axis_info:
        return 1.0
    return math.degrees(geodetic.axis_info[0].unit_conversion_factor)
