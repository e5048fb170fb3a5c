"""Scenes on disk: streamed, sparse, placed in the world."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from samovar_datasets.demo import demo_objects
from samovar_datasets.raster_files import write_box_features, write_scene
from samovar_datasets.scenes import Scene

rasterio = pytest.importorskip("rasterio")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    scene = Scene(1, (600, 700), 0.4)
    return scene, write_scene(scene, tmp_path_factory.mktemp("scene"))


def test_files_hold_the_scene(written):
    scene, paths = written
    with rasterio.open(paths["image"]) as dataset:
        assert dataset.crs.to_epsg() == 32633
        assert dataset.nodata == 0
        assert dataset.overviews(1) == [2]
        assert dataset.block_shapes == [(512, 512)] * 3
        assert np.array_equal(dataset.read(), scene.read(0, 0, 600, 700))
    with rasterio.open(paths["labels"]) as dataset:
        assert np.array_equal(dataset.read(1), scene.labels(0, 0, 600, 700))
    with rasterio.open(paths["classes"]) as dataset:
        assert np.array_equal(dataset.read(1), scene.classes(0, 0, 600, 700))


def test_outlines_lie_on_the_labels(written):
    pyogrio = pytest.importorskip("pyogrio")
    shapely = pytest.importorskip("shapely")
    from rasterio.features import rasterize

    scene, paths = written
    meta, _, geometry, columns = pyogrio.raw.read(paths["truth"])
    ids = columns[list(meta["fields"]).index("id")]
    kinds = columns[list(meta["fields"]).index("class")]
    with rasterio.open(paths["labels"]) as dataset:
        labels = dataset.read(1)
        shapes = [
            (shapely.from_wkb(g), int(i))
            for g, i, k in zip(geometry, ids, kinds, strict=True)
            if k == "building"
        ]
        burnt = rasterize(shapes, labels.shape, transform=dataset.transform, dtype="uint32")
    buildings = scene.classes(0, 0, 600, 700) == 1
    assert (burnt[buildings] == labels[buildings]).mean() > 0.999


@pytest.mark.parametrize(
    ("crs", "rotation", "south_up"),
    [
        ("EPSG:32633", 0, False),
        ("EPSG:32633", 25, False),
        ("EPSG:3857", 0, True),
        ("EPSG:4326", 0, False),
    ],
)
def test_boxes_come_back_in_pixels(tmp_path, crs, rotation, south_up):
    from rasterio.warp import transform

    scene = Scene(1, (800, 800), 0.4, crs=crs, rotation=rotation, south_up=south_up)
    objects = demo_objects(scene)
    assert len(objects) > 5
    path = tmp_path / "boxes.geojson"
    assert write_box_features(scene, objects, path) == len(objects)
    inverse = ~rasterio.Affine(*scene.transform)
    for feature, thing in zip(json.loads(path.read_text())["features"], objects, strict=True):
        lon, lat = np.array(feature["geometry"]["coordinates"][0]).T
        x, y = transform("EPSG:4326", crs, lon.tolist(), lat.tolist())
        pixels = np.array([inverse @ p for p in zip(x, y, strict=True)])
        np.testing.assert_allclose(pixels.min(axis=0), thing.outline.min(axis=0), atol=0.02)
        np.testing.assert_allclose(pixels.max(axis=0), thing.outline.max(axis=0), atol=0.02)


def test_a_huge_sparse_scene_streams(tmp_path):
    scene = Scene(3, (20000, 20000), 0.5, bands=1, nodata="island", fill=0.0003)
    tracemalloc.start()
    try:
        paths = write_scene(scene, tmp_path, classes=False, vectors=False, overviews=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 20 000² pixels are 400 MB in one band, and 1.6 GB of labels
    assert peak < 120e6
    assert paths["image"].stat().st_size < 5e6
    assert paths["labels"].stat().st_size < 5e6
    with rasterio.open(paths["image"]) as dataset:
        assert dataset.shape == (20000, 20000)
        middle = dataset.read(1, window=((9990, 10010), (9990, 10010)))
        assert np.array_equal(middle, scene.read(9990, 9990, 20, 20)[0])
        assert (middle > 0).any()
        assert not dataset.read(1, window=((0, 20), (0, 20))).any()


@pytest.mark.slow
def test_a_huge_sparse_scene_with_overviews(tmp_path):
    scene = Scene(3, (20000, 20000), 0.5, bands=1, nodata="island", fill=0.0003)
    paths = write_scene(scene, tmp_path, classes=False, vectors=False)
    assert paths["image"].stat().st_size < 5e6
    with rasterio.open(paths["image"]) as dataset:
        assert dataset.overviews(1)[-1] >= 32


def test_cloud_optimised(tmp_path):
    scene = Scene(1, (1100, 1300), 0.5, bands=3, nodata="island", fill=0.02)
    paths = write_scene(scene, tmp_path, classes=False, vectors=False, cog=True)
    with rasterio.open(paths["image"]) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1) == [2, 4]
        assert dataset.nodata == 0
        assert np.array_equal(dataset.read(), scene.read(0, 0, 1100, 1300))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.tif", "scene_labels.tif"]
