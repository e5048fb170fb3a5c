"""The engine's benchmark: its scenes hold what they say, and its model finds all of it."""

import json

import numpy as np
import pytest
from scipy import ndimage

from samovar.benchmark import engine
from samovar.benchmark.tile_work import run

rasterio = pytest.importorskip("rasterio")


def test_every_object_of_a_scene_is_found_and_the_time_is_accounted_for(tmp_path):
    path = engine._scene(tmp_path, 1000, 10)
    with rasterio.open(path) as dataset:
        _, wanted = ndimage.label(dataset.read(1))
    run(str(path), str(tmp_path / "out.geojsonl"), str(tmp_path / "facts.json"))
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["objects"] == wanted == round(10 * (1000 / 384) ** 2)
    assert facts["tiles"] == 9
    assert sum(facts["stages"].values()) == pytest.approx(facts["cpu_s"], abs=0.01)
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".tif") == [
        "facts.json",
        "out.geojsonl",
    ]


def test_a_sparse_scene_takes_no_room_and_its_empty_blocks_are_not_looked_at(tmp_path):
    path = engine._sparse_scene(tmp_path / "sparse.tif", 1)
    assert path.stat().st_size < 1_000_000
    run(str(path), str(tmp_path / "out.geojsonl"), str(tmp_path / "facts.json"))
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["megapixels"] > 950
    assert facts["tiles"] < 150
    assert facts["objects"] == 9 * 19


def test_dots_are_as_many_as_asked_for(tmp_path):
    path = engine._dots(tmp_path / "dots.tif", 450)
    with rasterio.open(path) as dataset:
        pixels = dataset.read(1)
    assert ndimage.label(pixels)[1] == 450
    assert np.count_nonzero(pixels) == 450 * 36
