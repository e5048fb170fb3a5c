"""Outlines of objects along exact pixel edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.transform import Affine

from samovar.objects import SegmentedObject

FloatArray = NDArray[np.float64]


def outline(segmented: SegmentedObject) -> shapely.MultiPolygon:
    """The edges of an object's pixels, holes kept, in *corner* coordinates of the whole image.

    x, y in pixels, 0 the outer edge of the first pixel. Pixels that touch at a corner only are
    parts of their own, so that the polygon is valid. Its planar area is the pixel count.
    """
    if segmented.empty:
        return shapely.MultiPolygon()
    mask = segmented.mask
    top, left = segmented.region.start
    rings = shapes(
        mask.astype(np.uint8), mask=mask, connectivity=4, transform=Affine.translation(left, top)
    )
    parts = [shapely.geometry.shape(geometry) for geometry, _ in rings]
    return shapely.MultiPolygon(polygons_of([_valid(part) for part in parts]))


def polygons_of(geometries: list[Any]) -> list[shapely.Polygon]:
    """The polygons in a list of any geometries, collections taken apart."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def map_points(
    geometry: Any,
    transform: Affine,
    then: Callable[[FloatArray], FloatArray] | None = None,
) -> Any:
    """``geometry`` in corner coordinates → in world coordinates by ``transform``, then ``then``."""

    def carry(points: FloatArray) -> FloatArray:
        x, y = points[:, 0], points[:, 1]
        world = np.column_stack(
            [
                transform.a * x + transform.b * y + transform.c,
                transform.d * x + transform.e * y + transform.f,
            ]
        )
        return then(world) if then is not None else world

    return shapely.transform(geometry, carry)


def _valid(polygon: Any) -> Any:
    """Holes that touch at a corner come as one self-touching ring: taken apart here."""
    return polygon if shapely.is_valid(polygon) else shapely.make_valid(polygon)
