from __future__ import annotations

import json

import numpy as np
import pyogrio.raw
import pytest
import shapely
from pyproj import Transformer
from rasterio.transform import Affine

from samovar.errors import PromptError
from samovar_geo.prompts import VectorPrompts
from samovar_geo.vectors import GeoPackage


@pytest.fixture
def image(make_raster, open_raster):
    """60 × 40 pixels of half a metre, UTM."""
    return open_raster(make_raster(np.ones((40, 60), np.uint8)))


@pytest.fixture
def write_layer(tmp_path):
    """Writes shapely geometries and columns to a vector file; returns its path as text."""

    drivers = {
        "gpkg": "GPKG",
        "geojson": "GeoJSON",
        "geojsonl": "GeoJSONSeq",
        "shp": "ESRI Shapefile",
        "fgb": "FlatGeobuf",
    }

    def write(shapes, crs="EPSG:32616", name="prompts.gpkg", layer=None, columns=None):
        columns = columns or {}
        driver = drivers[name.split(".")[1]]
        pyogrio.raw.write(
            tmp_path / name,
            shapely.to_wkb(np.array(shapes, dtype=object)),
            [
                np.array(v, dtype=object if isinstance(v[0], str) else None)
                for v in columns.values()
            ],
            np.array(list(columns), dtype=object),
            driver=driver,
            crs=crs,
            layer=layer,
            geometry_type="Polygon" if driver == "ESRI Shapefile" else "Unknown",
        )
        return str(tmp_path / name)

    return write


def _array(values):
    return np.array(values, dtype=object if isinstance(values[0], str) else None)


def read(path, image, **options):
    return VectorPrompts(**options).read_prompts(path, image)


def pixel_box(left, top, right, bottom):
    """World box whose edges are those of pixels left … right − 1, top … bottom − 1."""
    x, y, step = 733600, 3725140, 0.5
    return shapely.box(x + step * left, y - step * bottom, x + step * right, y - step * top)


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_polygons_give_exact_boxes(suffix, image, write_layer):
    triangle = shapely.Polygon([(733605, 3725135), (733610, 3725135), (733605, 3725130)])
    path = write_layer(
        [pixel_box(3, 5, 4, 6), triangle], name=f"p.{suffix}", columns={"height": [2.5, 4.0]}
    )
    prompts = read(path, image)
    assert prompts.space == "index"
    assert [p.id for p in prompts] == [1, 2]
    # FlatGeobuf keeps its features in the order of its index
    found = sorted((p.attributes["height"], *np.round(p.box, 6)) for p in prompts)
    assert found == [(2.5, 3, 5, 4, 6), (4.0, 10, 10, 20, 20)]
    prompts.check(image.grid)


@pytest.mark.parametrize(
    "name", ["utm south-up", "utm rotated", "web mercator", "lon/lat", "northing first", "feet"]
)
def test_one_pixel_comes_back_from_a_written_file(
    name, geometries, make_raster, open_raster, build_objects, tmp_path
):
    crs, transform = geometries[name]
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=crs, transform=transform))
    mask = np.zeros((40, 60), dtype=bool)
    mask[7, 31] = True
    GeoPackage().write(build_objects(image.grid, mask, name="dot"), tmp_path / "o.gpkg", image)
    (prompt,) = read(str(tmp_path / "o.gpkg"), image)
    np.testing.assert_allclose(prompt.box, (31, 7, 32, 8), atol=1e-4)
    assert prompt.name == "dot"
    assert prompt.attributes["model"] == "oracle"


@pytest.mark.parametrize("suffix", ["geojson", "geojsonl", "gpkg"])
def test_other_crs_is_reprojected(suffix, image, write_layer):
    world = pixel_box(10, 10, 30, 20)
    to_lonlat = Transformer.from_crs("EPSG:32616", "EPSG:4326", always_xy=True)
    lonlat = shapely.transform(world, lambda p: np.column_stack(to_lonlat.transform(*p.T)))
    point = shapely.centroid(lonlat)
    prompts = read(write_layer([lonlat, point], "EPSG:4326", f"p.{suffix}"), image).objects
    np.testing.assert_allclose(prompts[0].box, (10, 10, 30, 20), atol=0.1)
    np.testing.assert_allclose(prompts[1].points, [(19.5, 14.5)], atol=0.1)


def test_rotated_raster_gets_tight_boxes(geometries, make_raster, open_raster, write_layer):
    crs, transform = geometries["utm rotated"]
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=crs, transform=transform))
    corners = np.array([(5, 6), (15, 6), (15, 9), (5, 9)]) - 0.5
    (prompt,) = read(write_layer([shapely.Polygon(image.grid.to_world(corners))]), image)
    np.testing.assert_allclose(prompt.box, (5, 6, 15, 9), atol=1e-6)


def test_points_signs_and_names(image, write_layer):
    points = [pixel_box(c, 3, c + 1, 4).centroid for c in range(6)]
    columns = {
        "name": ["", "tree", "tree", "", "", "house", "house"],
        "label": ["+", "1", "0", "positive", "-", "1", "1"],
    }
    path = write_layer([*points, pixel_box(20, 20, 30, 30)], columns=columns)
    found = [
        (p.name, p.box and tuple(np.round(p.box, 6)), [round(x) for x, _ in p.points], p.labels)
        for p in read(path, image)
    ]
    assert found == [
        ("house", (20, 20, 30, 30), [5, 4], (1, 0)),
        ("", None, [0, 4], (1, 0)),
        ("tree", None, [1, 2, 4], (1, 0, 0)),
        ("", None, [3, 4], (1, 0)),
    ]


def test_label_column_with_words_is_no_sign(image, write_layer):
    points = [pixel_box(3, 3, 4, 4).centroid, pixel_box(8, 8, 9, 9).centroid]
    prompts = read(write_layer(points, columns={"label": ["roof", "0"]}), image)
    assert [p.labels for p in prompts] == [(1,), (1,)]
    assert prompts.objects[0].attributes == {"label": "roof"}


def test_class_column(image, write_layer):
    columns = {"class": [7], "source": ["osm"]}
    (prompt,) = read(write_layer([pixel_box(1, 1, 3, 3)], columns=columns), image)
    assert (prompt.class_id, dict(prompt.attributes)) == (7, {"source": "osm"})


def test_multi_parts(image, write_layer):
    both = shapely.MultiPolygon([pixel_box(1, 1, 3, 3), pixel_box(10, 12, 15, 20)])
    points = shapely.MultiPoint([(733605, 3725135), (733610, 3725130)])
    prompts = read(write_layer([both, points]), image).objects
    np.testing.assert_allclose(prompts[0].box, (1, 1, 15, 20), atol=1e-6)
    assert [len(p.points) for p in prompts] == [0, 1, 1]


def test_outside_is_skipped_and_counted(image, write_layer, caplog):
    far = pixel_box(1000, 5, 1010, 9)
    prompts = read(write_layer([pixel_box(1, 1, 3, 3), far, far, far.centroid]), image)
    assert len(prompts) == 1
    assert "3 of 4 features lie outside" in caplog.text
    with pytest.raises(PromptError, match=r"every feature lies outside.*EPSG:32616"):
        read(write_layer([far], name="far.gpkg"), image)


def test_boxes_over_the_edge_stay_whole(image, write_layer):
    (prompt,) = read(write_layer([pixel_box(-4, -2, 3, 3)]), image)
    np.testing.assert_allclose(prompt.box, (-4, -2, 3, 3), atol=1e-6)


def test_lines_are_left_out(image, write_layer, caplog):
    line = shapely.LineString([(733601, 3725139), (733605, 3725130)])
    assert len(read(write_layer([line, pixel_box(1, 1, 3, 3)]), image)) == 1
    assert "1 features are neither polygons nor points" in caplog.text
    with pytest.raises(PromptError, match="no polygon and no point"):
        read(write_layer([line], name="line.gpkg"), image)


def test_missing_crs_is_that_of_the_raster(image, write_layer, caplog):
    with pytest.warns(UserWarning, match="crs"):
        path = write_layer([pixel_box(1, 1, 3, 3)], crs=None)
    (prompt,) = read(path, image)
    np.testing.assert_allclose(prompt.box, (1, 1, 3, 3), atol=1e-6)
    assert "has no CRS" in caplog.text


def test_raster_without_crs(make_raster, open_raster, write_layer):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=None))
    with pytest.raises(PromptError, match="gdal_edit"):
        read(write_layer([pixel_box(1, 1, 3, 3)]), image)
    with pytest.warns(UserWarning, match="crs"):
        path = write_layer([pixel_box(1, 1, 3, 3)], crs=None, name="local.gpkg")
    np.testing.assert_allclose(read(path, image).objects[0].box, (1, 1, 3, 3), atol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_picture_takes_no_map_coordinates(make_raster, open_raster, write_layer):
    image = open_raster(
        make_raster(np.ones((40, 60), np.uint8), crs=None, transform=Affine.identity())
    )
    with pytest.raises(PromptError, match="no CRS"):
        read(write_layer([pixel_box(1, 1, 3, 3)]), image)


def test_layers_have_to_be_named(image, write_layer):
    write_layer([pixel_box(1, 1, 3, 3)], layer="roofs")
    path = write_layer([pixel_box(5, 5, 9, 9)], layer="trees")
    with pytest.raises(PromptError, match="no layer nowhere"):
        read(path, image, prompt_layer="nowhere")
    with pytest.raises(PromptError, match="--prompt-layer: roofs, trees"):
        read(path, image)
    (prompt,) = read(path, image, prompt_layer="trees")
    np.testing.assert_allclose(prompt.box, (5, 5, 9, 9), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.gpkg", None, "no such file"),
        ("empty.geojson", b"", "empty"),
        ("text.gpkg", b"not a database", "vector file"),
        ("cut.geojson", b'{"type": "FeatureCollection", "features": [{"type": "Fea', "vector file"),
        ("nothing.geojson", b'{"type": "FeatureCollection", "features": []}', "no polygon"),
    ],
)
def test_bad_files(name, content, words, image, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PromptError, match=words) as caught:
        read(str(path), image)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_geojson_written_by_hand(image, tmp_path):
    to_lonlat = Transformer.from_crs("EPSG:32616", "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(733600 + 0.5 * 12.5, 3725140 - 0.5 * 8.5)
    feature = {
        "type": "Feature",
        "properties": {"name": "well", "depth": 3, "tags": {"a": 1}},
        "geometry": {"type": "Point", "coordinates": [lon, lat, 250.0]},
    }
    (tmp_path / "w.geojson").write_text(json.dumps(feature))
    (prompt,) = read(str(tmp_path / "w.geojson"), image)
    np.testing.assert_allclose(prompt.points, [(12, 8)], atol=1e-3)
    assert (prompt.name, prompt.attributes["depth"]) == ("well", 3)
    json.dumps(dict(prompt.attributes))
