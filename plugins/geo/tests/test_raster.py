from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine

from samovar.errors import GeometryError, InputError, PromptError, UsageError
from samovar.grid import Region
from samovar.prompts import Prompt, Prompts
from samovar_geo.opening import CACHE_BYTES, gdal
from samovar_geo.raster import RasterReader

RNG = np.random.default_rng(5)


def picture(bands=3, rows=40, columns=60, dtype=np.uint8):
    return RNG.integers(1, 250, (bands, rows, columns)).astype(dtype)


def test_windows_are_read_as_they_lie(make_raster, open_raster):
    pixels = picture()
    image = open_raster(make_raster(pixels))
    assert image.grid.shape == (40, 60)
    assert (image.channels, image.dtype, image.info.domain) == (3, np.uint8, "raster")
    region = Region((7, 11), (20, 33))
    np.testing.assert_array_equal(image.read(region), pixels[:, 7:20, 11:33])
    np.testing.assert_array_equal(image.read(), pixels)
    assert image.valid() is None


def test_smaller_sizes_are_area_averages(make_raster, open_raster):
    pixels = picture(1, 32, 48, np.float32)
    image = open_raster(make_raster(pixels))
    small = image.read(size=(8, 12))
    expected = pixels.reshape(1, 8, 4, 12, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(small, expected, rtol=1e-5)


def test_overviews_are_used(make_raster, open_raster):
    path = make_raster(picture(1, 512, 512), tiled=True, blockxsize=128, blockysize=128)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
        dataset.write(np.zeros((1, 512, 512), dtype=np.uint8))
        expected = 0
    with rasterio.open(path, "r+", overview_level=1) as overview:
        marked = overview.read(1)
        overview.write(np.full_like(marked, 9), 1)
    image = open_raster(path)
    assert image.read(Region((0, 0), (64, 64))).max() == expected
    assert image.read(size=(128, 128)).min() == 9


@pytest.mark.parametrize(
    "name",
    ["utm north-up", "utm south-up", "utm rotated", "utm sheared", "web mercator", "lon/lat",
     "lon/lat south-up", "northing first", "feet"],
)  # fmt: skip
def test_centres_are_where_gdal_puts_them(name, geometries, make_raster, open_raster):
    crs, transform = geometries[name]
    image = open_raster(make_raster(picture(), crs=crs, transform=transform))
    with rasterio.open(image.info.source) as dataset:
        for row, column in ((0, 0), (39, 59), (7, 31)):
            world = image.grid.to_world((column, row))
            np.testing.assert_allclose(world, dataset.xy(row, column), rtol=1e-12)
    assert image.grid.frame.kind == "crs"
    assert image.grid.frame.crs == crs


@pytest.mark.parametrize(
    ("crs", "unit"),
    [("EPSG:32616", "m"), ("EPSG:4326", "degree"), ("EPSG:2264", "US survey ft"),
     ("EPSG:2222", "ft")],
)  # fmt: skip
def test_units(crs, unit, make_raster, open_raster):
    assert open_raster(make_raster(picture(), crs=crs)).grid.frame.unit == unit


def test_nodata_is_missing_only_where_every_band_has_it(make_raster, open_raster):
    pixels = picture(3, 4, 4)
    pixels[:, 0, 0] = 0
    pixels[0, 1, 1] = 0
    image = open_raster(make_raster(pixels, nodata=0))
    inside = image.valid()
    assert not inside[0, 0]
    assert inside[1, 1]
    assert inside.sum() == 15
    assert image.info.nodata == 0


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 65535), ("int16", -9999)])
def test_extreme_nodata(dtype, nodata, make_raster, open_raster):
    pixels = picture(1, 4, 4).astype(dtype)
    pixels[0, 2:] = nodata
    image = open_raster(make_raster(pixels, nodata=nodata))
    np.testing.assert_array_equal(image.valid(), pixels[0] != nodata)


def test_nan_and_infinity_are_missing(make_raster, open_raster):
    pixels = picture(2, 4, 4, np.float32)
    pixels[0, 0, 0], pixels[1, 3, 3] = np.nan, np.inf
    inside = open_raster(make_raster(pixels)).valid()
    assert np.argwhere(~inside).tolist() == [[0, 0], [3, 3]]


def test_alpha_is_a_mask_and_no_channel(make_raster, open_raster):
    pixels = picture(4, 6, 6)
    pixels[3] = 255
    pixels[3, :2] = 0
    colours = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha)
    image = open_raster(make_raster(pixels, colours=colours))
    assert image.channels == 3
    assert image.info.native["bands"] == (3, 2, 1)
    assert image.info.channel_names == ("red", "green", "blue")
    np.testing.assert_array_equal(image.read(), pixels[[2, 1, 0]])
    np.testing.assert_array_equal(image.valid(), pixels[3] > 0)


def test_dataset_mask(make_raster, open_raster):
    mask = np.full((6, 6), 255, dtype=np.uint8)
    mask[:, 4:] = 0
    image = open_raster(make_raster(picture(3, 6, 6), mask=mask))
    np.testing.assert_array_equal(image.valid(), mask > 0)
    np.testing.assert_array_equal(image.valid(Region((2, 3), (4, 6))), (mask > 0)[2:4, 3:6])


def test_palette_becomes_colours(tmp_path, open_raster):
    path = tmp_path / "classes.tif"
    index = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=2, height=2, count=1, dtype="uint8",
        crs="EPSG:3857", transform=Affine(2, 0, 0, 0, -2, 0), photometric="palette",
    ) as dataset:  # fmt: skip
        dataset.write(index, 1)
        dataset.write_colormap(1, {0: (9, 8, 7), 1: (255, 0, 1), 2: (3, 4, 5)})
    image = open_raster(str(path))
    assert (image.channels, image.dtype, image.info.modality) == (3, np.uint8, "rgb")
    assert image.read()[:, 0, 1].tolist() == [255, 0, 1]
    assert image.read()[:, 1, 0].tolist() == [3, 4, 5]


def test_complex_samples_become_magnitudes(make_raster, open_raster):
    pixels = (picture(1) + 1j * picture(1)).astype(np.complex64)
    image = open_raster(make_raster(pixels))
    assert (image.dtype, image.info.modality) == (np.float32, "sar")
    np.testing.assert_allclose(image.read(), np.abs(pixels), rtol=1e-6)


def test_scale_and_offset_are_applied(make_raster, open_raster):
    path = make_raster(np.full((1, 3, 3), 100, dtype=np.uint16))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01,), (-0.5,)
    image = open_raster(path)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image.read(), 0.5, rtol=1e-6)


def test_bands_by_wish_and_by_default(make_raster, open_raster):
    pixels = picture(5)
    path = make_raster(pixels, photometric="minisblack")
    np.testing.assert_array_equal(open_raster(path).read(), pixels[:3])
    assert open_raster(path).info.modality == "ms"
    np.testing.assert_array_equal(open_raster(path, "4,3,2").read(), pixels[[3, 2, 1]])
    np.testing.assert_array_equal(RasterReader(bands="5").open(path).read(), pixels[[4]])


def test_sentinel_2_names_give_true_colour(make_raster, open_raster):
    names = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A")
    image = open_raster(make_raster(picture(9), names=names, photometric="minisblack"))
    assert image.info.channel_names == ("B4", "B3", "B2")


@pytest.mark.parametrize(
    ("bands", "words"),
    [("0", "bands 1…5"), ("6,1", "bands 1…5"), ("red", "as 4,3,2"), ("1,,2", "as 4,3,2")],
)
def test_wrong_bands(bands, words, make_raster, open_raster):
    path = make_raster(picture(5))
    with pytest.raises(UsageError, match=words):
        open_raster(path, bands)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_tiff_without_georeference_is_a_picture(make_raster, open_raster):
    image = open_raster(make_raster(picture(), crs=None, transform=Affine.identity()))
    assert (image.info.domain, image.grid.frame.kind) == ("picture", "index")
    np.testing.assert_array_equal(image.grid.affine, np.eye(3))


def test_transform_without_crs_refuses_world_coordinates(make_raster, open_raster):
    image = open_raster(make_raster(picture(), crs=None))
    assert (image.info.domain, image.grid.frame.kind) == ("raster", "index")
    assert image.grid.spacing == (0.5, 0.5)
    prompts = Prompts((Prompt(1, box=(733600, 3725130, 733610, 3725140)),), "world")
    with pytest.raises(PromptError, match="assign a CRS"):
        prompts.to_index(image.grid)


def test_world_boxes_are_edges(make_raster, open_raster):
    image = open_raster(make_raster(picture()))
    prompts = Prompts((Prompt(1, box=(733601, 3725138, 733603, 3725139)),), "world")
    box = prompts.to_index(image.grid).objects[0].box
    np.testing.assert_allclose(box, (2, 2, 6, 4), atol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_are_refused(tmp_path, open_raster):
    path = tmp_path / "gcps.tif"
    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0))]
    with rasterio.open(
        path, "w", driver="GTiff", width=10, height=10, count=1, dtype="uint8",
        gcps=points, crs="EPSG:4326",
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 10, 10), dtype=np.uint8))
    with pytest.raises(GeometryError, match="gdalwarp"):
        open_raster(str(path))


def test_threads_read_at_once(make_raster, open_raster):
    pixels = picture(3, 256, 256)
    image = open_raster(make_raster(pixels, tiled=True, blockxsize=64, blockysize=64))
    regions = [
        Region((r, c), (r + 50, c + 50)) for r in range(0, 200, 20) for c in range(0, 200, 20)
    ]
    with ThreadPoolExecutor(8) as pool:
        blocks = list(pool.map(image.read, regions))
    for region, block in zip(regions, blocks, strict=True):
        np.testing.assert_array_equal(block, pixels[(slice(None), *region.slices)])


def test_closed_image_says_so(make_raster, open_raster):
    image = open_raster(make_raster(picture()))
    image.close()
    with pytest.raises(InputError, match="closed"):
        image.read()


def test_cache_is_bounded(monkeypatch):
    from rasterio._env import get_gdal_config

    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    with gdal():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello, this is text\n" * 9, "gdalinfo"), (None, "no such file")],
)
def test_bad_files(content, words, tmp_path, open_raster):
    path = tmp_path / "bad.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        open_raster(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.97])
def test_truncated_file_fails_when_opened(share, make_raster, tmp_path, open_raster):
    path = make_raster(picture(3, 300, 300), tiled=True, blockxsize=64, blockysize=64)
    whole = (tmp_path / "scene.tif").read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"cut\.tif: .*damaged"):
        open_raster(str(cut))
    assert path


def test_vrt(make_raster, tmp_path, open_raster):
    pixels = picture()
    make_raster(pixels)
    path = tmp_path / "scene.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="20" rasterYSize="10"><SRS>EPSG:32616</SRS>'
        "<GeoTransform>733602, 0.5, 0, 3725137.5, 0, -0.5</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>2</SourceBand>'
        '<SrcRect xOff="4" yOff="5" xSize="20" ySize="10"/>'
        '<DstRect xOff="0" yOff="0" xSize="20" ySize="10"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    image = open_raster(str(path))
    np.testing.assert_array_equal(image.read()[0], pixels[1, 5:15, 4:24])


def test_vsi_paths(make_raster, tmp_path, open_raster):
    import zipfile

    pixels = picture()
    make_raster(pixels)
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
        archive.write(tmp_path / "scene.tif", "scene.tif")
    image = open_raster(f"/vsizip/{tmp_path / 'scene.zip'}/scene.tif")
    np.testing.assert_array_equal(image.read(), pixels)
