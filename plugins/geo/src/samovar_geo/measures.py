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
from samovar_geo.outlines import Edges, Ints, edges_of
from samovar_geo.polygons import map_points

BLOCK_M = 1000.0
"""A block whose pixels are taken to be of one size is at most this long, or one pixel."""
BLOCK_PIXELS = 256
STEP_M = 50.0
"""Distance over which a pixel's size is measured; much shorter ones drown in rounding."""
MOST_KNOWN = 4_096
"""Blocks whose pixels' sizes are remembered."""
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
        self._known: dict[tuple[int, int], tuple[float, float, float]] = {}

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
            rows, columns, counts = self._counts(piece.inside, piece.region.start)
            area += float(counts @ self._of_blocks(rows, columns)[:, 0])
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
    ) -> tuple[Ints, Ints, FloatArray]:
        """Rows and columns of the blocks that hold pixels, and how many each holds."""
        side = self._block
        (top, left), (rows, columns) = start, inside.shape
        tops, lefts = (
            np.maximum(np.arange(a // side, -(-(a + n) // side)) * side - a, 0)
            for a, n in ((top, rows), (left, columns))
        )
        sums = np.add.reduceat(np.add.reduceat(inside, lefts, axis=1, dtype=np.int64), tops, axis=0)
        y, x = np.nonzero(sums)
        return y + top // side, x + left // side, sums[y, x].astype(np.float64)

    def _perimeter(self, edges: Edges) -> float:
        total = 0.0
        for which, x, y in ((1, edges.hx, edges.hy), (2, edges.vx, edges.vy)):
            column, row = x // self._block, y // self._block
            left, top = int(column.min()), int(row.min())
            width = int(column.max()) + 1 - left
            counts = np.bincount((row - top) * width + column - left)
            filled = np.flatnonzero(counts)
            row, column = np.divmod(filled, width)
            if self._block > 1:
                lengths = self._of_blocks(row + top, column + left)[:, which]
            else:
                # pixels so large that an edge is not where their centre is
                shift = (0.5, 0.0) if which == 1 else (0.0, 0.5)
                sizes = self._sizes(np.column_stack([column + left, row + top]) + shift)
                lengths = sizes.along_x if which == 1 else sizes.along_y
            total += float(counts[filled] @ lengths)
        return total

    def _of_blocks(self, rows: Ints, columns: Ints) -> FloatArray:
        """``(n, 3)`` area, length along x and along y of a pixel in each block; remembered."""
        keys = list(zip(rows.tolist(), columns.tolist(), strict=True))
        new = [key for key in keys if key not in self._known]
        if new:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
                new = keys
            centres = (np.array(new, dtype=np.float64)[:, ::-1] + 0.5) * self._block
            sizes = self._sizes(centres)
            found = np.column_stack([sizes.area, sizes.along_x, sizes.along_y]).tolist()
            self._known.update(zip(new, map(tuple, found), strict=True))
        return np.array([self._known[key] for key in keys])

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
