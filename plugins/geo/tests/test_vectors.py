"""Vector files that GDAL wrote are read by json and sqlite3, geometries decoded by hand."""

from __future__ import annotations

import json
import sqlite3
import struct
from dataclasses import replace

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer
from rasterio.transform import Affine

from samovar.errors import OutputError
from samovar.grid import Region
from samovar.objects import Objects, SegmentedObject
from samovar_geo.vectors import GeoJson, GeoJsonSeq, GeoPackage


def read_gpkg(path, layer="objects"):
    """Rows as dicts, geometries as lists of polygons, polygons as lists of rings; and the SRS."""
    with sqlite3.connect(path) as base:
        base.row_factory = sqlite3.Row
        rows = [dict(row) for row in base.execute(f'SELECT * FROM "{layer}"')]
        srs = base.execute(
            "SELECT s.* FROM gpkg_geometry_columns g JOIN gpkg_spatial_ref_sys s USING (srs_id)"
        ).fetchone()
    for row in rows:
        row["geom"] = gpkg_polygons(row["geom"])
    return rows, dict(srs)


def gpkg_polygons(blob: bytes):
    """Rings of a GeoPackage MultiPolygon blob (little-endian), without any library."""
    assert blob[:2] == b"GP"
    envelope = (blob[3] >> 1) & 7
    at = 8 + {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[envelope]
    order, kind, count = struct.unpack_from("<BII", blob, at)
    assert (order, kind) == (1, 6)
    at += 9
    polygons = []
    for _ in range(count):
        _, part, rings = struct.unpack_from("<BII", blob, at)
        assert part == 3
        at += 9
        polygon = []
        for _ in range(rings):
            (points,) = struct.unpack_from("<I", blob, at)
            polygon.append(np.frombuffer(blob, "<f8", 2 * points, at + 4).reshape(-1, 2))
            at += 4 + 16 * points
        polygons.append(polygon)
    return polygons


def signed_area(ring) -> float:
    x, y = np.asarray(ring, dtype=float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


@pytest.fixture
def scene(make_raster, open_raster, build_objects, geometries):
    """An image and two objects: one pixel, and a block with a hole and an island."""

    def make(name="utm north-up"):
        crs, transform = geometries[name]
        image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=crs, transform=transform))
        dot, block = np.zeros((40, 60), dtype=bool), np.zeros((40, 60), dtype=bool)
        dot[7, 31] = True
        block[10:20, 10:30] = True
        block[13:15, 13:17] = False
        block[30:32, 50] = True
        return image, build_objects(image.grid, dot, block, score=0.9), transform, crs

    return make


CASES = ["utm north-up", "utm south-up", "utm rotated", "utm sheared", "web mercator", "lon/lat",
         "lon/lat south-up", "northing first", "feet"]  # fmt: skip


def corners(transform, left, top, right, bottom):
    matrix = np.array(transform).reshape(3, 3)
    points = np.array([(left, top, 1), (right, top, 1), (right, bottom, 1), (left, bottom, 1)])
    return (points @ matrix.T)[:, :2]


@pytest.mark.parametrize("name", CASES)
def test_gpkg_lies_on_the_pixels(name, scene, tmp_path):
    image, objects, transform, crs = scene(name)
    GeoPackage().write(objects, tmp_path / "o.gpkg", image)
    rows, srs = read_gpkg(tmp_path / "o.gpkg")
    assert (srs["organization"], srs["organization_coordsys_id"]) == ("EPSG", int(crs[5:]))
    (dot,) = rows[0]["geom"]
    expected = shapely.Polygon(corners(transform, 31, 7, 32, 8))
    assert shapely.Polygon(dot[0]).symmetric_difference(expected).area < 1e-6 * expected.area
    assert sorted(len(polygon) for polygon in rows[1]["geom"]) == [1, 2]
    assert [row["label"] for row in rows] == [1, 2]
    assert len({row["id"] for row in rows}) == 2
    assert [row["pixels"] for row in rows] == [1, 194]
    total = sum(shapely.Polygon(p[0], p[1:]).area for p in rows[1]["geom"])
    assert total == pytest.approx(194 * image.grid.pixel_measure, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("writer", [GeoJson, GeoJsonSeq])
def test_geojson_is_lonlat_and_wound_right(name, writer, scene, tmp_path):
    image, objects, transform, crs = scene(name)
    path = tmp_path / ("o.geojson" if writer is GeoJson else "o.geojsonl")
    writer().write(objects, path, image)
    features = read_features(path)
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    expected = np.column_stack(to_lonlat.transform(*corners(transform, 31, 7, 32, 8).T))
    dot = features[0]["geometry"]
    assert dot["type"] == "Polygon"
    found = np.array(dot["coordinates"][0])
    for corner in expected:
        assert np.abs(found - corner).max(axis=1).min() < 2e-8
    assert features[1]["geometry"]["type"] == "MultiPolygon"
    for polygon in [dot["coordinates"], *features[1]["geometry"]["coordinates"]]:
        assert signed_area(polygon[0]) > 0
        assert all(signed_area(ring) < 0 for ring in polygon[1:])
    assert features[0]["properties"]["label"] == 1
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(
        shapely.geometry.shape(features[1]["geometry"])
    )
    assert features[1]["properties"]["area_m2"] == pytest.approx(abs(area), rel=2e-3)


def read_features(path):
    if path.suffix == ".geojson":
        collection = json.loads(path.read_text())
        assert "crs" not in collection
        return collection["features"]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_neighbours_share_their_edge(make_raster, open_raster, build_objects, tmp_path, geometries):
    crs, transform = geometries["utm rotated"]
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=crs, transform=transform))
    left = np.zeros((40, 60), dtype=bool)
    left[:, :23] = True
    GeoPackage().write(build_objects(image.grid, left, ~left), tmp_path / "o.gpkg", image)
    rows, _ = read_gpkg(tmp_path / "o.gpkg")
    one, other = (shapely.Polygon(row["geom"][0][0]) for row in rows)
    assert one.intersection(other).area < 1e-9
    assert one.union(other).area == pytest.approx(40 * 60 * 0.25, rel=1e-9)


def test_attributes_are_carried_over_and_clashes_suffixed(scene, tmp_path):
    image, objects, *_ = scene()
    when = {"ID": 77, "height": 3.5, "levels": 2, "kind": "house", "fid": 5, "note": None}
    items = (
        replace(objects.items[0], attributes=when, name="town hall", class_id=4),
        replace(objects.items[1], attributes={"levels": None, "kind": "shed", "yes": True}),
    )
    GeoPackage().write(Objects(objects.grid, items, objects.provenance), tmp_path / "o.gpkg", image)
    (first, second), _ = read_gpkg(tmp_path / "o.gpkg")
    assert (first["label"], first["ID_prompt"], first["fid_prompt"]) == (1, 77, 5)
    assert (first["name"], first["class"], first["model"]) == ("town hall", 4, "oracle")
    assert (first["height"], first["levels"], first["kind"]) == (3.5, 2, "house")
    assert (second["height"], second["levels"], second["kind"]) == (None, None, "shed")
    assert (first["score"], first["uncertainty"]) == (0.9, 1.0)
    assert first["area_m2"] == pytest.approx(0.25, rel=0.01)
    assert first["perimeter_m"] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("writer", "suffix"), [(GeoPackage, "gpkg"), (GeoJson, "geojson"), (GeoJsonSeq, "geojsonl")]
)
def test_empty_objects_are_dropped_and_counted(writer, suffix, scene, tmp_path, caplog):
    image, objects, *_ = scene()
    nothing = SegmentedObject(3, Region((0, 0), (0, 0)), b"")
    path = tmp_path / f"o.{suffix}"
    writer().write(Objects(objects.grid, (*objects.items, nothing)), path, image)
    assert "1 of 3 objects were not found" in caplog.text
    rows = read_gpkg(path)[0] if suffix == "gpkg" else read_features(path)
    assert len(rows) == 2
    path.unlink()
    writer().write(Objects(objects.grid, (nothing,)), path, image)
    rows = read_gpkg(path)[0] if suffix == "gpkg" else read_features(path)
    assert rows == []


def test_without_crs(make_raster, open_raster, build_objects, tmp_path):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=None))
    objects = build_objects(image.grid, np.eye(40, 60))
    for writer, name in ((GeoJson, "o.geojson"), (GeoJsonSeq, "o.geojsonl")):
        with pytest.raises(OutputError, match="gdal_edit"):
            writer().write(objects, tmp_path / name, image)
        assert not (tmp_path / name).exists()
    GeoPackage().write(objects, tmp_path / "o.gpkg", image)
    rows, srs = read_gpkg(tmp_path / "o.gpkg")
    assert srs["srs_id"] == -1
    assert len(rows[0]["geom"]) == 40


def test_cut_at_the_antimeridian(make_raster, open_raster, build_objects, tmp_path):
    image = open_raster(
        make_raster(np.ones((10, 10), np.uint8), crs="EPSG:32660",
                    transform=Affine(10000, 0, 660000, 0, -10000, 5800000))
    )  # fmt: skip
    GeoJson().write(build_objects(image.grid, np.ones((10, 10))), tmp_path / "o.geojson", image)
    (feature,) = read_features(tmp_path / "o.geojson")
    assert feature["geometry"]["type"] == "MultiPolygon"
    for polygon in feature["geometry"]["coordinates"]:
        longitudes = np.array(polygon[0])[:, 0]
        assert np.ptp(longitudes) < 3


def test_gpkg_tells_where_it_comes_from(scene, tmp_path):
    image, objects, *_ = scene()
    GeoPackage().write(objects, tmp_path / "o.gpkg", image)
    with sqlite3.connect(tmp_path / "o.gpkg") as base:
        metadata = base.execute("SELECT metadata FROM gpkg_metadata").fetchall()
    assert "SAMOVAR_MANIFEST" in metadata[0][0]


def test_unwritable(scene, tmp_path):
    image, objects, *_ = scene()
    for writer, name in ((GeoPackage, "o.gpkg"), (GeoJson, "o.geojson")):
        with pytest.raises(OSError, match="nowhere"):
            writer().write(objects, tmp_path / "nowhere" / name, image)
