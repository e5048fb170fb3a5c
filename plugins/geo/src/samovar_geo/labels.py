"""Label rasters: GeoTIFFs of object numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio

from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.objects import Objects
from samovar_geo.georeference import corner_transform, raster_crs
from samovar_geo.provenance import record
from samovar_geo.raster import gdal, window_of

BLOCK = 512
STRIP_PIXELS = 2**24
"""Pixels held at once while a label raster is written."""


class LabelGeoTiff:
    """Writes label GeoTIFFs."""

    def write(self, objects: Objects, path: Path, image: Image) -> None:
        """The label image in the raster's own transform and CRS.

        Tiled, deflated, nodata 0, uint8, 16 or 32 as the ids need; memory does not grow with the
        raster. Where objects overlap, the smaller one shows.

        Raises:
            OSError: the disk is full or the file cannot be written.
        """
        rows, columns = objects.grid.shape
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "width": columns,
            "height": rows,
            "count": 1,
            "dtype": objects.label_dtype,
            "crs": raster_crs(objects.grid),
            "transform": corner_transform(objects.grid, image),
            "nodata": 0,
            "compress": "deflate",
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "bigtiff": "IF_SAFER",
        }
        tags = record(objects)
        with gdal(), rasterio.open(path, "w", **profile) as dataset:
            dataset.update_tags(
                TIFFTAG_SOFTWARE=tags.pop("SOFTWARE"), **{f"SAMOVAR_{k}": tags[k] for k in tags}
            )
            dataset.set_band_description(1, "object")
            for region in strips(objects.grid, BLOCK):
                dataset.write(objects.labels(region), 1, window=window_of(region))


def strips(grid: Grid, rows: int) -> Iterator[Region]:
    """Blocks that cover ``grid`` in raster order, at most STRIP_PIXELS each, ``rows`` aligned."""
    height, width = grid.shape
    wide = max(BLOCK, STRIP_PIXELS // max(rows, 1) // BLOCK * BLOCK)
    tall = max(rows, STRIP_PIXELS // min(width, wide) // rows * rows)
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            yield Region((top, left), (min(top + tall, height), min(left + wide, width)))
