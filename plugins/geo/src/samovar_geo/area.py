"""The part of a scene that was asked for: ``--bbox``, ``--aoi``.

The scene is cut to the area and a margin, and says where the cut lies (``Image.origin``): tiles,
stretch and everything found are those of the whole scene. What lies outside the area altogether is
not looked at, and objects that do not touch it are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.transform import Affine

from samovar.errors import InputError, UsageError
from samovar.grid import Region
from samovar.masks import PixelMask
from samovar_geo.crs import parse_crs
from samovar_geo.georeference import reprojection

MARGIN = 1024
"""Pixels around the area that tiles and halos may reach into."""
EDGE_STEPS = 32
"""A reprojected edge bends: it is followed in this many steps a bounding box."""


@dataclass(frozen=True)
class Wanted:
    """The area as the user gave it."""

    bbox: str | None = None
    bbox_crs: str | None = None
    aoi: str | None = None
    aoi_layer: str | None = None

    def __bool__(self) -> bool:
        return bool(self.bbox or self.aoi)


@dataclass(frozen=True, eq=False)
class Area:
    """An area of interest in corner coordinates of the whole scene."""

    shape: Any
    window: Region
    """Its bounds, whole pixels."""
    cut: Region
    """The window and its margin: what is opened."""

    def touches(self, region: Region) -> bool:
        """Whether a region of the whole scene has a point of the area."""
        (top, left), (bottom, right) = region.start, region.stop
        return bool(shapely.intersects(self.shape, shapely.box(left, top, right, bottom)))

    def holds(self, mask: PixelMask) -> bool:
        """Whether a pixel of ``mask`` (whole-scene coordinates) has its centre in the area."""
        if mask.empty or not self.touches(mask.region):
            return False
        (top, left), (bottom, right) = mask.region.start, mask.region.stop
        if shapely.contains_properly(self.shape, shapely.box(left, top, right, bottom)):
            return True
        rows, columns = np.nonzero(mask.inside)
        return bool(shapely.contains_xy(self.shape, columns + left + 0.5, rows + top + 0.5).any())


def find_area(
    wanted: Wanted, transform: Affine, shape: tuple[int, int], crs: CRS | None, source: str
) -> Area:
    """The area on a raster's pixels.

    Args:
        transform: corner coordinates → world of the whole scene.

    Raises:
        UsageError: malformed, both given, or a map's coordinates for a raster without CRS.
        InputError: the AOI cannot be read, holds no polygon, or lies outside the raster.
    """
    if wanted.bbox and wanted.aoi:
        raise UsageError("give --bbox or --aoi, not both")
    if wanted.bbox:
        polygon, own = parse_bbox(wanted.bbox), crs
        if wanted.bbox_crs:
            own = parse_crs(wanted.bbox_crs, "--bbox-crs")
            if crs is None:
                raise UsageError(
                    f"--bbox-crs {wanted.bbox_crs}: {source} has no CRS; give --bbox in its own "
                    "coordinates"
                )
        what = f"--bbox {wanted.bbox}"
    else:
        assert wanted.aoi is not None
        polygon, own = _read_aoi(wanted.aoi, wanted.aoi_layer)
        what = wanted.aoi
        if (own is None) != (crs is None) and crs is None:
            raise UsageError(
                f"{wanted.aoi}: holds coordinates of a map but {source} has no CRS; assign one "
                "first (gdal_edit.py -a_srs EPSG:… FILE)"
            )
    carry = reprojection(own, crs) if own is not None and crs is not None else None
    inverse = ~transform

    def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (carry(points) if carry is not None else points).T
        return np.column_stack(
            [inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f]
        )

    if carry is not None:
        left, low, right, high = polygon.bounds
        polygon = shapely.segmentize(polygon, max(right - left, high - low) / EDGE_STEPS or 1.0)
    pixels = shapely.transform(polygon, to_pixels)
    rows, columns = shape
    if not np.isfinite(shapely.get_coordinates(pixels)).all():
        raise InputError(f"{what}: cannot be placed on {source}; check its CRS")
    left, top, right, bottom = pixels.bounds
    if right <= 0 or bottom <= 0 or left >= columns or top >= rows:
        raise InputError(
            f"{what}: lies outside {source}; check the CRS (--bbox-crs), and the order "
            "xmin,ymin,xmax,ymax"
        )
    start = (max(0, int(np.floor(top + 1e-6))), max(0, int(np.floor(left + 1e-6))))
    stop = (min(rows, int(np.ceil(bottom - 1e-6))), min(columns, int(np.ceil(right - 1e-6))))
    window = Region(start, tuple(max(b, a + 1) for a, b in zip(start, stop, strict=True)))
    cut = Region(
        tuple(max(0, a - MARGIN) for a in window.start),
        tuple(min(n, b + MARGIN) for n, b in zip(shape, window.stop, strict=True)),
    )
    return Area(pixels, window, cut)


def parse_bbox(text: str) -> shapely.Polygon:
    """``xmin,ymin,xmax,ymax``. Raises UsageError."""
    try:
        numbers = [float(part) for part in text.replace(" ", ",").split(",") if part]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise UsageError(f"--bbox {text}: write xmin,ymin,xmax,ymax in the raster's CRS, "
                         "or in that of --bbox-crs")  # fmt: skip
    west, south, east, north = numbers
    if west >= east or south >= north:
        raise UsageError(f"--bbox {text}: each minimum must be below its maximum (x y x y)")
    return shapely.box(west, south, east, north)


def _read_aoi(path: str, layer: str | None) -> tuple[Any, CRS | None]:
    from samovar_geo.prompts import read_features

    features, crs = read_features(path, layer, option="--aoi-layer")
    shapes = [
        f.geometry for f in features
        if f.geometry is not None and f.geometry.geom_type in ("Polygon", "MultiPolygon")
    ]  # fmt: skip
    if not shapes:
        raise InputError(f"{path}: holds no polygon; --aoi takes the outline of an area")
    shapes = [s if s.is_valid else shapely.make_valid(s) for s in shapes]
    return shapely.union_all(shapes), crs
