"""The main job on a real scene: boxes in, polygons out, on the bundled model."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.windows import Window
from scipy import ndimage

from samovar import api

pytestmark = pytest.mark.shared

FIRST_ROW = 2560
"""Rows from here on are kept from training."""
SMALLEST = 100


@pytest.fixture(scope="module")
def scene(shared_rasters, tmp_path_factory):
    """The held-out rows as a raster of their own, and the numbered building labels on it."""
    folder = shared_rasters / "fair_banepa_oam"
    path = tmp_path_factory.mktemp("banepa") / "held_out.tif"
    with rasterio.open(folder / "derived_mosaic_5632x4096.tif") as mosaic:
        window = Window(0, FIRST_ROW, mosaic.width, mosaic.height - FIRST_ROW)
        profile = {**mosaic.profile, "height": window.height, "compress": "deflate"}
        profile |= {"transform": mosaic.window_transform(window), "photometric": "rgb"}
        with rasterio.open(path, "w", **profile) as held_out:
            held_out.write(mosaic.read(window=window))
            held_out.write_mask(mosaic.dataset_mask(window=window))
    with rasterio.open(folder / "derived_mosaic_5632x4096_buildings.tif") as labels:
        numbered, _ = ndimage.label(labels.read(1, window=window) > 0)
    sizes = np.bincount(numbered.ravel())
    keep = np.flatnonzero(sizes >= SMALLEST)[1:]
    lookup = np.zeros(len(sizes), dtype=np.int32)
    lookup[keep] = np.arange(1, len(keep) + 1)
    return path, lookup[numbered]


@pytest.fixture(scope="module")
def boxes(scene):
    """The labels' boxes as GeoJSON in lon/lat."""
    path, truth = scene
    with rasterio.open(path) as raster:
        transform, crs = raster.transform, raster.crs
    to_lonlat = Transformer.from_crs(crs.to_wkt(), 4326, always_xy=True)
    features = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(truth)):
        x = [transform.c + transform.a * column for column in (columns.start, columns.stop)]
        y = [transform.f + transform.e * row for row in (rows.start, rows.stop)]
        (west, east), (north, south) = to_lonlat.transform(x, y)
        box = shapely.geometry.mapping(shapely.box(west, south, east, north))
        properties = {"name": f"b{i + 1}", "building": i + 1}
        features.append({"type": "Feature", "properties": properties, "geometry": box})
    file = path.with_name("boxes.geojson")
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def iou(a, b) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def test_buildings_by_their_boxes(scene, boxes):
    path, truth = scene
    with api.open(path) as image:
        objects = api.segment(image, prompts=boxes, threads=2)
        for name in ("o.gpkg", "o.tif", "o.geojson"):
            objects.save(path.with_name(name))
    slices = ndimage.find_objects(truth)
    assert [o.attributes["building"] for o in objects] == list(range(1, len(slices) + 1))
    scores = np.array([_score(o, truth) for o in objects])
    print(f"\nBanepa rows ≥ {FIRST_ROW}: {len(scores)} buildings, mean IoU {scores.mean():.3f}")
    _check_polygons(path, objects, scores, truth)
    assert scores.mean() >= 0.65


def _score(segmented, truth) -> float:
    """IoU with the label of the same number, over the whole scene."""
    number = segmented.attributes["building"]
    if segmented.empty:
        return 0.0
    found = segmented.mask
    inside = np.count_nonzero(found & (truth[segmented.region.slices] == number))
    union = np.count_nonzero(found) + np.count_nonzero(truth == number) - inside
    return inside / union


def _check_polygons(path, objects, scores, truth) -> None:
    """The polygons in the GeoPackage, burnt into the scene's grid, are the masks."""
    with rasterio.open(path) as raster:
        transform, shape = raster.transform, raster.shape
    with sqlite3.connect(path.with_name("o.gpkg")) as base:
        rows = base.execute("SELECT label, geom, area_m2, pixels, building FROM objects").fetchall()
    assert len(rows) == sum(not o.empty for o in objects)
    by_id = {o.id: o for o in objects}
    for id, blob, area, pixels, building in rows[::25]:
        polygon = shapely.from_wkb(blob[40:])
        assert polygon.is_valid
        burnt = rasterize([(polygon, 1)], shape, transform=transform).astype(bool)
        assert iou(burnt, truth == building) == pytest.approx(scores[building - 1], abs=1e-9)
        assert (burnt[by_id[id].region.slices] == by_id[id].mask).all()
        assert burnt.sum() == pixels
        assert area == pytest.approx(pixels * 0.14929107**2 / 1.279, rel=5e-3)
