"""Label rasters: GeoTIFFs of object numbers, written and read as prompts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from samovar.errors import OutputError, PromptError
from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.objects import Objects
from samovar.prompts import Prompt, Prompts
from samovar_geo.georeference import corner_transform, raster_crs
from samovar_geo.provenance import record
from samovar_geo.raster import damaged, gdal, gdal_path, open_dataset

BLOCK = 512
STRIP_PIXELS = 2**24
"""Pixels held at once while a label raster is scanned or written."""
TOLERANCE = 0.01
"""How far, in pixels, the corners of two grids may lie apart and still be one grid."""


class LabelGeoTiff:
    """Writes label GeoTIFFs; reads the boxes of the objects of one."""

    def write(self, objects: Objects, path: Path, image: Image) -> None:
        """The label image in the raster's own transform and CRS.

        Tiled, deflated, nodata 0, uint8, 16 or 32 as the ids need; memory does not grow with the
        raster. Where objects overlap, the one with the higher score shows.

        Raises:
            OutputError: the disk is full or the file cannot be written.
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
        try:
            with gdal(), rasterio.open(path, "w", **profile) as dataset:
                dataset.update_tags(
                    TIFFTAG_SOFTWARE=tags.pop("SOFTWARE"), **{f"SAMOVAR_{k}": tags[k] for k in tags}
                )
                dataset.set_band_description(1, "object")
                for region in strips(objects.grid, BLOCK):
                    dataset.write(objects.labels(region), 1, window=_window(region))
        except (RasterioError, OSError) as error:
            raise OutputError(
                f"{path}: cannot be written: {error}; free some disk space or choose another folder"
            ) from error

    def read_prompts(self, path: str, image: Image) -> Prompts:
        """One object a value above 0, prompted by its bounding box and numbered by its value.

        Raises:
            PromptError: not a label raster, not on the image's grid, or without any object.
        """
        if _same_file(path, image.info.source):
            raise PromptError(
                f"{path}: is the image itself, not prompts; give a label raster or a vector file"
            )
        found: dict[int, Region] = {}
        try:
            with gdal(), open_dataset(gdal_path(path), path) as dataset:
                _check_labels(dataset, path, image)
                for region in strips(image.grid, 1):
                    _collect(found, dataset.read(1, window=_window(region)), region, dataset.nodata)
        except RasterioError as error:
            raise damaged(path, error) from error
        if not found:
            raise PromptError(f"{path}: holds no object; values above 0 are objects")
        return Prompts(tuple(_prompt(value, found[value]) for value in sorted(found)))


def strips(grid: Grid, rows: int) -> Iterator[Region]:
    """Blocks that cover ``grid`` in raster order, at most STRIP_PIXELS each, ``rows`` aligned."""
    height, width = grid.shape
    wide = max(BLOCK, STRIP_PIXELS // max(rows, 1) // BLOCK * BLOCK)
    tall = max(rows, STRIP_PIXELS // min(width, wide) // rows * rows)
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            yield Region((top, left), (min(top + tall, height), min(left + wide, width)))


def _collect(
    found: dict[int, Region], block: NDArray[Any], region: Region, nodata: float | None
) -> None:
    """Widen the bounds of every value in ``block``, whose first pixel is that of ``region``."""
    inside = block > 0
    if nodata is not None:
        inside &= block != nodata
    rows, columns = np.nonzero(inside)
    if not rows.size:
        return
    values, which = np.unique(block[rows, columns], return_inverse=True)
    low = np.full((len(values), 2), np.iinfo(np.int64).max)
    high = np.full((len(values), 2), -1)
    for axis, index in enumerate((rows, columns)):
        np.minimum.at(low[:, axis], which, index)
        np.maximum.at(high[:, axis], which, index)
    for value, start, stop in zip(values.tolist(), low.tolist(), (high + 1).tolist(), strict=True):
        bounds = Region(tuple(start), tuple(stop)).shift(region.start)
        found[value] = found[value].union(bounds) if value in found else bounds


def _prompt(value: int, region: Region) -> Prompt:
    (top, left), (bottom, right) = region.start, region.stop
    return Prompt(value, box=(float(left), float(top), float(right), float(bottom)))


def _check_labels(dataset: Any, path: str, image: Image) -> None:
    if dataset.count != 1:
        raise PromptError(
            f"{path}: has {dataset.count} bands, so it is an image, not prompts; "
            "a label raster has one band of object numbers"
        )
    if np.dtype(dataset.dtypes[0]).kind not in "iu":
        raise PromptError(
            f"{path}: holds {dataset.dtypes[0]} values, not object numbers; "
            "give a label raster of whole numbers"
        )
    grid = image.grid
    if (dataset.height, dataset.width) != grid.shape:
        raise PromptError(
            f"{path}: is {dataset.width} × {dataset.height} pixels, the image is "
            f"{grid.shape[1]} × {grid.shape[0]}; warp the labels onto the image's grid, "
            "or polygonise them and give a vector file"
        )
    if grid.frame.kind != "crs" or not dataset.crs:
        return
    if dataset.crs != raster_crs(grid) or _corner_shift(dataset, grid, image) > TOLERANCE:
        raise PromptError(
            f"{path}: does not lie on the image's grid (CRS or transform differ); "
            "warp it onto the image, or polygonise it and give a vector file"
        )


def _corner_shift(dataset: Any, grid: Grid, image: Image) -> float:
    """Largest distance in pixels between the corners of two rasters of one shape."""
    own, other = (
        np.array(t).reshape(3, 3) for t in (corner_transform(grid, image), dataset.transform)
    )
    height, width = grid.shape
    corners = np.array([(0, width, 0, width), (0, 0, height, height), (1, 1, 1, 1)])
    return float(np.abs(np.linalg.solve(own, other @ corners) - corners).max())


def _same_file(path: str, source: str) -> bool:
    try:
        return path == source or Path(path).samefile(source)
    except OSError:
        return False


def _window(region: Region) -> Window:
    (top, left), (rows, columns) = region.start, region.shape
    return Window(left, top, columns, rows)
