"""Where things are, on rasters, through the whole pipeline.

A scene of labels is written in every orientation; a model that cannot be wrong finds the objects
at boxes and points given in the world; what is written is read by other libraries than those that
wrote it (TIFF tags by Pillow, GeoPackage by sqlite3, GeoJSON by json), and compared with what
follows from the transform by plain arithmetic.
"""

from __future__ import annotations

import json
import sqlite3
from itertools import product

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from oracle import OracleModel
from samovar import api

pytest.importorskip("samovar_geo")
rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pyproj = pytest.importorskip("pyproj")

ORIGINS = {
    "EPSG:32616": (733600.0, 3725140.0, 0.5),
    "EPSG:3857": (9519926.1, 3202940.8, 0.149),
    "EPSG:4326": (-0.78, 38.12, 9e-5),
    "EPSG:31466": (2544000.0, 5700000.0, 0.4),  # its authority puts northing first
    "EPSG:2264": (1400000.0, 600000.0, 1.0),  # feet
    "EPSG:3031": (2301440.0, 495688.0, 32.0),  # polar
}
SHAPES = {
    "plain": np.array([[1, 0], [0, -1]]),
    "anisotropic": np.array([[1, 0], [0, -1.7]]),
    "rotated": np.array([[0.866, 0.5], [0.5, -0.866]]),
    "sheared": np.array([[1, 0.2], [0.1, -1]]),
}
ORIENTATIONS = list(product((False, True), repeat=3))
"""Transposed, flipped along y, flipped along x: all eight."""


def scene() -> np.ndarray:
    """Labels 1…6: a block, an L, a ring with an island, and single pixels, two in corners."""
    labels = np.zeros((70, 90), dtype=np.uint8)
    labels[8:20, 10:30] = 1
    labels[30:60, 6:12] = labels[54:60, 6:26] = 2
    labels[30:50, 50:72] = 3
    labels[35:45, 55:67] = 0
    labels[39:41, 60:62] = 3
    labels[10, 60] = 4
    labels[0, 89] = 5
    labels[69, 0] = 6
    return labels


def oriented(labels, orientation, name, crs):
    """The same scene on the same ground with its pixels stored in another order.

    Returns the array and the 3×3 corner-anchored transform that goes with it.
    """
    x, y, step = ORIGINS[crs]
    matrix = np.eye(3)
    matrix[:2, :2] = SHAPES[name] * step
    matrix[:2, 2] = x, y
    transposed, flip_y, flip_x = orientation
    if transposed:
        labels, matrix = labels.T, matrix[:, [1, 0, 2]]
    rows, columns = labels.shape
    if flip_y:
        labels, matrix = labels[::-1], matrix @ [[1, 0, 0], [0, -1, rows], [0, 0, 1]]
    if flip_x:
        labels, matrix = labels[:, ::-1], matrix @ [[-1, 0, columns], [0, 1, 0], [0, 0, 1]]
    return np.ascontiguousarray(labels), matrix


def write_scene(path, labels, matrix, crs, **profile):
    transform = rasterio.transform.Affine(*matrix[:2].ravel())
    with rasterio.open(
        path, "w", driver="GTiff", width=labels.shape[1], height=labels.shape[0], count=1,
        dtype="uint8", crs=crs, transform=transform, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(labels, 1)


def outlines(labels, matrix) -> dict[int, object]:
    """World outline of every object: its pixels' squares, one by one, united."""
    found = {}
    for value in range(1, labels.max() + 1):
        rows, columns = np.nonzero(labels == value)
        squares = [
            shapely.Polygon(world(matrix, [(c, r), (c + 1, r), (c + 1, r + 1), (c, r + 1)]))
            for r, c in zip(rows, columns, strict=True)
        ]
        found[value] = shapely.union_all(squares)
    return found


def world(matrix, corners) -> np.ndarray:
    points = np.column_stack([np.asarray(corners, dtype=float), np.ones(len(corners))])
    return (points @ np.asarray(matrix).T)[:, :2]


def tiff_transform(path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and corner-anchored 3×3 transform of a TIFF by its raw tags."""
    with Pillow.open(path) as file:
        pixels, tags = np.array(file), dict(file.tag_v2)
    if 34264 in tags:
        full = np.array(tags[34264]).reshape(4, 4)
        matrix = full[np.ix_([0, 1, 3], [0, 1, 3])]
    else:
        (sx, sy, _), (i, j, _, x, y, _) = tags[33550], tags[33922]
        matrix = np.array([[sx, 0, x - i * sx], [0, -sy, y + j * sy], [0, 0, 1.0]])
    keys = tags[34735]
    if {keys[i]: keys[i + 3] for i in range(4, len(keys), 4)}.get(1025) == 2:
        matrix = matrix @ [[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]
    return pixels, matrix


def gpkg_outlines(path) -> tuple[dict[int, object], int]:
    """Label → geometry, and the SRS, out of SQLite; only the WKB itself goes to shapely."""
    found = {}
    with sqlite3.connect(path) as base:
        for id, blob in base.execute("SELECT label, geom FROM objects"):
            envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[(blob[3] >> 1) & 7]
            found[id] = shapely.from_wkb(blob[8 + envelope :])
        (srs,) = base.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchone()
    return found, srs


def off_by(one, other) -> float:
    """Share of the area in which two outlines differ."""
    return one.symmetric_difference(other).area / other.area


CASES = [
    *product(ORIENTATIONS, SHAPES, ("EPSG:32616", "EPSG:3857", "EPSG:4326")),
    *product(ORIENTATIONS[::7], ("plain", "rotated"), ("EPSG:31466", "EPSG:2264", "EPSG:3031")),
]


@pytest.fixture(scope="module", autouse=True)
def count():
    yield
    print(f"\n{len(CASES)} orientations of rasters")


@pytest.mark.parametrize(("orientation", "shape", "crs"), CASES)
def test_every_orientation(orientation, shape, crs, tmp_path):
    labels, matrix = oriented(scene(), orientation, shape, crs)
    write_scene(tmp_path / "scene.tif", labels, matrix, crs)
    truth = outlines(labels, matrix)

    boxes = {str(value): outline.bounds for value, outline in truth.items()}
    found = api.segment(
        tmp_path / "scene.tif", model=OracleModel(), boxes=boxes, space="world", modality="gray"
    )
    np.testing.assert_array_equal(found.labels(), labels)
    for name in ("o.tif", "o.gpkg", "o.geojson"):
        found.save(tmp_path / name)

    pixels, written = tiff_transform(tmp_path / "o.tif")
    np.testing.assert_array_equal(pixels, labels)
    np.testing.assert_allclose(written, matrix, rtol=1e-14, atol=1e-12)

    polygons, srs = gpkg_outlines(tmp_path / "o.gpkg")
    assert srs == int(crs.removeprefix("EPSG:"))
    assert max(off_by(polygons[value], truth[value]) for value in truth) < 1e-5

    features = json.loads((tmp_path / "o.geojson").read_text())["features"]
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for feature in features:
        value = feature["properties"]["label"]
        expected = np.column_stack(to_lonlat.transform(*np.array(truth[value].centroid.coords).T))
        centre = np.array(shapely.geometry.shape(feature["geometry"]).centroid.coords)
        np.testing.assert_allclose(centre, expected, atol=1e-6)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shape", ["plain", "rotated"])
def test_world_points_hit_single_pixels(orientation, shape, tmp_path):
    labels, matrix = oriented(scene(), orientation, shape, "EPSG:32616")
    write_scene(tmp_path / "scene.tif", labels, matrix, "EPSG:32616")
    points = {}
    for value in (4, 5, 6):
        ((row, column),) = np.argwhere(labels == value)
        # Anywhere inside the pixel will do: here near its first corner, and near its last.
        for name, inside in (("first", 0.05), ("last", 0.95)):
            corner = (column + inside, row + inside)
            points[f"{value} {name}"] = [tuple(world(matrix, [corner])[0])]
    found = api.segment(
        tmp_path / "scene.tif", model=OracleModel(), points=points, space="world", modality="gray"
    )
    for item in found:
        ((row, column),) = np.argwhere(labels == int(item.name[0]))
        assert (item.region.start, item.region.stop) == ((row, column), (row + 1, column + 1))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_polygons_that_were_written_prompt_the_same_objects(orientation, tmp_path):
    """Out to lon/lat and in again: the boxes are those of the objects."""
    labels, matrix = oriented(scene(), orientation, "rotated", "EPSG:32616")
    write_scene(tmp_path / "scene.tif", labels, matrix, "EPSG:32616")
    boxes = {}
    for value, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        boxes[str(value)] = (columns.start, rows.start, columns.stop, rows.stop)
    with api.open(tmp_path / "scene.tif") as image:
        first = api.segment(image, model=OracleModel(), boxes=boxes, modality="gray")
        first.save(tmp_path / "o.geojson")
        again = api.segment(
            image, model=OracleModel(), prompts=tmp_path / "o.geojson", modality="gray"
        )
    for item, name in zip(again, boxes, strict=True):
        np.testing.assert_allclose(item.prompt.box, boxes[name], atol=0.02)
    np.testing.assert_array_equal(again.labels(), labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_tiles(orientation, tmp_path):
    """Larger than one view: objects on seams and corners of tiles, and one that spans many."""
    rng = np.random.default_rng(3)
    labels = np.zeros((900, 1300), dtype=np.uint8)
    for value, (row, column) in enumerate(product(range(60, 900, 160), range(40, 1300, 160)), 1):
        height, width = rng.integers(1, 110, 2)
        labels[row : row + height, column : column + width] = value
    labels[150:750, 1280:1290] = 200
    labels, matrix = oriented(labels, orientation, "plain", "EPSG:32616")
    write_scene(tmp_path / "scene.tif", labels, matrix, "EPSG:32616", tiled=True)
    values = [v for v in np.unique(labels) if v]
    slices = ndimage.find_objects(labels)
    boxes = {}
    for value in values:
        rows, columns = slices[value - 1]
        corners = world(matrix, [(columns.start, rows.start), (columns.stop, rows.stop)])
        boxes[str(value)] = (*corners.min(axis=0), *corners.max(axis=0))
    found = api.segment(
        tmp_path / "scene.tif", model=OracleModel(), boxes=boxes, space="world", modality="gray"
    )
    found.save(tmp_path / "o.tif")
    pixels, written = tiff_transform(tmp_path / "o.tif")
    np.testing.assert_array_equal(written, matrix)
    numbers = np.concatenate([[0], values])
    np.testing.assert_array_equal(numbers[pixels], labels)


def test_centre_anchored_geotiff(tmp_path):
    """A GeoTIFF whose tie point means a pixel's centre lands on the same ground."""
    labels, matrix = oriented(scene(), (False, False, False), "plain", "EPSG:32616")
    write_scene(tmp_path / "area.tif", labels, matrix, "EPSG:32616")
    with rasterio.open(tmp_path / "area.tif") as area:
        profile = area.profile
    with rasterio.open(tmp_path / "point.tif", "w", **profile) as point:
        point.update_tags(AREA_OR_POINT="Point")
        point.write(labels, 1)
    with Pillow.open(tmp_path / "point.tif") as file:
        raw = file.tag_v2[33922][3:5]
    assert raw == pytest.approx(world(matrix, [(0.5, 0.5)])[0])
    boxes = {"dot": outlines(labels, matrix)[4].bounds}
    found = api.segment(
        tmp_path / "point.tif", model=OracleModel(), boxes=boxes, space="world", modality="gray"
    )
    assert found.items[0].region.start == (10, 60)
    found.save(tmp_path / "o.tif")
    np.testing.assert_allclose(tiff_transform(tmp_path / "o.tif")[1], matrix, rtol=1e-14)


@pytest.mark.parametrize(("anchor", "shift"), [("corner", 0.0), ("center", 0.5)])
def test_ascii_grid_of_either_anchor(anchor, shift, tmp_path):
    """The same ground by ``xllcorner`` and by ``xllcenter``, from a file written by hand."""
    labels = scene()
    rows, columns = labels.shape
    header = [
        f"ncols {columns}",
        f"nrows {rows}",
        f"xll{anchor} {1000 + 2 * shift}",
        f"yll{anchor} {500 + 2 * shift}",
        "cellsize 2",
    ]
    lines = [" ".join(map(str, row)) for row in labels.tolist()]
    (tmp_path / "scene.asc").write_text("\n".join(header + lines) + "\n")
    (tmp_path / "scene.prj").write_text(pyproj.CRS("EPSG:32616").to_wkt("WKT1_ESRI"))
    box = (1000 + 2 * 60, 500 + 2 * (rows - 11), 1000 + 2 * 61, 500 + 2 * (rows - 10))
    with api.open(tmp_path / "scene.asc") as image:
        assert image.grid.box_to_index(box) == pytest.approx((60, 10, 61, 11))
        found = api.segment(
            image, model=OracleModel(), boxes={"dot": box}, space="world", modality="gray"
        )
    found.save(tmp_path / "o.gpkg")
    polygons, _ = gpkg_outlines(tmp_path / "o.gpkg")
    assert polygons[1].bounds == pytest.approx(box)


TOWN = {"seed": 11, "size": (800, 900), "gsd": 0.25, "nodata": "corner"}
TOWNS = [
    {"crs": "EPSG:32633"},
    {"crs": "EPSG:32633", "rotation": 25.0},
    {"crs": "EPSG:32633", "south_up": True},
    {"crs": "EPSG:32633", "rotation": -40.0, "south_up": True},
    {"crs": "EPSG:3857", "rotation": 10.0},
    {"crs": "EPSG:4326"},
    {"crs": "EPSG:4326", "south_up": True},
]


@pytest.fixture(scope="module")
def town_pixels():
    """Bands and instance ids: one seed is one ground, wherever the CRS puts it."""
    scenes = pytest.importorskip("samovar_datasets.scenes")
    town = scenes.Scene(**TOWN)
    return town.read(0, 0, *town.size), town.labels(0, 0, *town.size)


@pytest.mark.parametrize("place", TOWNS, ids=lambda place: "-".join(map(str, place.values())))
def test_buildings_of_a_generated_town(place, town_pixels, tmp_path):
    """Polygons lie on the generator's own outlines, which were never made of pixels."""
    scenes = pytest.importorskip("samovar_datasets.scenes")
    town = scenes.Scene(**TOWN, **place)
    pixels, ids = town_pixels
    buildings = _whole_buildings(town, ids)
    assert len(buildings) > 20
    shown = np.zeros(ids.shape, dtype=np.uint8)
    for value, building in enumerate(buildings, start=1):
        shown[ids == building.id] = value
    _write_town(tmp_path / "town.tif", np.concatenate([pixels, shown[None]]), town)
    outlines_there = [shapely.Polygon(town.to_world(b.outline)) for b in buildings]
    _write_lonlat(tmp_path / "houses.geojson", outlines_there, place["crs"])

    with api.open(tmp_path / "town.tif", bands="4") as image:
        found = api.segment(
            image, model=OracleModel(), prompts=tmp_path / "houses.geojson", modality="gray"
        )
        assert (image.valid() == town.valid(0, 0, *town.size)).all()
    np.testing.assert_array_equal(found.labels(), shown)
    found.save(tmp_path / "o.gpkg")
    polygons, _ = gpkg_outlines(tmp_path / "o.gpkg")
    scale = np.sqrt(abs(np.linalg.det(np.array(town.transform).reshape(2, 3)[:, :2])))
    shifts = [
        np.subtract(polygons[i].centroid.coords[0], outline.centroid.coords[0]) / scale
        for i, outline in enumerate(outlines_there, start=1)
    ]
    print(f"{len(shifts)} buildings, mean shift {np.mean(shifts, axis=0).round(3)} pixels")
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.1
    worst = max(off_by(polygons[i], outline) for i, outline in enumerate(outlines_there, start=1))
    assert worst < 0.15


def _whole_buildings(town, ids):
    """Buildings that nothing hides: their labels cover their outlines, alone in their boxes."""
    kept = []
    for one in town.truth():
        low, high = np.floor(one.outline.min(axis=0)), np.ceil(one.outline.max(axis=0))
        inside = (low >= 0).all() and (high <= np.array(town.size[::-1])).all()
        if one.kind != "building" or not inside:
            continue
        block = ids[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
        share = np.count_nonzero(block == one.id) / shapely.Polygon(one.outline).area
        if 0.97 < share < 1.03 and len(kept) < 255:
            kept.append(one)
    return kept


def _write_town(path, pixels, town):
    with rasterio.open(
        path, "w", driver="GTiff", width=town.size[1], height=town.size[0], count=len(pixels),
        dtype="uint8", crs=town.crs, transform=rasterio.transform.Affine(*town.transform),
        tiled=True, photometric="rgb", alpha="unspecified",
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.write_mask(town.valid(0, 0, *town.size))


def _write_lonlat(path, polygons, crs):
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": shapely.geometry.mapping(
                shapely.transform(p, lambda xy: np.column_stack(to_lonlat.transform(*xy.T)))
            ),
        }
        for p in polygons
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
