"""Small rasters and objects with known geometry."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from rasterio.transform import Affine

from samovar.grid import Grid
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar_geo.raster import RasterImage

UTM = Affine(0.5, 0, 733600.0, 0, -0.5, 3725140.0)

COS, SIN = np.cos(np.pi / 6), np.sin(np.pi / 6)

GEOMETRIES = {
    "utm north-up": ("EPSG:32616", UTM),
    "utm south-up": ("EPSG:32616", Affine(0.5, 0, 733600.0, 0, 0.5, 3725000.0)),
    "utm rotated": (
        "EPSG:32616",
        Affine(0.5 * COS, 0.5 * SIN, 733600, 0.5 * SIN, -0.5 * COS, 3725140),
    ),
    "utm sheared": ("EPSG:32616", Affine(0.5, 0.1, 733600.0, 0.2, -0.6, 3725140.0)),
    "web mercator": ("EPSG:3857", Affine(0.149, 0, 9519926.1, 0, -0.149, 3202940.8)),
    "lon/lat": ("EPSG:4326", Affine(9e-5, 0, -0.78, 0, -9e-5, 38.12)),
    "lon/lat south-up": ("EPSG:4326", Affine(9e-5, 0, -0.78, 0, 9e-5, 38.0)),
    "northing first": ("EPSG:31466", Affine(0.4, 0, 2544000.0, 0, -0.4, 5700000.0)),
    "feet": ("EPSG:2264", Affine(1, 0, 1400000.0, 0, -1, 600000.0)),
}


@pytest.fixture
def make_raster(tmp_path):
    """Writes ``(bands, y, x)`` to a GeoTIFF; returns its path as text."""

    def make(pixels, crs="EPSG:32616", transform=UTM, name="scene.tif", **profile):
        pixels = np.asarray(pixels)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        path = tmp_path / name
        mask = profile.pop("mask", None)
        colours = profile.pop("colours", None)
        names = profile.pop("names", None)
        with rasterio.open(
            path, "w", driver="GTiff", width=pixels.shape[2], height=pixels.shape[1],
            count=pixels.shape[0], dtype=pixels.dtype, crs=crs, transform=transform, **profile,
        ) as dataset:  # fmt: skip
            dataset.write(pixels)
            if mask is not None:
                dataset.write_mask(mask)
            if colours is not None:
                dataset.colorinterp = colours
            if names is not None:
                dataset.descriptions = names
        return str(path)

    return make


@pytest.fixture
def open_raster():
    """Opens rasters and closes them after the test."""
    opened = []

    def open_one(path, bands=None):
        opened.append(RasterImage(path, bands))
        return opened[-1]

    yield open_one
    for image in opened:
        image.close()


def objects_of(grid: Grid, *masks, **fields) -> Objects:
    """Objects numbered from 1 from full-size boolean masks."""
    items = tuple(
        SegmentedObject.from_mask(i + 1, PixelMask.of(np.asarray(mask, dtype=bool)), **fields)
        for i, mask in enumerate(masks)
    )
    return Objects(grid, items, {"model": {"name": "oracle"}})


@pytest.fixture(scope="session")
def build_objects():
    return objects_of


def l_shape(angle: float, side: int = 90):
    """Mask and outline of an L of two wings, turned."""
    shape = shapely.MultiPolygon([shapely.box(20, 25, 70, 45).union(shapely.box(20, 25, 40, 65))])
    shape = shapely.affinity.rotate(shape, angle, origin=(45, 45))
    yy, xx = np.mgrid[:side, :side]
    return shapely.contains_xy(shape, xx + 0.5, yy + 0.5), shape


@pytest.fixture(scope="session")
def turned_house():
    return l_shape


@pytest.fixture(scope="session")
def geometries():
    return GEOMETRIES


@pytest.fixture(scope="session")
def shared_rasters() -> Path:
    """The shared sample rasters; skips where they are absent."""
    default = Path(__file__).resolve().parents[3].parent / "shared"
    folder = Path(os.environ.get("SAMOVAR_SHARED", default)) / "data" / "rasters"
    if not folder.is_dir():
        pytest.skip(f"no shared sample data at {folder}: set SAMOVAR_SHARED")
    return folder
