from __future__ import annotations

import numpy as np
import pytest
from rasterio.transform import Affine

from samovar.grid import Grid, Region
from samovar.objects import SegmentedObject
from samovar_geo.georeference import centre_affine, frame_of
from samovar_geo.measures import Ellipsoid

EQUATOR, ECCENTRICITY2 = 6378137.0, 0.0066943799901413165


def cap(latitude: float) -> float:
    """Authalic area from the equator to a latitude, a radian of longitude (closed form)."""
    e, s = ECCENTRICITY2**0.5, np.sin(np.radians(latitude))
    q = s / (1 - ECCENTRICITY2 * s**2) + np.arctanh(e * s) / e
    return EQUATOR**2 * (1 - ECCENTRICITY2) / 2 * q


def zone(west: float, south: float, east: float, north: float) -> float:
    """Exact area in m² between two meridians and two parallels of WGS 84."""
    return (cap(north) - cap(south)) * np.radians(east - west)


def grid(crs: str, transform: Affine, shape=(100, 100)) -> Grid:
    import rasterio.crs

    return Grid(shape, centre_affine(transform), frame_of(rasterio.crs.CRS.from_string(crs)))


def test_lonlat_block_has_its_exact_area(build_objects):
    own = grid("EPSG:4326", Affine(0.01, 0, 10.0, 0, -0.01, 60.0))
    mask = np.zeros((100, 100), dtype=bool)
    mask[20:80, 10:90] = True
    found = Ellipsoid(own).measure(build_objects(own, mask).items[0])
    assert found["area_m2"] == pytest.approx(zone(10.1, 59.2, 10.9, 59.8), rel=1e-6)


def test_continental_block_has_its_exact_area(build_objects):
    own = grid("EPSG:4326", Affine(1, 0, -50.0, 0, -1, 80.0))
    found = Ellipsoid(own).measure(build_objects(own, np.ones((100, 100))).items[0])
    assert found["area_m2"] == pytest.approx(zone(-50, -20, 50, 80), rel=1e-4)


def test_web_mercator_is_not_taken_for_metres(build_objects):
    own = grid("EPSG:3857", Affine(0.149, 0, 9519926.1, 0, -0.149, 3202940.8))
    item = build_objects(own, np.ones((100, 100))).items[0]
    found = Ellipsoid(own).measure(item)
    scale = np.cos(np.radians(27.65))
    planar = 14.9**2
    assert found["area_m2"] == pytest.approx(planar * scale**2, rel=0.01)
    assert planar / found["area_m2"] > 1.26
    assert found["perimeter_m"] == pytest.approx(4 * 14.9 * scale, rel=0.01)


def test_holes_are_subtracted(build_objects):
    own = grid("EPSG:32616", Affine(0.5, 0, 500000, 0, -0.5, 3725140))
    full, holed = np.ones((100, 100)), np.ones((100, 100))
    holed[40:60, 40:60] = 0
    first, second = (Ellipsoid(own).measure(build_objects(own, m).items[0]) for m in (full, holed))
    assert second["area_m2"] == pytest.approx(first["area_m2"] * 0.96, rel=1e-6)
    assert second["perimeter_m"] == pytest.approx(first["perimeter_m"] * 1.2, rel=1e-6)


def test_feet(build_objects):
    own = grid("EPSG:2264", Affine(1, 0, 1400000, 0, -1, 600000))
    found = Ellipsoid(own).measure(build_objects(own, np.ones((100, 100))).items[0])
    assert found["area_m2"] == pytest.approx(1e4 * (1200 / 3937) ** 2, rel=1e-3)


def test_antimeridian(build_objects):
    own = grid("EPSG:4326", Affine(0.01, 0, 179.5, 0, -0.01, 1.0))
    found = Ellipsoid(own).measure(build_objects(own, np.ones((100, 100))).items[0])
    assert found["area_m2"] == pytest.approx(zone(0, 0, 1, 1), rel=1e-6)
    utm = grid("EPSG:32660", Affine(1000, 0, 750000, 0, -1000, 5800000))
    found = Ellipsoid(utm).measure(build_objects(utm, np.ones((100, 100))).items[0])
    assert found["area_m2"] == pytest.approx(1e10, rel=0.01)


def test_grads_and_another_meridian(build_objects):
    own = grid("EPSG:4807", Affine(0.0001, 0, 0, 0, -0.0001, 52.0))
    item = build_objects(own, np.ones((100, 100))).items[0]
    expected = zone(0, 51.99 * 0.9, 0.009, 52.0 * 0.9)
    assert Ellipsoid(own).measure(item)["area_m2"] == pytest.approx(expected, rel=1e-3)


def test_columns_of_the_image(make_raster, open_raster, build_objects):
    mask = np.zeros((40, 60), dtype=bool)
    mask[3, 4] = True
    image = open_raster(make_raster(np.ones((40, 60), dtype=np.uint8)))
    sizes = image.measure(build_objects(image.grid, mask).items[0])
    assert list(sizes) == ["pixels", "area_m2", "perimeter_m"]
    assert sizes["pixels"] == 1
    assert sizes["area_m2"] == pytest.approx(0.25, rel=0.01)
    nothing = SegmentedObject(2, Region((0, 0), (0, 0)), b"")
    assert image.measure(nothing) == {"pixels": 0, "area_m2": 0.0, "perimeter_m": 0.0}
    without = open_raster(make_raster(np.ones((40, 60), dtype=np.uint8), crs=None, name="b.tif"))
    assert without.measure(build_objects(without.grid, mask).items[0]) == {"pixels": 1}


def test_pixels_and_polygon_agree(build_objects, geometries):
    """The sum over blocks is what geodesics along the outline give, in every kind of CRS."""
    from samovar_geo.outlines import outline

    rng = np.random.default_rng(3)
    mask = np.zeros((700, 900), dtype=bool)
    mask[40:660, 50:850] = rng.random((620, 800)) < 0.98
    for name, (crs, transform) in geometries.items():
        own = grid(crs, transform, mask.shape)
        item = build_objects(own, mask).items[0]
        ellipsoid = Ellipsoid(own)
        a, b = ellipsoid.measure(item), ellipsoid.measure_polygon(outline(item))
        assert a["area_m2"] == pytest.approx(b["area_m2"], rel=2e-7), name
        assert a["perimeter_m"] == pytest.approx(b["perimeter_m"], rel=2e-6), name


def test_ten_megapixels_of_noise_need_no_polygon(build_objects, monkeypatch):
    """An object of a million rings once took half a minute: one call of PROJ a ring."""
    from pyproj import Geod

    def slow(*_):
        raise AssertionError("geodesics along a ring")

    monkeypatch.setattr(Geod, "polygon_area_perimeter", slow)
    mask = np.random.default_rng(0).random((1000, 1000)) < 0.75
    own = grid("EPSG:32616", Affine(0.5, 0, 733600, 0, -0.5, 3725140), mask.shape)
    found = Ellipsoid(own).measure(build_objects(own, mask).items[0])
    assert found["area_m2"] == pytest.approx(0.25 * mask.sum(), rel=2e-3)
