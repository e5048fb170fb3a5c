"""Whole commands on rasters of several tiles: ledgers, failures, kills, other machines."""

import errno
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from samovar.ledger import Ledger
from scenes import PLUGIN, coloured, shapes

rasterio = pytest.importorskip("rasterio")
TESTS = Path(__file__).resolve().parent
START = "import sys; from samovar.cli.main import main; sys.exit(main())"


def write_scene(path: Path, labels: np.ndarray) -> Path:
    profile = {
        "driver": "GTiff", "width": labels.shape[1], "height": labels.shape[0], "count": 3,
        "dtype": "uint8", "crs": "EPSG:32645", "photometric": "rgb", "tiled": True,
        "blockxsize": 256, "blockysize": 256,
        "transform": rasterio.Affine(0.5, 0, 300_000, 0, -0.5, 3_000_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(coloured(labels))
    return path


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Path:
    labels = shapes(np.random.default_rng(7), 1300, 1300, 200, 80)
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", labels)


@pytest.fixture
def run(site, samovar, raster, tmp_path, monkeypatch):
    """``samovar segment`` with the oracle, in this process."""
    site.install("samovar-colours", PLUGIN)
    monkeypatch.setattr("samovar.tiles.PAUSE_S", 0)

    def segment(*arguments: object, out: str = "out.geojsonl", source: Path = raster):
        return samovar(
            "segment", source, "--model", "colours", "--auto", "colours", "--modality", "rgb",
            "-o", tmp_path / out, *arguments,
        )  # fmt: skip

    return segment


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_objects_come_out_whole_and_nothing_else_is_left(run, tmp_path):
    ran = run()
    assert ran.code == 0, ran.err
    found = lines(tmp_path / "out.geojsonl")
    assert len(found) > 40
    assert [p.name for p in tmp_path.glob("*") if p.name != "site"] == ["out.geojsonl"]


def test_workers_do_not_change_a_byte(run, tmp_path):
    assert run(out="one.geojsonl").code == 0
    assert run("--workers", 3, out="three.geojsonl").code == 0
    assert (tmp_path / "one.geojsonl").read_bytes() == (tmp_path / "three.geojsonl").read_bytes()


def test_results_that_are_there_are_replaced_only_on_request(run, tmp_path):
    out = tmp_path / "out.geojsonl"
    assert run().code == 0
    before = out.read_bytes()
    out.write_text("mine")
    ran = run()
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert out.read_text() == "mine"
    ran = run("--resume")
    assert ran.code == 2, "no ledger says that it is of such a run"
    assert run("--overwrite").code == 0
    assert out.read_bytes() == before


def test_resume_begins_a_run_and_leaves_a_finished_one_alone(run, tmp_path):
    out, ledger = tmp_path / "out.geojsonl", tmp_path / "out.geojsonl.ledger"
    assert run("--resume").code == 0
    assert ledger.stat().st_size < 100_000
    before = out.stat().st_mtime_ns
    ran = run("--resume")
    assert ran.code == 0
    assert "finished before" in ran.err
    assert out.stat().st_mtime_ns == before
    ran = run("--resume", "--max-object-size", 200)
    assert ran.code == 2
    assert "another --max-object-size" in ran.err
    ran = run("--resume", "--simplify", 2)
    assert ran.code == 2, "what is there was not simplified"
    assert "another --simplify" in ran.err
    out.unlink()
    assert run("--resume").code == 0
    assert out.exists()


def test_a_tile_that_fails_costs_the_exit_code_and_is_tried_again(run, tmp_path, monkeypatch):
    assert run(out="whole.geojsonl").code == 0
    monkeypatch.setenv("COLOURS_FAIL", "r1c1")
    ran = run("--json")
    assert ran.code == 1
    (failed,) = json.loads(ran.out)["failed_tiles"]
    assert failed["tile"] == "r1c1"
    assert "the tea is cold" in failed["message"]
    assert "1 tile failed" in ran.err
    assert (tmp_path / "out.geojsonl").exists()
    with Ledger(tmp_path / "out.geojsonl.ledger") as ledger:
        assert ledger.failures()[0][2] == 3
    ran = run()
    assert ran.code == 2
    assert "did not finish" in ran.err
    monkeypatch.delenv("COLOURS_FAIL")
    assert run("--resume").code == 0
    assert (tmp_path / "out.geojsonl").read_bytes() == (tmp_path / "whole.geojsonl").read_bytes()


def test_a_ledger_of_another_machine_is_continued_with_a_warning(
    run, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("COLOURS_FAIL", "r1c1")
    assert run().code == 1
    monkeypatch.delenv("COLOURS_FAIL")
    database = sqlite3.connect(tmp_path / "out.geojsonl.ledger")
    ((text,),) = database.execute("SELECT value FROM run WHERE key = 'identity'")
    identity = json.loads(text)
    identity["runtime"][3] = "another"
    database.execute("UPDATE run SET value = ? WHERE key = 'identity'", (json.dumps(identity),))
    database.commit()
    database.close()
    ran = run("--resume")
    assert ran.code == 0
    assert "another runtime or processor" in caplog.text


def test_a_ledger_that_is_none_is_named(run, tmp_path):
    (tmp_path / "out.geojsonl.ledger").write_text("not a database at all, but long enough" * 50)
    ran = run("--resume")
    assert ran.code == 2
    assert "cannot be used as a ledger" in ran.err


def test_a_full_disk_stops_cleanly_and_the_run_is_resumed(run, tmp_path, monkeypatch):
    assert run(out="whole.geojsonl").code == 0
    put = Ledger.put
    count = []

    def filled(self, *arguments):
        count.append(1)
        if len(count) == 5:
            pages = self._db.execute("PRAGMA page_count").fetchone()[0]
            self._db.execute(f"PRAGMA max_page_count={pages}")
        if len(count) >= 5:
            arguments = (arguments[0], os.urandom(200_000))
        put(self, *arguments)

    monkeypatch.setattr(Ledger, "put", filled)
    ran = run()
    assert ran.code == 1
    assert "no space left on the disk" in ran.err
    assert "--resume" in ran.err
    assert not (tmp_path / "out.geojsonl").exists()
    monkeypatch.setattr(Ledger, "put", put)
    with Ledger(tmp_path / "out.geojsonl.ledger") as ledger:
        assert len(ledger) == 4
    assert run("--resume").code == 0
    assert (tmp_path / "out.geojsonl").read_bytes() == (tmp_path / "whole.geojsonl").read_bytes()


def test_an_output_that_meets_a_full_disk_leaves_its_tiles_in_the_ledger(
    run, tmp_path, monkeypatch
):
    from samovar.streams import Streams

    def full(self, prompts):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Sink:
        def add(self, item):
            full(self, None)

        def advance(self, row): ...
        def abort(self): ...

    begin = Streams._begin

    def begun(self, path, spec):
        begin(self, path, spec)
        for i, one in enumerate(self._open):
            self._open[i] = type(one)(one.staged, Sink(), one.who)

    monkeypatch.setattr(Streams, "_begin", begun)
    ran = run()
    assert ran.code == 1
    assert "no space left on the disk" in ran.err
    monkeypatch.setattr(Streams, "_begin", begin)
    assert run("--resume").code == 0


def test_semantic_results_are_fewer_and_numbered_by_class(run, tmp_path):
    assert run("--semantic").code == 0
    found = [f["properties"] for f in lines(tmp_path / "out.geojsonl")]
    assert {f["label"] for f in found} == {1}
    assert len({f["id"] for f in found}) == len(found) > 1


def test_tile_options_are_refused_for_volumes(samovar, tmp_path, site):
    site.install("samovar-colours", PLUGIN)
    ran = samovar("segment", "x.tif", "--auto", "colours", "-o", "y.gpkg", "--workers", 0)
    assert ran.code == 2
    assert "--workers is 0" in ran.err
    ran = samovar(
        "segment", "x.tif", "--auto", "colours", "-o", "y.gpkg", "--resume", "--overwrite"
    )
    assert ran.code == 2
    assert "not both" in ran.err


class Command:
    """The command in a process of its own, which can be killed."""

    def __init__(self, folder: Path, raster: Path) -> None:
        self.folder, self.raster = folder, raster

    def start(self, out: str, *arguments: object, **environment: str) -> subprocess.Popen:
        paths = [str(self.folder / "site"), str(TESTS), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [
                sys.executable, "-c", START, "segment", str(self.raster), "--model", "colours",
                "--auto", "colours", "--modality", "rgb", "-o", str(self.folder / out),
                *map(str, arguments),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, out: str, *arguments: object, **environment: str) -> str:
        process = self.start(out, *arguments, **environment)
        said, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        return said + error


@pytest.fixture
def command(site, tmp_path, raster) -> Command:
    site.install("samovar-colours", PLUGIN)
    return Command(tmp_path, raster)


def content(path: Path) -> object:
    """Bytes of text; tables of a GeoPackage or columns of a Parquet file."""
    if path.suffix == ".gpkg":
        with sqlite3.connect(path) as database:
            return list(database.execute("SELECT * FROM objects ORDER BY fid"))
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pydict()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def killed_at_random(command: Command, kills: int, names: list[str], seed: int) -> None:
    """Kill a run again and again, then let it finish; compare with one that was not killed."""
    rng = random.Random(seed)
    whole = [f"whole{Path(n).suffix}" for n in names]
    more = [x for n in whole[1:] for x in ("-o", command.folder / n)]
    begun = time.monotonic()
    command.run(whole[0], *more)
    # a machine that was busy then must not be waited for ten times as long now
    length = min(time.monotonic() - begun, 10)
    more = [x for n in names[1:] for x in ("-o", command.folder / n)]
    died = 0
    while died < kills:
        process = command.start(names[0], *more, "--resume", COLOURS_SLEEP="0.02")
        try:
            process.wait(rng.uniform(0.2, 1.1) * length)
        except subprocess.TimeoutExpired:
            process.kill()
            died += 1
        _, said = process.communicate()
        if process.returncode == 0:
            for path in [*names, f"{names[0]}.ledger"]:
                (command.folder / path).unlink(missing_ok=True)
        else:
            assert process.returncode == -signal.SIGKILL, said
    command.run(names[0], *more, "--resume")
    for name, other in zip(names, whole, strict=True):
        assert content(command.folder / name) == content(command.folder / other), name
    left = {p.name for p in command.folder.iterdir()} - {"site", *names, *whole}
    assert left == {f"{names[0]}.ledger"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_that_was_killed_is_resumed_to_the_same_bytes(command):
    killed_at_random(command, kills=2, names=["out.geojsonl", "out.gpkg"], seed=1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_was_killed_at_many_random_moments_is_resumed(command, seed):
    names = ["out.geojsonl", "out.geojson", "out.gpkg", "out.parquet"]
    killed_at_random(command, kills=10, names=names, seed=seed)
