"""Polygons between pixel corners and the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine

FloatArray = NDArray[np.float64]


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
