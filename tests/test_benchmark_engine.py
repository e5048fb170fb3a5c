"""The engine's benchmark: its scenes hold what they say, and its model finds all of it."""

import json
import time

import numpy as np
import pytest
from scipy import ndimage

from samovar.benchmark import engine, tile_reading
from samovar.benchmark.tile_work import Clock, run

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


def test_stages_leave_out_what_is_counted_inside_them():
    clock = Clock()

    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    with clock.stage("link"):
        spin(0.02)
        with clock.stage("measure"):
            spin(0.04)
            with clock.stage("write"):
                spin(0.01)
        spin(0.02)
    assert clock.seconds["link"] == pytest.approx(0.04, abs=0.008)
    assert clock.seconds["measure"] == pytest.approx(0.04, abs=0.008)
    assert clock.seconds["write"] == pytest.approx(0.01, abs=0.008)


def test_what_is_read_of_each_layout_is_reported(tmp_path, monkeypatch):
    small = {"tiles": (900, 900, 1, tile_reading.TILES), "lines": (600, 900, 3, {})}
    monkeypatch.setattr(tile_reading, "LAYOUTS", small)
    table = tile_reading.reading(tmp_path, lambda text: None)
    assert [row[0] for row in table["rows"]] == ["tiles", "lines"]
    for *_, ours, before in table["rows"]:
        # opening the file read its last block
        assert ours == "not known" or 0.5 < float(ours) < 1.1
        assert before == ours
    assert not list(tmp_path.iterdir())
