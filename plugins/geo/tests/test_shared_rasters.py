"""Real rasters, corner cases among them. Each opens, says the right things and reads."""

from __future__ import annotations

import numpy as np
import pyogrio
import pytest
import rasterio
from pyproj import Geod, Transformer

from samovar.errors import InputError
from samovar.formats import open_image
from samovar.grid import Region
from samovar.intensity import choose_intensity
from samovar_geo.prompts import VectorPrompts
from samovar_geo.raster import RasterImage

pytestmark = [
    pytest.mark.shared,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

MISC, SOLARIS = "georasters_misc", "spacenet_solaris"
# path, CRS, channels, dtype, modality, whether pixels may be missing
CASES = [
    ("fair_banepa_oam/derived_mosaic_5632x4096.tif", "EPSG:3857", 3, "uint8", "rgb", True),
    (f"{MISC}/rasterio/RGB.byte.tif", "EPSG:32618", 3, "uint8", "rgb", True),
    (f"{MISC}/rasterio/RGBA.uint16.tif", "EPSG:32612", 3, "uint16", "rgb", True),
    (f"{MISC}/rasterio/alpha.tif", "EPSG:3857", 3, "uint8", "rgb", True),
    (f"{MISC}/rasterio/cogeo.tif", "EPSG:3857", 3, "uint8", "rgb", True),
    (f"{MISC}/rasterio/float_nan.tif", None, 1, "float32", None, True),
    (f"{MISC}/rasterio/rotated.tif", None, 1, "uint8", None, False),
    (f"{MISC}/rasterio/world.rgb.tif", "EPSG:4326", 3, "uint8", "rgb", False),
    (f"{MISC}/rio-tiler/cog_cmap.tif", "EPSG:3857", 3, "uint8", "rgb", True),
    (f"{MISC}/rio-tiler/cog_dateline.tif", "EPSG:32660", 1, "uint16", None, False),
    (f"{MISC}/rio-tiler/cog_rgb_mask.tif", "EPSG:26913", 3, "uint8", "rgb", True),
    (f"{MISC}/rio-tiler/cog_world.tif", "EPSG:4326", 1, "uint8", None, True),
    (f"{MISC}/vestfold.tif", "EPSG:3031", 1, "float32", None, True),
    ("sen1floods11_sample/S2/Spain_7370579_S2Hand.tif", "EPSG:4326", 3, "int16", "ms", True),
    ("sen1floods11_sample/S1/Spain_7370579_S1Hand.tif", "EPSG:4326", 2, "float32", "sar", True),
    (f"{SOLARIS}/sample_geotiff.tif", "EPSG:32616", 1, "uint16", None, True),
    (f"{SOLARIS}/preproc_tutorial/sar_hh.tif", "EPSG:32631", 1, "float32", "sar", True),
    (f"{SOLARIS}/preproc_tutorial/ms1.tif", "EPSG:32631", 3, "float64", "ms", True),
]


@pytest.mark.parametrize(("path", "crs", "channels", "dtype", "modality", "gaps"), CASES)
def test_what_a_raster_says_of_itself(path, crs, channels, dtype, modality, gaps, shared_rasters):
    with open_image(shared_rasters / path) as image:
        assert image.info.format == "raster"
        assert image.info.domain == "raster"
        assert image.grid.frame.crs == crs
        assert (image.channels, image.dtype) == (channels, np.dtype(dtype))
        assert image.info.modality == modality
        assert (image.valid(size=(32, 32)) is not None) == gaps
        with rasterio.open(shared_rasters / path) as dataset:
            assert image.grid.shape == dataset.shape
            expected = dataset.xy(1, 2)
        np.testing.assert_allclose(image.grid.to_world((2, 1)), expected, rtol=1e-12)
        rows, columns = image.grid.shape
        last = Region((rows - 2, columns - 2), (rows, columns))
        assert image.read(last).shape == (channels, 2, 2)
        small = image.read(size=(min(rows, 64), min(columns, 64)))
        assert (small.shape[0], small.dtype) == (channels, np.dtype(dtype))
        picture = choose_intensity(image).apply(small)
        assert picture.shape[0] == 3
        assert picture.min() >= 0
        assert picture.max() <= 255


def test_every_raster_opens(shared_rasters):
    files = sorted(shared_rasters.rglob("*.tif"))
    assert len(files) >= 30
    refused = {}
    for file in files:
        try:
            open_image(file).close()
        except InputError as error:
            refused[file.name] = str(error)
    assert refused == {}


def test_a_tiff_without_georeference_is_a_picture(shared_rasters):
    with open_image(shared_rasters / SOLARIS / "sample_fp_mask.tif") as image:
        assert (image.info.domain, image.grid.frame.kind) == ("picture", "index")


def test_sentinel_2_is_seen_in_true_colour(shared_rasters):
    path = shared_rasters / "sen1floods11_sample/S2/Spain_7370579_S2Hand.tif"
    with open_image(path) as image:
        assert image.info.channel_names == ("B4", "B3", "B2")


def test_banepa_nodata_corner(shared_rasters):
    with RasterImage(str(shared_rasters / "fair_banepa_oam/derived_mosaic_5632x4096.tif")) as image:
        inside = image.valid()
        pixels = image.read()
    assert 0.5 < inside.mean() < 0.95
    assert pixels[:, ~inside].max() == 0


def test_gigantic_raster_in_bounded_memory(shared_rasters):
    """648 megapixels by windows; GDAL's cache alone would hold them all."""
    resource = pytest.importorskip("resource")
    path = str(shared_rasters / MISC / "rio-tiler/cog_world.tif")
    with RasterImage(path) as image:
        image.read(Region((0, 0), (512, 512)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for top in range(0, 18000 - 512, 512):
            image.read(Region((top, 0), (top + 512, 36000)))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 * 1024


def test_building_footprints_lie_in_their_scene(shared_rasters):
    folder = shared_rasters / SOLARIS
    with RasterImage(str(folder / "sample_geotiff.tif")) as image:
        prompts = VectorPrompts().read_prompts(str(folder / "geotiff_labels.geojson"), image)
        prompts.check(image.grid)
        count = pyogrio.read_info(folder / "geotiff_labels.geojson")["features"]
    assert len(prompts) == count
    boxes = np.array([p.box for p in prompts])
    assert boxes.min() > -1
    assert boxes.max() < 901


def test_a_mercator_square_metre_is_not_a_square_metre(shared_rasters, build_objects):
    """Two roads to the area of a block of the Banepa mosaic: PROJ's metric scale, and samovar."""
    path = str(shared_rasters / "fair_banepa_oam/derived_mosaic_5632x4096.tif")
    with RasterImage(path) as image:
        mask = np.zeros((4096, 5632), dtype=bool)
        mask[3000:3200, 1000:1300] = True
        area = image.measure(build_objects(image.grid, mask).items[0])["area_m2"]
        corners = image.grid.to_world([(999.5, 2999.5), (1299.5, 2999.5), (999.5, 3199.5)])
    to_lonlat = Transformer.from_crs(3857, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*corners.T)
    geod = Geod(ellps="WGS84")
    width = geod.inv(lon[0], lat[0], lon[1], lat[1])[2]
    height = geod.inv(lon[0], lat[0], lon[2], lat[2])[2]
    assert area == pytest.approx(width * height, rel=1e-4)
    planar = 200 * 300 * 0.14929107086948487**2
    print(f"planar {planar:.1f} m², ellipsoidal {area:.1f} m²: {planar / area - 1:+.1%}")
    assert planar / area == pytest.approx(1.27, abs=0.01)
