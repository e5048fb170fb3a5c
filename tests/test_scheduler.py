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

from conftest import Site
from on_a_worker import kits
from samovar import api
from samovar.errors import BundleError, DependencyError, UsageError
from samovar.image import ArrayImage
from samovar.job import Recipe
from samovar.kit import WorkerDiffers, _zipped, forget, pack, unpack
from samovar.lattice import Tiling
from samovar.scheduler import SchedulerLost, dask_crew
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
    assert kit.id != pack(job, recipe).id, "two runs are two runs"
    assert found(there) == found(job)


def test_other_weights_and_another_runtime_are_refused(ready):
    job, recipe = ready
    kit = pack(job, recipe)
    with pytest.raises(WorkerDiffers, match="other weights"):
        unpack(replace(kit, weights_hash="other"))
    runtime = {**kit.runtime, "instruction_set": "abacus"}
    with pytest.raises(WorkerDiffers, match=r"begun with .*abacus"):
        unpack(replace(kit, runtime=runtime))


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
    with pytest.raises(BundleError):
        unpack(replace(kit, bundle=_zipped(tmp_path / "other")))


def test_files_in_options_are_named_so_that_other_folders_find_them(ready, tmp_path, monkeypatch):
    job, recipe = ready
    monkeypatch.chdir(tmp_path)
    (tmp_path / "area.gpkg").write_text("")
    job.image.opened = replace(
        job.image.opened, path="scene.tif", options={"aoi": "area.gpkg", "bands": "1,2,3"}
    )
    opened = pack(job, recipe).opened
    assert opened.path == str(tmp_path / "scene.tif")
    assert opened.options == {"aoi": str(tmp_path / "area.gpkg"), "bands": "1,2,3"}
    for path in ("mosaic:scene.tif|area.gpkg", "/vsicurl/https://example.org/a.tif"):
        job.image.opened = replace(job.image.opened, path=path, options={})
        there = pack(job, recipe).opened.path
        assert there == path.replace("scene.tif|area", f"{tmp_path}/scene.tif|{tmp_path}/area")


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


class Cluster:
    """A scheduler of dask and its workers, each a process of its own, on this machine."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.started: list[subprocess.Popen] = []
        file = folder / "scheduler.json"
        self.process = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        until = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        self.address = json.loads(file.read_text())["address"]

    def work(self, *arguments: str) -> subprocess.Popen:
        """One more worker."""
        return self._start(
            "dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            *arguments,
        )  # fmt: skip

    def wait_for(self, workers: int) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def ask(self, question) -> list:
        """What every worker answers."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return list(client.run(question).values())

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()

    def _start(self, program: str, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment,
            cwd=self.folder,
        )  # fmt: skip
        self.started.append(process)
        return process


def with_colours(folder: Path) -> dict[str, str]:
    """The environment of processes that find the made-up distribution in ``folder``."""
    paths = [str(folder), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers at tcp://…, for all tests of this module."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("cluster")
    Site(folder).install("samovar-colours", PLUGIN)
    made = Cluster(folder, {**with_colours(folder), "COLOURS_SLEEP": "0.1"})
    try:
        made.work()
        made.work()
        made.wait_for(2)
        yield made
    finally:
        made.stop()


def test_workers_at_an_address_give_the_bytes_of_one_machine(
    samovar, site, raster, cluster, tmp_path, monkeypatch
):
    site.install("samovar-colours", PLUGIN)
    monkeypatch.chdir(raster.parent)
    common = ("segment", raster.name, "--model", "colours", "--auto", "colours", "-q")
    for number, more in enumerate([(), ("--scheduler", cluster.address)]):
        out = [f"{number}/out.{ending}" for ending in ("geojsonl", "fgb")]
        (tmp_path / str(number)).mkdir()
        ran = samovar(*common, *(x for o in out for x in ("-o", o)), *more)
        assert ran.code == 0, ran.err
    for name in ("out.geojsonl", "out.fgb"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    assert cluster.ask(kits) == [(0, 0), (0, 0)], "a kit is forgotten with its run"


def test_a_kit_is_sent_to_a_worker_once_and_a_worker_that_is_killed_is_survived(ready, cluster):
    job, recipe = ready
    here = found(job)
    looks = dask_crew(cluster.address, job, recipe)
    told = []

    def crew(steps):
        for number, look in enumerate(looks(steps)):
            if number == 1:
                told.extend(cluster.ask(kits))
                cluster.started[1].kill()
            yield look

    assert found(job, crew=crew) == here
    assert told
    assert all(kept == (1, 1) or kept == (1, 0) for kept in told)
    assert cluster.started[1].wait(10)
    cluster.work()


def test_workers_that_differ_are_left_out(ready, cluster, caplog):
    """Instruction sets that are not those of the machine where the run began."""
    job, recipe = ready
    odd = cluster.work("--preload", "another_processor")
    try:
        cluster.wait_for(3)
        assert found(job, crew=dask_crew(cluster.address, job, recipe)) == found(job)
        (warning,) = {r.getMessage() for r in caplog.records if "left out" in r.getMessage()}
        assert "abacus" in warning
        assert "worker tcp://127.0.0.1:" in warning
    finally:
        odd.kill()
        odd.wait()


def test_a_run_whose_workers_all_differ_ends_with_a_line(ready, cluster, monkeypatch):
    job, recipe = ready
    cluster.wait_for(2)
    kit = pack(job, recipe)
    other = replace(kit, runtime={**kit.runtime, "instruction_set": "abacus"})
    monkeypatch.setattr("samovar.scheduler.pack", lambda *_: other)
    with pytest.raises(WorkerDiffers, match=r"worker tcp://.* begun with .*abacus"):
        found(job, crew=dask_crew(cluster.address, job, recipe))


@pytest.mark.slow
def test_a_bundle_that_was_changed_on_its_way_is_refused(raster, cluster, tmp_path, monkeypatch):
    pytest.importorskip("samovar_laptop")
    boxes = [(x, y, x + 40, y + 40) for x in (10, 800) for y in (10, 900)]
    cluster.wait_for(2)
    with (
        api.open(raster) as image,
        api.prepared(image, model="tiny", boxes=boxes, modality="rgb") as (job, _, recipe),
    ):
        here = found(job)
        assert found(job, crew=dask_crew(cluster.address, job, recipe)) == here
        kit = pack(job, recipe)
        with zipfile.ZipFile(io.BytesIO(kit.bundle)) as archive:
            archive.extractall(tmp_path / "other")
        graph = next((tmp_path / "other").rglob("*.onnx"))
        graph.write_bytes(graph.read_bytes() + b"\0")
        changed = replace(kit, bundle=_zipped(tmp_path / "other"))
        monkeypatch.setattr("samovar.scheduler.pack", lambda *_: changed)
        with pytest.raises(WorkerDiffers, match=r"worker tcp://.*\.onnx"):
            found(job, crew=dask_crew(cluster.address, job, recipe))


def test_what_was_unpacked_goes_with_the_run(raster, ready, monkeypatch):
    pytest.importorskip("samovar_laptop")
    from samovar import kit as worker

    with (
        api.open(raster) as image,
        api.prepared(image, model="tiny", boxes=[(9, 9, 60, 60)]) as (job, _, recipe),
    ):
        kit = pack(job, recipe)
    worker.receive(kit)
    (step, *_) = plan(unpack(kit), Tiling())
    assert worker.look_remotely(kit.id, step).error is None
    folder = worker._jobs[kit.id].model.bundle.folder
    assert folder.is_dir()
    forget(kit.id)
    assert not folder.exists()
    assert kit.id not in worker._jobs


@pytest.mark.slow
def test_studies_of_a_batch_at_an_address_are_those_of_one_machine(
    samovar, site, raster, cluster, tmp_path
):
    site.install("samovar-colours", PLUGIN)
    volumes = [tmp_path / f"{name}.nii.gz" for name in ("one", "two", "three")]
    nibabel = pytest.importorskip("nibabel")
    for number, path in enumerate(volumes):
        voxels = np.zeros((40, 36, 9), np.uint8)
        voxels[5 : 15 + number, 6:20, 2:7] = 3
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    common = (
        "segment", *volumes, "--box", "5,6,2,15,20,7", "-o", "{name}_seg.nii.gz", "--threads", 1,
        "--quiet", "--out-dir",
    )  # fmt: skip
    cluster.wait_for(2)
    assert samovar(*common, tmp_path / "here").code == 0
    ran = samovar(*common, tmp_path / "there", "--scheduler", cluster.address)
    assert ran.code == 0, ran.err
    for path in volumes:
        name = path.name.replace(".nii", "_seg.nii")
        a, b = (nibabel.load(tmp_path / where / name) for where in ("here", "there"))
        assert np.array_equal(a.dataobj, b.dataobj)
        assert np.array_equal(a.affine, b.affine)
        assert (a.dataobj[:] > 0).any()


@pytest.fixture
def scheduler(tmp_path, site):
    """A scheduler of a test's own, which it may harm."""
    pytest.importorskip("distributed")
    made = Cluster(tmp_path, with_colours(site.folder))
    yield made
    made.stop()


@pytest.mark.slow
def test_a_scheduler_without_workers_ends_the_run(ready, scheduler, monkeypatch):
    monkeypatch.setattr("samovar.scheduler.LONELY_S", 1)
    with pytest.raises(SchedulerLost, match="no workers"):
        found(ready[0], crew=dask_crew(scheduler.address, *ready))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGSTOP")
@pytest.mark.parametrize(
    ("what", "said"), [("SIGKILL", "went away"), ("SIGSTOP", "answers no more")]
)
def test_a_scheduler_that_falls_silent_ends_the_run(ready, scheduler, monkeypatch, what, said):
    scheduler.environment["COLOURS_SLEEP"] = "0.5"
    monkeypatch.setattr("samovar.scheduler.QUIET_S", 1)
    scheduler.work()
    looks = dask_crew(scheduler.address, *ready)(plan(ready[0], Tiling()))
    next(looks)
    begun = time.monotonic()
    monkeypatch.setattr("samovar.scheduler.WAIT_S", 1)
    scheduler.process.send_signal(getattr(signal, what))
    with pytest.raises(SchedulerLost, match=rf"{said}.*--resume"):
        list(looks)
    assert time.monotonic() - begun < 60
