"""Between GDAL's georeference and samovar's Grid.

GDAL transforms map pixel *corners* to world coordinates, a Grid maps pixel *centres*: they differ
by half a pixel, here and nowhere else. World coordinates are always x/y (lon/lat), whatever axis
order the authority of the CRS prefers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio.crs
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.transform import Affine

from samovar.grid import Frame, Grid
from samovar.image import Image

FloatArray = NDArray[np.float64]

UNITS = {"metre": "m", "meter": "m", "foot": "ft", "US survey foot": "US survey ft"}


def centre_affine(transform: Affine) -> FloatArray:
    """GDAL's corner-anchored transform → 3×3 matrix of pixel centres, x, y order."""
    return np.array(_moved(transform, 0.5), dtype=np.float64).reshape(3, 3)


def corner_transform(grid: Grid, image: Image | None = None) -> Affine:
    """The GDAL transform of ``grid``.

    The very numbers of the file are given back when ``grid`` is that of ``image``, so that what
    is written lies on what was read bit by bit.
    """
    if image is not None and image.grid == grid and "transform" in image.info.native:
        return Affine(*image.info.native["transform"])
    if grid.frame.kind == "index" and np.array_equal(grid.affine, np.eye(3)):
        return Affine.identity()
    return _moved(Affine(*(float(v) for v in grid.affine[:2].ravel())), -0.5)


def _moved(transform: Affine, pixels: float) -> Affine:
    """The transform whose origin lies ``pixels`` further along both index axes."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, c + pixels * (a + b), d, e, f + pixels * (d + e))


def frame_of(crs: rasterio.crs.CRS | None) -> Frame:
    """Frame of a raster's CRS; index coordinates when it has none."""
    if not crs:
        return Frame.index()
    if crs.is_geographic:
        unit = "degree"
    else:
        unit = UNITS.get(crs.linear_units, crs.linear_units or "m")
    return Frame.from_crs(crs.to_string(), unit)


def raster_crs(grid: Grid) -> rasterio.crs.CRS | None:
    """The CRS of ``grid`` for rasterio, None when it has none."""
    if grid.frame.kind != "crs":
        return None
    return rasterio.crs.CRS.from_user_input(grid.frame.crs)


def grid_crs(grid: Grid) -> CRS | None:
    """The CRS of ``grid`` for pyproj, None when it has none."""
    return CRS.from_user_input(grid.frame.crs) if grid.frame.kind == "crs" else None


def reprojection(source: CRS, target: CRS) -> Callable[[FloatArray], FloatArray] | None:
    """``(n, 2)`` x/y in ``source`` → ``(n, 2)`` x/y in ``target``; None when they are the same."""
    if source.equals(target, ignore_axis_order=True):
        return None
    transformer = Transformer.from_crs(source, target, always_xy=True)

    def apply(points: FloatArray) -> FloatArray:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([x, y])

    return apply


def is_georeferenced(dataset: Any) -> bool:
    """Whether a dataset says where it lies: a CRS, or a transform that is not the identity."""
    return bool(dataset.crs) or dataset.transform != Affine.identity()
