"""The Python API: images into memory and into files, with the options that the command line has."""

import inspect
import json

import numpy as np
import pytest

import samovar
from samovar import TileOptions, api
from samovar.asked import Asked
from samovar.errors import OutputError, UsageError
from samovar.image import ArrayImage
from samovar.objects import Objects
from scenes import PLUGIN, shapes
from test_cli_tiles import write_scene

pytest.importorskip("rasterio")
COLOURS = {"model": "colours", "auto": "colours", "modality": "rgb"}


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    labels = shapes(np.random.default_rng(5), 1000, 900, 150, 40)
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", labels)


@pytest.fixture(autouse=True)
def _colours(site, monkeypatch):
    site.install("samovar-colours", PLUGIN)
    monkeypatch.setattr("samovar.tiles.PAUSE_S", 0)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("function", [api.segment, api.prepared])
def test_what_is_asked_stands_in_one_place(function):
    named = list(inspect.signature(function).parameters)
    assert named == ["image", *inspect.signature(Asked).parameters]
    with pytest.raises(TypeError, match="boxs"):
        function("scene.tif", boxs=[(1, 2, 3, 4)])


def test_what_the_command_line_asks_can_be_asked_from_python():
    """Every option of ``samovar segment`` that is about the result has its field."""
    from samovar.cli.segment import segment

    elsewhere = {
        "inputs", "output", "box", "point", "world", "axis", "extent", "anchor", "consensus",
        "extend", "split_labels", "out_dir", "jobs", "preview", "manifest", "reader", "json",
        "quiet", "plugin_options",
    }  # fmt: skip
    options = set(inspect.signature(segment).parameters) - elsewhere
    fields = set(inspect.signature(Asked).parameters) | set(
        inspect.signature(TileOptions).parameters
    )
    assert options <= fields, options - fields


def test_objects_in_memory_do_not_depend_on_workers(raster):
    one = api.segment(raster, **COLOURS)
    three = api.segment(raster, **COLOURS, tiles=TileOptions(workers=3))
    assert isinstance(one, Objects)
    assert len(one) > 20
    assert one.table() == three.table()
    classes = api.segment(raster, **COLOURS, tiles=TileOptions(semantic=True))
    assert {row["label"] for row in classes.table()} == {1}


def test_files_are_those_of_the_command(raster, samovar, tmp_path):
    command = ("--model", "colours", "--auto", "colours", "--modality", "rgb", "--simplify", 1)
    out = tmp_path / "command.geojsonl"
    assert samovar("segment", raster, *command, "-o", out, "-q").code == 0
    outputs = [tmp_path / "python.geojsonl", tmp_path / "labels.tif"]
    done = api.segment_to(raster, outputs, **COLOURS, writing={"simplify": 1.0})
    assert outputs[0].read_bytes() == out.read_bytes()
    assert done.paths == outputs
    assert done.count == len(lines(out))
    assert (done.failed, done.empty) == ([], [])
    assert {p.name for p in tmp_path.iterdir()} == {
        "command.geojsonl", "python.geojsonl", "labels.tif", "site"
    }  # fmt: skip


def test_runs_resume_and_do_not_overwrite_unasked(raster, tmp_path, monkeypatch):
    out = tmp_path / "out.geojsonl"
    api.segment_to(raster, [tmp_path / "whole.geojsonl"], **COLOURS)
    resume = TileOptions(resume=True)
    monkeypatch.setenv("COLOURS_FAIL", "r0c1")
    done = api.segment_to(raster, [out], **COLOURS, tiles=resume)
    (failed,) = done.failed
    assert failed.tile == "r0c1"
    monkeypatch.delenv("COLOURS_FAIL")
    done = api.segment_to(raster, [out], **COLOURS, tiles=resume)
    assert not done.failed
    assert out.read_bytes() == (tmp_path / "whole.geojsonl").read_bytes()
    assert api.segment_to(raster, [out], **COLOURS, tiles=resume) is None, "done before"
    with pytest.raises(OutputError, match="is there already"):
        api.segment_to(raster, [out], **COLOURS)
    assert api.segment_to(raster, [out], **COLOURS, tiles=TileOptions(overwrite=True)).count


def test_volumes_go_to_files_too(tmp_path):
    pytest.importorskip("SimpleITK")
    nibabel = pytest.importorskip("nibabel")
    source = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((30, 28, 6), np.int16), np.eye(4)), source)
    asked = {"boxes": {"it": (3, 4, 1, 20, 20, 5)}, "threads": 1, "modality": "ct"}
    done = api.segment_to(source, [tmp_path / "it.nii.gz"], **asked)
    assert done.count == 1
    assert nibabel.load(tmp_path / "it.nii.gz").shape == (30, 28, 6)
    with pytest.raises(UsageError, match="--workers is about the tiles"):
        api.segment_to(source, [tmp_path / "i.nii.gz"], **asked, tiles=TileOptions(workers=2))
    assert not (tmp_path / "i.nii.gz").exists()


def test_what_needs_files_is_refused_in_memory():
    image = ArrayImage(np.zeros((9, 9), np.uint8))
    for options in (TileOptions(resume=True), TileOptions(overwrite=True)):
        with pytest.raises(UsageError, match="segment_to"):
            api.segment(image, boxes=[(1, 1, 5, 5)], tiles=options)
    with pytest.raises(UsageError, match="--workers is 0"):
        api.segment(image, boxes=[(1, 1, 5, 5)], tiles=TileOptions(workers=0))


def test_an_option_that_no_writer_has_is_refused(raster, tmp_path):
    with pytest.raises(UsageError, match=r"'simplfy'.*'simplify'"):
        api.segment_to(raster, [tmp_path / "o.gpkg"], **COLOURS, writing={"simplfy": 1.0})
    assert {p.name for p in tmp_path.iterdir()} == {"site"}


def test_the_host_offers_them():
    assert {"segment", "segment_to", "TileOptions"} <= set(samovar.__all__)
    assert all(getattr(samovar, name) is not None for name in samovar.__all__)
