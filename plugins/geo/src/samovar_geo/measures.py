"""Areas and lengths on the ellipsoid.

Planar square metres are wrong wherever the projection stretches: EPSG:3857 by 27 % in Nepal.
Outlines are therefore carried to lon/lat and measured by geodesics (Karney 2013, through PROJ).
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from pyproj import CRS

from samovar.grid import Grid
from samovar.image import Image
from samovar.objects import SegmentedObject
from samovar_geo.georeference import FloatArray, corner_transform, grid_crs, reprojection
from samovar_geo.polygons import map_points, outline

LONGEST_EDGE_M = 200.0
"""Straight edges are cut to this length (or one pixel): a parallel is not a geodesic."""


class Ellipsoid:
    """Measures objects of one grid on the ellipsoid of its CRS."""

    def __init__(self, grid: Grid, image: Image | None = None) -> None:
        crs = grid_crs(grid)
        geodetic = crs.geodetic_crs if crs is not None else None
        self._transform = corner_transform(grid, image)
        self._geod = crs.get_geod() if crs is not None else None
        self._to_lonlat = (
            reprojection(crs, CRS(geodetic.to_2d()))
            if crs is not None and geodetic is not None
            else None
        )
        self._step = _longest_edge(grid, crs) if crs is not None else 1.0
        self._degrees = _degrees_a_unit(geodetic)
        self._known = geodetic is not None and self._geod is not None

    def measure(self, segmented: SegmentedObject) -> dict[str, float]:
        """``area_m2`` and ``perimeter_m`` (outer and inner rings) of an object.

        Empty when the CRS is not tied to an ellipsoid, or the object lies where its projection
        is not defined.
        """
        if not self._known or self._geod is None:
            return {}
        if segmented.empty:
            return {"area_m2": 0.0, "perimeter_m": 0.0}
        shape = shapely.segmentize(outline(segmented), self._step)
        shape = map_points(shape, self._transform, self._to_degrees)
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            return {}
        area = perimeter = 0.0
        for part in shapely.get_parts(shape):
            outer = True
            for ring in (part.exterior, *part.interiors):
                x, y = shapely.get_coordinates(ring).T
                ring_area, ring_length = self._geod.polygon_area_perimeter(x, y)
                area += abs(ring_area) if outer else -abs(ring_area)
                perimeter += ring_length
                outer = False
        return {"area_m2": area, "perimeter_m": perimeter}

    def _to_degrees(self, points: FloatArray) -> FloatArray:
        lonlat = self._to_lonlat(points) if self._to_lonlat is not None else points
        return lonlat * self._degrees


def _longest_edge(grid: Grid, crs: CRS) -> float:
    """In pixels: at least one, at most about LONGEST_EDGE_M."""
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    if crs.is_geographic:
        metres *= 6_371_000.0
    pixel = max(grid.spacing) * metres
    return max(1.0, LONGEST_EDGE_M / pixel) if pixel > 0 else 1.0


def _degrees_a_unit(geodetic: CRS | None) -> float:
    if geodetic is None or not geodetic.axis_info:
        return 1.0
    return math.degrees(geodetic.axis_info[0].unit_conversion_factor)
