"""Tiles on dask.distributed: the same result, workers that die, workers that differ."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samovar import api
from samovar.errors import DependencyError, SamovarError, UsageError
from samovar.image import ArrayImage
from samovar.job import Recipe
from samovar.lattice import Tiling
from samovar.scheduler import Kit, SchedulerLost, _zipped, dask_crew, pack, unpack
from samovar.tiles import Kept, TileRun, plan, run_tiles
from scenes import PLUGIN, shapes
from test_cli_tiles import write_scene

pytest.importorskip("rasterio")
TESTS = Path(__file__).resolve().parent


@pytest.fixture
def raster(tmp_path):
    labels = shapes(np.random.default_rng(9), 1300, 1000, 150, 60)
    return write_scene(tmp_path / "scene.tif", labels)


@pytest.fixture
def ready(site, raster):
    """Job and recipe of a run with the oracle."""
    site.install("samovar-colours", PLUGIN)
    with (
        api.open(raster) as image,
        api.prepared(image, model="colours", auto="colours", modality="rgb") as (job, _, recipe),
    ):
        yield job, recipe


@pytest.fixture
def workers_see(site, monkeypatch):
    """Processes that are started from here find the made-up distribution."""
    paths = [str(site.folder), str(TESTS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in paths if p))


def found(job, **fields) -> list:
    kept = Kept()
    failed = run_tiles(job, TileRun(**fields), kept)
    assert failed == []
    return [(o.id, o.key, o.region, o.bits, o.score) for o in kept.items(None)]


def test_a_kit_makes_the_same_job_elsewhere(ready):
    job, recipe = ready
    kit = pack(job, recipe)
    there = unpack(kit)
    assert there.image.grid == job.image.grid
    assert there.intensity == job.intensity
    assert kit.id == pack(job, recipe).id
    assert found(there) == found(job)


def test_other_weights_and_another_runtime_are_refused(ready):
    job, recipe = ready
    kit = pack(job, recipe)
    with pytest.raises(UsageError, match="other weights"):
        unpack(Kit(kit.opened, kit.intensity, None, recipe, "other", kit.runtime))
    runtime = {**kit.runtime, "instruction_set": "abacus"}
    with pytest.raises(UsageError, match=r"begun with .*abacus"):
        unpack(Kit(kit.opened, kit.intensity, None, recipe, kit.weights_hash, runtime))


def test_what_cannot_be_had_elsewhere_is_refused(ready):
    job, recipe = ready
    with pytest.raises(UsageError, match="by name or path"):
        pack(job, Recipe("", {}))
    image = ArrayImage(np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="by name or path"):
        pack(type(job)(image, job.model, job.intensity, None, job.generator), recipe)


def test_a_bundle_travels_as_bytes_that_do_not_change(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "graph.onnx").write_bytes(b"graph")
    (tmp_path / "bundle.json").write_text("{}")
    first = _zipped(tmp_path)
    os.utime(tmp_path / "bundle.json", (0, 0))
    assert _zipped(tmp_path) == first


def test_a_bundle_is_loaded_from_the_kit_and_its_hash_is_checked(raster, tmp_path):
    pytest.importorskip("samovar_laptop")
    box = [(10, 10, 60, 60)]
    with (
        api.open(raster) as image,
        api.prepared(image, model="tiny", boxes=box, modality="rgb") as (job, _, recipe),
    ):
        kit = pack(job, recipe)
        there = unpack(kit)
        assert there.model.bundle.folder != job.model.bundle.folder
        assert there.model.weights_hash == job.model.weights_hash
        assert found(there) == found(job)
    with zipfile.ZipFile(io.BytesIO(kit.bundle)) as archive:
        archive.extractall(tmp_path / "other")
    graph = next((tmp_path / "other").rglob("*.onnx"))
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(SamovarError):
        unpack(replace(kit, bundle=_zipped(tmp_path / "other")))


def test_without_dask_the_message_says_what_to_install(ready, monkeypatch):
    def absent(name: str):
        raise ImportError(name)

    monkeypatch.setattr("samovar.scheduler.import_module", absent)
    with pytest.raises(DependencyError, match=r"samovar\[dask\]"):
        dask_crew("local:2", *ready)


@pytest.mark.parametrize("address", ["local:0", "local:x", "somewhere"])
def test_addresses_that_are_none_are_refused(ready, address):
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="local:N"):
        list(dask_crew(address, *ready)(iter([])))


def test_a_scheduler_that_does_not_answer_is_named(ready, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("samovar.scheduler.WAIT_S", 0.5)
    with pytest.raises(UsageError, match="nobody answers"):
        list(dask_crew("tcp://127.0.0.1:9", *ready)(iter([])))


@pytest.mark.slow
def test_processes_of_dask_give_the_same_result(ready, workers_see):
    pytest.importorskip("distributed")
    job, recipe = ready
    here = found(job, tiling=Tiling())
    assert len(here) > 20
    assert found(job, crew=dask_crew("local:2", job, recipe)) == here


@pytest.mark.slow
def test_a_worker_that_dies_in_the_middle_is_survived(ready, workers_see, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    job, recipe = ready
    here = found(job)
    mark = tmp_path / "killed"
    monkeypatch.setenv("COLOURS_KILL", str(mark))
    assert found(job, crew=dask_crew("local:2", job, recipe)) == here
    assert mark.exists()


@pytest.mark.slow
def test_the_command_runs_on_workers(samovar, site, raster, workers_see, tmp_path):
    pytest.importorskip("distributed")
    site.install("samovar-colours", PLUGIN)
    common = ("segment", raster, "--model", "colours", "--auto", "colours", "--modality", "rgb")
    assert samovar(*common, "-o", tmp_path / "one.geojsonl").code == 0
    ran = samovar(*common, "-o", tmp_path / "two.geojsonl", "--scheduler", "local:2")
    assert ran.code == 0, ran.err
    assert (tmp_path / "one.geojsonl").read_bytes() == (tmp_path / "two.geojsonl").read_bytes()


@pytest.fixture
def scheduler(tmp_path, workers_see):
    """A scheduler in a process of its own, and its address; a worker on request."""
    pytest.importorskip("distributed")
    started: list[subprocess.Popen] = []

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        started.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return started[-1]

    file = tmp_path / "scheduler.json"
    process = start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
        "--scheduler-file", str(file),
    )  # fmt: skip
    until = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    yield address, process, lambda: start("dask_worker", address, "--nthreads", "1", "--no-nanny",
                                          "--no-dashboard")  # fmt: skip
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_scheduler_without_workers_ends_the_run(ready, scheduler, monkeypatch):
    monkeypatch.setattr("samovar.scheduler.LONELY_S", 1)
    address, _, _ = scheduler
    with pytest.raises(SchedulerLost, match="no workers"):
        found(ready[0], crew=dask_crew(address, *ready))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGSTOP")
@pytest.mark.parametrize(
    ("what", "said"), [("SIGKILL", "went away"), ("SIGSTOP", "answers no more")]
)
def test_a_scheduler_that_falls_silent_ends_the_run(ready, scheduler, monkeypatch, what, said):
    monkeypatch.setenv("COLOURS_SLEEP", "0.5")
    monkeypatch.setattr("samovar.scheduler.QUIET_S", 1)
    address, process, work = scheduler
    work()
    looks = dask_crew(address, *ready)(plan(ready[0], Tiling()))
    next(looks)
    begun = time.monotonic()
    monkeypatch.setattr("samovar.scheduler.WAIT_S", 1)
    process.send_signal(getattr(signal, what))
    with pytest.raises(SchedulerLost, match=rf"{said}.*--resume"):
        list(looks)
    assert time.monotonic() - begun < 60
