"""Polygons of objects: GeoPackage, GeoJSON and GeoJSON text sequences."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError

from samovar.errors import OutputError
from samovar.grid import Grid
from samovar.image import Image
from samovar.objects import Objects
from samovar_geo.attributes import columns_of
from samovar_geo.georeference import corner_transform
from samovar_geo.polygons import map_points, outline
from samovar_geo.provenance import record, sentence

LOG = logging.getLogger("samovar")
LAYER = "objects"
DECIMALS = 8
"""Of degrees in GeoJSON: a millimetre."""


class GeoPackage:
    """Polygons in the raster's own CRS."""

    def write(self, objects: Objects, path: Path, image: Image) -> None:
        """Layer ``objects``, one MultiPolygon a found object, exact pixel edges.

        Raises:
            OSError: the file cannot be written.
        """
        _write(
            objects, path, image, "GPKG", "MultiPolygon",
            promote_to_multi=True,
            # -1 is what the standard calls undefined Cartesian
            layer_options={"SRID": "-1"} if objects.grid.frame.crs is None else {},
            layer_metadata={f"SAMOVAR_{k}": v for k, v in record(objects).items()},
        )  # fmt: skip


class GeoJson:
    """Polygons in lon/lat, as RFC 7946 has it."""

    def write(self, objects: Objects, path: Path, image: Image) -> None:
        """One feature an object; EPSG:4326, outer rings anticlockwise, cut at the antimeridian.

        Raises:
            OutputError: the raster has no CRS.
            OSError: the file cannot be written.
        """
        _check_lonlat(objects.grid, image)
        _write(
            objects, path, image, "GeoJSON", "Unknown",
            layer_options={
                "RFC7946": "YES",
                "COORDINATE_PRECISION": str(DECIMALS),
                "DESCRIPTION": sentence(objects),
            },
        )  # fmt: skip


class GeoJsonSeq:
    """Polygons in lon/lat, one feature a line: for scenes with many objects, and for streams."""

    def write(self, objects: Objects, path: Path, image: Image) -> None:
        """As :class:`GeoJson`, newline-delimited.

        Raises:
            OutputError: the raster has no CRS.
            OSError: the file cannot be written.
        """
        _check_lonlat(objects.grid, image)
        _write(
            objects, path, image, "GeoJSONSeq", "Unknown",
            layer_options={"COORDINATE_PRECISION": str(DECIMALS)},
        )  # fmt: skip


def geometries(objects: Objects, image: Image) -> NDArray[Any]:
    """``(n,)`` MultiPolygons of the objects in world coordinates, in their order."""
    transform = corner_transform(objects.grid, image)
    shapes = np.empty(len(objects), dtype=object)
    for i, item in enumerate(objects):
        shapes[i] = map_points(outline(item), transform)
    return shapes


def _write(
    objects: Objects, path: Path, image: Image, driver: str, kind: str, **options: Any
) -> None:
    found = Objects(objects.grid, tuple(o for o in objects if not o.empty), objects.provenance)
    if len(found) < len(objects):
        LOG.warning(
            "%d of %d objects were not found and have no polygon",
            len(objects) - len(found), len(objects),
        )  # fmt: skip
    shapes = geometries(found, image)
    if kind == "Unknown":
        shapes = np.array([_simplest(shape) for shape in shapes] or [], dtype=object)
    columns = columns_of(found, image)
    try:
        with warnings.catch_warnings():
            # a raster without CRS gives a layer without CRS: that is meant
            warnings.filterwarnings("ignore", message=".*crs.* was not provided")
            pyogrio.raw.write(
                path,
                shapely.to_wkb(shapes) if len(shapes) else np.array([], dtype=object),
                [column.values for column in columns],
                np.array([column.name for column in columns], dtype=object),
                field_mask=[column.missing for column in columns],
                layer=LAYER,
                driver=driver,
                geometry_type=kind,
                crs=objects.grid.frame.crs,
                **options,
            )
            if not Path(path).exists():
                # GDAL opens a text sequence with its first feature only
                Path(path).touch()
    except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
        raise OSError(" ".join(str(error).split())) from error


def _simplest(shape: Any) -> Any:
    """A polygon where one part suffices."""
    return shapely.get_geometry(shape, 0) if shapely.get_num_geometries(shape) == 1 else shape


def _check_lonlat(grid: Grid, image: Image) -> None:
    if grid.frame.kind != "crs":
        raise OutputError(
            f"{image.info.source}: has no CRS, and GeoJSON holds lon/lat only; assign one first "
            "(gdal_edit.py -a_srs EPSG:… FILE), or write a .gpkg or .tif"
        )
