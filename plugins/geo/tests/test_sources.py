"""Where pixels come from: servers, several files, Sentinel-2 products, parts of scenes."""

from __future__ import annotations

import http.server
import json
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
from pyproj import Geod, Transformer
from rasterio.transform import Affine

from samovar.errors import GeometryError, InputError, UsageError
from samovar.formats import open_image, read_prompts
from samovar.grid import Region
from samovar.intensity import choose_intensity
from samovar.masks import PixelMask
from samovar_geo import area
from samovar_geo.raster import RasterReader

UTM = Affine(0.5, 0, 733600.0, 0, -0.5, 3725140.0)
RNG = np.random.default_rng(5)


@pytest.fixture
def opened():
    """Opens through the host, with options; closes after the test."""
    images = []

    def open_one(path, **options):
        images.append(open_image(path, **options))
        return images[-1]

    yield open_one
    for image in images:
        image.close()


class Ranges(http.server.BaseHTTPRequestHandler):
    """Files of a folder, by ranges; counts the bytes that it gave."""

    folder: Path
    given = 0

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def _answer(self, body):
        file = self.folder / self.path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        first, last = 0, len(data) - 1
        asked = self.headers.get("Range")
        if asked:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            first, last = int(low), min(int(high or last), last)
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        if body:
            type(self).given += last - first + 1
            self.wfile.write(data[first : last + 1])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Its address and its handler; serves ``tmp_path``."""
    handler = type("Handler", (Ranges,), {"folder": tmp_path, "given": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}", handler
        web.shutdown()


def test_a_cog_on_a_server_is_read_by_windows(server, opened, make_raster, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    noise = RNG.integers(0, 255, (3, 2048, 2048)).astype(np.uint8)
    rasterio.shutil.copy(make_raster(noise), tmp_path / "cog.tif", driver="COG", COMPRESS="DEFLATE")
    address, handler = server
    image = opened(f"{address}/cog.tif")
    block = image.read(Region((1000, 900), (1040, 960)))
    np.testing.assert_array_equal(block, noise[:, 1000:1040, 900:960])
    size = (tmp_path / "cog.tif").stat().st_size
    assert handler.given < 0.4 * size
    with pytest.raises(InputError, match="check the address"):
        open_image(f"{address}/none.tif")


def quarters(make_raster, pixels, **profile):
    """Four files that are one raster."""
    side = pixels.shape[-1] // 2
    paths = []
    for r in (0, 1):
        for c in (0, 1):
            part = pixels[:, r * side : (r + 1) * side, c * side : (c + 1) * side]
            transform = UTM @ Affine.translation(c * side, r * side)
            paths.append(make_raster(part, transform=transform, name=f"q{r}{c}.tif", **profile))
    return paths


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_mosaic_is_the_raster(dtype, make_raster, opened):
    pixels = RNG.integers(1, 120, (3, 80, 80)).astype(dtype)
    whole = opened(make_raster(pixels))
    paths = quarters(make_raster, pixels)
    image = opened("mosaic:" + "|".join(paths[::-1]))
    assert image.grid == whole.grid
    assert image.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.read(), pixels)
    wild = str(Path(paths[0]).parent / "q*.tif")
    np.testing.assert_array_equal(opened(f"mosaic:{wild}").read(), pixels)


def test_holes_of_a_mosaic_are_no_data(make_raster, opened):
    """Neither where no file lies, nor where a file on top has nodata over one below."""
    pixels = RNG.integers(1, 120, (1, 80, 80)).astype(np.uint8)
    pixels[0, :40, :40] = 0
    paths = quarters(make_raster, pixels, nodata=0)
    below = make_raster(np.full((1, 20, 20), 9, np.uint8), name="below.tif", nodata=0)
    image = opened("mosaic:" + "|".join([below, *paths[:3]]))
    valid = image.valid()
    assert valid[:20, :20].all()
    assert not valid[20:40, 20:40].any()
    assert not valid[40:, 40:].any()
    assert valid[:40, 40:].all()
    assert (image.read()[0, :20, :20] == 9).all()


def test_what_is_no_mosaic(make_raster):
    one = make_raster(np.ones((1, 9, 9), np.uint8), name="a.tif")
    other = make_raster(np.ones((1, 9, 9), np.uint8), name="b.tif", crs="EPSG:32617")
    more = make_raster(np.ones((2, 9, 9), np.uint8), name="c.tif")
    turned = make_raster(np.ones((1, 9, 9), np.uint8), name="d.tif",
                         transform=UTM @ Affine.rotation(20))  # fmt: skip
    for second, words in ((other, "gdalwarp -t_srs"), (turned, "turned against its CRS")):
        with pytest.raises(GeometryError, match=words):
            open_image(f"mosaic:{one}|{second}")
    with pytest.raises(InputError, match="the files of a mosaic have the same"):
        open_image(f"mosaic:{one}|{more}")
    with pytest.raises(InputError, match=r"none\.tif: there is no such file"):
        open_image(f"mosaic:{one}|none.tif")
    with pytest.raises(InputError, match="no file has such a name"):
        open_image("mosaic:nothing-*.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_points_alone_locate_no_mosaic_either(make_raster):
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0))]
    path = make_raster(np.ones((10, 10), np.uint8), transform=None, crs="EPSG:4326", gcps=points)
    with pytest.raises(GeometryError, match="gdalwarp"):
        open_image(f"mosaic:{path}")


METADATA = """<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="https://x">
<n1:General_Info><Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>
<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST>
</Product_Image_Characteristics></n1:General_Info></n1:Level-2A_User_Product>"""


@pytest.fixture
def product(tmp_path):
    """A Level-2A product of a few pixels: 10 m and 20 m bands, scene classes, metadata."""

    def make(offset=-1000):
        folder = tmp_path / "S2B_MSIL2A_20230101.SAFE"
        images = folder / "GRANULE" / "L2A_T45RVL" / "IMG_DATA"
        values = {}
        for name, metres in (("B02", 10), ("B03", 10), ("B04", 10), ("B08", 10), ("B11", 20),
                             ("SCL", 20)):  # fmt: skip
            place = images / f"R{metres}m"
            place.mkdir(parents=True, exist_ok=True)
            side = 400 // metres
            pixels = RNG.integers(1000, 6000, (side, side)).astype(np.uint16)
            if name == "SCL":
                pixels = np.full((side, side), 4, np.uint8)
                pixels[:5, :5], pixels[5, 5], pixels[6, 6] = 9, 3, 11
            values[name] = pixels
            with rasterio.open(
                place / f"T45RVL_20230101T045159_{name}_{metres}m.jp2", "w", driver="JP2OpenJPEG",
                width=side, height=side, count=1, dtype=pixels.dtype, crs="EPSG:32645",
                transform=Affine(metres, 0, 300000, 0, -metres, 3100000), QUALITY="100",
                REVERSIBLE="YES",
            ) as file:  # fmt: skip
                file.write(pixels, 1)
        offsets = "".join(
            f'<BOA_ADD_OFFSET band_id="{i}">{offset}</BOA_ADD_OFFSET>' for i in range(13)
        )
        (folder / "MTD_MSIL2A.xml").write_text(METADATA.format(offsets=offsets if offset else ""))
        return folder, values

    return make


@pytest.mark.parametrize("offset", [-1000, 0])
def test_a_sentinel_product(offset, product, opened):
    """Reflectances, by the product's own offset; the 20 m band on the 10 m grid."""
    folder, values = product(offset)
    image = opened(folder)
    assert image.info.channel_names == ("B04", "B03", "B02")
    assert image.grid.shape == (40, 40)
    assert image.grid.spacing == (10, 10)
    expected = (values["B04"].astype(float) + offset) / 10000
    np.testing.assert_allclose(image.read()[0], expected, atol=1e-6)
    swir = opened(folder, bands="swir1,nir,B2")
    assert swir.info.channel_names == ("B11", "B08", "B02")
    mean = ((values["B11"].astype(float) + offset) / 10000).mean()
    assert swir.read()[0].mean() == pytest.approx(mean, rel=0.02)
    ndvi = opened(folder, bands="ndvi")
    nir, red = ((values[b].astype(float) + offset) / 10000 for b in ("B08", "B04"))
    np.testing.assert_allclose(ndvi.read()[0], (nir - red) / (nir + red), atol=1e-5)


def test_scene_classes(product, opened):
    folder, _ = product()
    valid = opened(folder).valid()
    assert not valid[:10, :10].any()
    assert not valid[10:12, 10:12].any()
    assert valid[12:14, 12:14].all()
    assert opened(folder, scl_mask="9").valid()[10:12, 10:12].all()
    assert opened(folder, scl_mask="none").valid().all()
    with pytest.raises(UsageError, match="classes 0…11"):
        open_image(folder, scl_mask="cloud")


def test_a_zipped_product(product, opened, tmp_path):
    folder, _ = product()
    with zipfile.ZipFile(tmp_path / "p.SAFE.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(tmp_path))
    np.testing.assert_array_equal(opened(tmp_path / "p.SAFE.zip").read(), opened(folder).read())


def test_half_a_product(product, tmp_path):
    folder, _ = product()
    (folder / "MTD_MSIL2A.xml").unlink()
    with pytest.raises(InputError, match="not a whole Sentinel-2 product"):
        open_image(folder)


def test_a_stack_of_ten_and_twenty_metres(make_raster, opened):
    fine = RNG.integers(0, 9, (1, 40, 40)).astype(np.uint16)
    coarse = RNG.integers(0, 9, (1, 20, 20)).astype(np.uint16)
    a = make_raster(fine, name="x_B04.tif", transform=Affine(10, 0, 300000, 0, -10, 3100000))
    b = make_raster(coarse, name="x_B11_20m.tif", transform=Affine(20, 0, 300000, 0, -20, 3100000))
    c = make_raster(coarse.astype(np.uint8), name="x_SCL_20m.tif",
                    transform=Affine(20, 0, 300000, 0, -20, 3100000))  # fmt: skip
    image = opened(f"stack:{a}|{b}|{c}", bands="B4,B11,SCL")
    assert image.info.channel_names == ("B04", "B11", "SCL")
    block = image.read()
    np.testing.assert_array_equal(block[0], fine[0])
    np.testing.assert_array_equal(block[2], np.kron(coarse[0], np.ones((2, 2))))


@pytest.mark.parametrize(
    ("stored", "factor"), [("complex64", 20), ("float32", 10), ("uint16", 20), ("already", None)]
)
def test_decibels(stored, factor, make_raster, opened):
    power = RNG.uniform(0.01, 0.5, (2, 30, 30)).astype(np.float32)
    pixels = {"complex64": power.astype(np.complex64), "float32": power,
              "uint16": (power * 1000).astype(np.uint16),
              "already": 10 * np.log10(power)}[stored]  # fmt: skip
    image = opened(make_raster(pixels, names=("VV", "VH")), bands="sar")
    assert image.info.modality == "sar"
    co, _, ratio = image.read()
    values = pixels.real.astype(float)
    expected = values if factor is None else factor * np.log10(values)
    np.testing.assert_allclose(co, expected[0], atol=1e-3)
    np.testing.assert_allclose(ratio, expected[0] - expected[1], atol=1e-3)


def test_the_logarithm_of_nothing_is_no_data(make_raster, opened):
    pixels = np.full((1, 9, 9), 0.1, np.float32)
    pixels[0, 4, 4] = 0
    image = opened(make_raster(pixels, names=("VV",)), bands="db:VV")
    assert image.valid().sum() == 80
    assert choose_intensity(image).apply(image.read()).max() <= 255


def test_bands_by_name_and_by_formula(make_raster, opened):
    pixels = RNG.integers(1, 200, (4, 9, 9)).astype(np.uint8)
    path = make_raster(pixels, names=("blue", "green", "red", "nir"))
    np.testing.assert_array_equal(opened(path, bands="nir,red,green").read(), pixels[[3, 2, 1]])
    a, b = pixels[3].astype(float), pixels[2].astype(float)
    np.testing.assert_allclose(opened(path, bands="nd:4:3").read()[0], (a - b) / (a + b), rtol=1e-5)
    np.testing.assert_allclose(opened(path, bands="ratio:4:3").read()[0], a / b, rtol=1e-5)
    with pytest.raises(UsageError, match="called blue, green, red, nir"):
        open_image(path, bands="nbr")


def test_stretch(make_raster, opened):
    ramp = np.tile(np.arange(1000, dtype=np.uint16), (1, 10, 1))
    path = make_raster(ramp)
    limits = {
        "2,98": (20, 979), "0:500": (0, 500), "none": (0, 255), None: (20, 979),
    }  # fmt: skip
    for text, (low, high) in limits.items():
        step = choose_intensity(opened(path, stretch=text))
        assert (step.channels[0].low, step.channels[0].high) == pytest.approx((low, high), abs=1.5)
    bytes_ = opened(make_raster(np.tile(np.arange(200, dtype=np.uint8), (1, 9, 1)), name="b.tif"),
                    stretch="10,90")  # fmt: skip
    assert choose_intensity(bytes_).channels[0].high == pytest.approx(179, abs=1)
    three = opened(make_raster(np.repeat(ramp, 3, axis=0), name="c.tif"), stretch="0:1,0:2,0:3")
    assert [s.high for s in choose_intensity(three).channels] == [1, 2, 3]
    for wrong in ("98,2", "5", "a:b", "0:1,0:1,0:1,0:1"):
        with pytest.raises(UsageError, match="--stretch"):
            open_image(path, stretch=wrong)


def test_the_stretch_is_that_of_the_scene_not_of_the_part(make_raster, opened, monkeypatch):
    """One homogeneous scene must not reach the model with another brightness in every tile."""
    monkeypatch.setattr(area, "MARGIN", 4)
    ramp = np.tile(np.arange(1000, dtype=np.uint16), (1, 1000, 1))
    path = make_raster(ramp)
    whole = choose_intensity(opened(path))
    part = opened(path, bbox="733600,3725040,733620,3725060")
    assert part.grid.shape[1] < 60
    assert choose_intensity(part).channels == whole.channels


def test_a_scene_without_overviews_is_sampled_not_read(make_raster, opened, monkeypatch):
    from samovar_geo import raster

    monkeypatch.setattr(raster, "CHEAP_PIXELS", 1000)
    ramp = np.tile(np.arange(2000, dtype=np.uint16), (1, 2000, 1))
    image = opened(make_raster(ramp))
    own, read = raster.RasterImage._read, []

    def counted(self, dataset, window, shape, method):
        read.append(window.width * window.height)
        return own(self, dataset, window, shape, method)

    monkeypatch.setattr(raster.RasterImage, "_read", counted)
    step = choose_intensity(image)
    assert sum(read) < 0.1 * 2000 * 2000
    assert step.channels[0].low == pytest.approx(40, abs=40)


def test_bbox_keeps_the_tiles_of_the_whole(make_raster, opened, monkeypatch):
    """What is found does not depend on the extent: same pixels, same lattice."""
    monkeypatch.setattr(area, "MARGIN", 16)
    noise = RNG.integers(0, 255, (1, 400, 400)).astype(np.uint8)
    path = make_raster(noise)
    part = opened(path, bbox="733650,3725040,733700,3725090")
    assert part.origin == (84, 84)
    top, left = part.origin
    rows, columns = part.grid.shape
    np.testing.assert_array_equal(part.read()[0], noise[0, top : top + rows, left : left + columns])
    np.testing.assert_allclose(part.grid.to_world((0, 0)), opened(path).grid.to_world((left, top)))
    assert part.shown == Region((16, 16), (116, 116))
    lonlat = Transformer.from_crs("EPSG:32616", 4326, always_xy=True)
    west, south = lonlat.transform(733650, 3725040)
    east, north = lonlat.transform(733700, 3725090)
    same = opened(path, bbox=f"{west},{south},{east},{north}", bbox_crs="EPSG:4326")
    assert np.abs(np.array(same.shown.shape) - 100).max() <= 8


def test_prompts_beyond_the_area_are_left_out(make_raster, opened, tmp_path, caplog):
    """They lie on the margin that is read for the neighbours' sake."""
    path = make_raster(np.ones((1, 400, 400), np.uint8))
    boxes = [shapely.box(*(UTM @ (x, 120)), *(UTM @ (x + 10, 100))) for x in (100, 300)]
    features = [
        {"type": "Feature", "properties": {"name": n}, "geometry": shapely.geometry.mapping(b)}
        for n, b in zip("ab", boxes, strict=True)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    collection["crs"] = {"type": "name", "properties": {"name": "EPSG:32616"}}
    (tmp_path / "p.geojson").write_text(json.dumps(collection))
    image = opened(path, bbox="733640,3725070,733665,3725100")
    prompts = read_prompts(tmp_path / "p.geojson", image)
    assert [p.name for p in prompts] == ["a"]
    assert "1 of 2 features lie outside" in caplog.text


def test_what_lies_outside_is_not_looked_at(make_raster, opened, monkeypatch, tmp_path):
    monkeypatch.setattr(area, "MARGIN", 100)
    path = make_raster(np.ones((1, 400, 400), np.uint8))
    corners = [(100, 100), (200, 100), (100, 200)]
    world = [UTM @ c for c in corners]
    to_lonlat = Transformer.from_crs("EPSG:32616", 4326, always_xy=True)
    triangle = shapely.Polygon([to_lonlat.transform(*p) for p in world])
    (tmp_path / "aoi.geojson").write_text(json.dumps(shapely.geometry.mapping(triangle)))
    image = opened(path, aoi=str(tmp_path / "aoi.geojson"))
    y, x = image.origin
    assert image.blank(Region((0, 0), (90, 90)))
    assert image.blank(Region((190 - y, 190 - x), (199 - y, 199 - x)))
    assert not image.blank(Region((150 - y, 100 - x), (160 - y, 110 - x)))
    dot = PixelMask.of(np.ones((2, 2), dtype=bool), (120 - y, 120 - x))
    far = PixelMask.of(np.ones((2, 2), dtype=bool), (190 - y, 190 - x))
    assert image.wanted(dot)
    assert not image.wanted(far)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bbox": "1,2,3"}, "xmin,ymin,xmax,ymax"),
        ({"bbox": "3,2,1,4"}, "minimum must be below"),
        ({"bbox": "0,0,1,1"}, "lies outside"),
        ({"bbox": "0,0,1,1", "aoi": "x.gpkg"}, "not both"),
        ({"bbox": "0,0,1,1", "bbox_crs": "EPSG:none"}, "coordinate reference system"),
        ({"aoi": "none.gpkg"}, "no such file"),
        ({"gsd": 1e6}, "give a size between"),
        ({"gsd": -1.0}, "give a size between"),
        ({"scl_mask": "3"}, "Sentinel-2 products"),
    ],
)
def test_areas_that_cannot_be(options, words, make_raster):
    with pytest.raises(InputError, match=words):
        RasterReader().open(make_raster(np.ones((40, 40), np.uint8)), **options)


def test_without_crs_there_are_no_metres_and_no_other_crs(make_raster):
    path = make_raster(np.ones((40, 40), np.uint8), crs=None)
    with pytest.raises(UsageError, match="nobody knows how long its pixels are"):
        RasterReader().open(path, gsd=1.0)
    with pytest.raises(UsageError, match="has no CRS"):
        RasterReader().open(path, bbox="0,0,1,1", bbox_crs="EPSG:4326")
    RasterReader().open(path, bbox="733601,3725125,733610,3725135").close()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [("EPSG:32616", UTM), ("EPSG:4326", Affine(1e-5, 0, 24.0, 0, -1e-5, 60.0)),
     ("EPSG:3857", Affine(0.5, 0, 2671667, 0, -0.5, 8399737))],
)  # fmt: skip
@pytest.mark.parametrize("gsd", [0.3, 2.0])
def test_gsd_is_metres_on_the_ground_both_ways(crs, transform, gsd, make_raster, opened):
    """A degree of longitude in Helsinki is half a degree of latitude."""
    image = opened(make_raster(np.ones((1, 300, 300), np.uint8), crs=crs, transform=transform),
                   gsd=gsd)  # fmt: skip
    rows, columns = image.grid.shape
    to_lonlat = Transformer.from_crs(crs, 4326, always_xy=True)
    middle = [
        to_lonlat.transform(*image.grid.to_world((columns // 2 + x, rows // 2 + y)))
        for x, y in ((0, 0), (1, 0), (0, 1))
    ]
    for other in middle[1:]:
        metres = Geod(ellps="WGS84").inv(*middle[0], *other)[2]
        assert metres == pytest.approx(gsd, rel=0.02)
    whole = opened(make_raster(np.ones((1, 300, 300), np.uint8), crs=crs, transform=transform,
                               name="w.tif"))  # fmt: skip
    a, b = (np.array(i.grid.box_to_world((0, 0, *i.grid.shape[::-1]))) for i in (image, whole))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(b).max())


def test_tiles_of_a_resampled_scene_fit_together(make_raster, opened):
    from scipy import ndimage

    scene = ndimage.gaussian_filter(RNG.random((400, 400)) * 255, 3).astype(np.uint8)[None]
    image = opened(make_raster(scene), gsd=1.3)
    whole = image.read()
    rows, columns = image.grid.shape
    tile = image.read(Region((40, 30), (90, 95)))
    assert np.abs(tile.astype(int) - whole[:, 40:90, 30:95]).max() <= 1
    assert whole.shape[1:] == (rows, columns)


def test_blocks_that_were_never_written_are_blank(tmp_path, opened):
    path = tmp_path / "sparse.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=2048, height=2048, count=1, dtype="uint8", tiled=True,
        blockxsize=256, blockysize=256, sparse_ok=True, nodata=0, crs="EPSG:32616", transform=UTM,
    ) as file:  # fmt: skip
        file.write(np.ones((256, 256), np.uint8), 1,
                   window=rasterio.windows.Window(512, 512, 256, 256))  # fmt: skip
    image = opened(path)
    assert image.blank(Region((0, 0), (512, 512)))
    assert not image.blank(Region((0, 0), (513, 513)))
    assert image.blank(Region((768, 0), (2048, 2048)))
    with rasterio.open(path, "r+") as file:
        file.nodata = None
    assert not opened(path).blank(Region((0, 0), (512, 512)))


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_without_an_opaque_pixel_are_blank(interleave, tmp_path, opened):
    path = tmp_path / "drone.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=1024, height=1024, count=4, dtype="uint8", tiled=True,
        blockxsize=256, blockysize=256, sparse_ok=True, crs="EPSG:32616", transform=UTM,
        photometric="rgb", alpha="yes", interleave=interleave,
    ) as file:  # fmt: skip
        file.write(np.full((4, 256, 256), 255, np.uint8),
                   window=rasterio.windows.Window(512, 512, 256, 256))  # fmt: skip
    image = opened(path)
    assert image.blank(Region((0, 0), (512, 512)))
    assert not image.valid(Region((0, 0), (512, 512))).any()
    assert not image.blank(Region((0, 0), (513, 513)))
