"""How a raster lies in its file, and that it is read once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio._env import get_gdal_config

from samovar import swaths
from samovar.image import Blocks
from samovar.lattice import Lattice, Tiling
from samovar_geo import handles, opening
from samovar_geo.layout import COUNTED
from samovar_geo.opening import CACHE_BYTES, gdal
from samovar_geo.raster import RasterReader


class Counting(io.FileIO):
    """A file that counts what is read of it."""

    total = 0

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        Counting.total += len(data)
        return data


@pytest.fixture
def counted(monkeypatch):
    """Bytes that GDAL reads from now on."""
    Counting.total = 0
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    monkeypatch.setattr(
        handles, "open_dataset", lambda path, source: rasterio.open(path, opener=Counting)
    )
    return Counting


def written(path: Path, rows: int, columns: int, **options: object) -> str:
    """Noise, which no compression makes smaller."""
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=3, dtype="uint8",
        crs="EPSG:32645", transform=rasterio.Affine(0.5, 0, 3e5, 0, -0.5, 3e6),
        compress="deflate", zlevel=1, **options,
    ) as dataset:  # fmt: skip
        dataset.write(rng.integers(0, 255, (3, rows, columns), dtype=np.uint8))
    return str(path)


def share_read(image, path: str, rows: int | None = None) -> float:
    """Bytes read by looking at every tile of an image, in those of its file.

    Args:
        rows: of tiles that are looked at together; None: as the host does it.
    """
    lattice = Lattice.of(image, Tiling())
    swath = swaths.swath_of(lattice, image.blocks)
    image.keep_blocks(swath.kept)
    before = Counting.total
    for _, view in lattice.occupied(image.blank, rows or swath.rows):
        image.valid(view.region)
        image.read(view.region)
    return (Counting.total - before) / Path(path).stat().st_size


@pytest.fixture
def little_memory(monkeypatch):
    """A scene of some megapixels is then as wide as one of gigapixels is otherwise."""
    monkeypatch.setattr(opening, "CACHE_BYTES", 1 << 20)
    monkeypatch.setattr(swaths, "LEAST_KEPT", 1 << 20)
    monkeypatch.setattr(swaths, "MOST_KEPT", 4 << 20)


@pytest.mark.parametrize("options", [{"tiled": True}, {}], ids=["tiles", "strips"])
def test_a_scene_is_read_once(options, tmp_path, open_raster, counted):
    path = written(tmp_path / "scene.tif", 2000, 2000, **options)
    assert share_read(open_raster(path), path) < 1.02


def test_a_scene_too_wide_for_memory_is_read_nearly_once(
    tmp_path, open_raster, counted, little_memory
):
    options = {"tiled": True, "blockxsize": 128, "blockysize": 128}
    path = written(tmp_path / "scene.tif", 2300, 4000, **options)
    assert share_read(open_raster(path), path) < 1.15
    # the same cache, and tiles row by row
    assert share_read(open_raster(path), path, 1) > 1.3


def test_long_lines_get_the_memory_that_they_need(tmp_path, open_raster, counted, little_memory):
    path = written(tmp_path / "scene.tif", 900, 2000)
    image = open_raster(path)
    assert share_read(image, path) < 1.02
    image.close()
    del image
    other = open_raster(path)
    other.keep_blocks = lambda nbytes: None
    assert share_read(other, path) > 3


def test_a_writer_does_not_empty_a_readers_cache(make_raster, open_raster):
    image = open_raster(make_raster(np.zeros((3, 40, 40), np.uint8)))
    image.keep_blocks(3 * CACHE_BYTES)
    with gdal():
        assert get_gdal_config("GDAL_CACHEMAX") == 3 * CACHE_BYTES
    image.close()
    with gdal():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES


def test_bands_that_lie_together_are_read_together(make_raster, open_raster):
    pixels = np.zeros((5, 300, 400), np.uint16)
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 32}
    together = open_raster(make_raster(pixels, name="a.tif", interleave="pixel", **tiled), "1,2")
    apart = open_raster(make_raster(pixels, name="b.tif", interleave="band", **tiled), "1,2")
    assert together.blocks == Blocks((32, 64), (32 * 64 * 2 + COUNTED) * 5)
    assert apart.blocks == Blocks((32, 64), (32 * 64 * 2 + COUNTED) * 2)


def test_virtual_rasters_have_the_blocks_of_their_files(make_raster, open_raster):
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 32}
    path = make_raster(np.zeros((3, 300, 400), np.uint8), **tiled)
    image = open_raster(f"mosaic:{path}")
    assert image.blocks is not None
    assert image.blocks.shape == (32, 64)


def test_at_another_resolution_blocks_are_those_of_the_overview(make_raster):
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    path = make_raster(np.zeros((3, 900, 900), np.uint8), **tiled)
    fine = RasterReader().open(path, gsd=2.0)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    assert fine.blocks.shape == pytest.approx((16, 16), rel=0.05)
    assert RasterReader().open(path, gsd=2.1).blocks.shape == pytest.approx((64, 64), rel=0.1)
