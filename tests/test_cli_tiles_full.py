"""Disks that fill up in the middle of a run: one line, nothing half written, --resume goes on."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from samovar.room import FULL, is_full, require_room, says_full
from scenes import PLUGIN, shapes
from test_cli_tiles import write_scene
from test_cli_tiles_killed import content

pytest.importorskip("rasterio")
TESTS = Path(__file__).resolve().parent
WRITERS = ("gpkg", "fgb", "parquet", "geojson", "geojsonl", "tif", "stac.json")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EFBIG, "x"), True),
        (OSError("sqlite3_exec(COMMIT) failed: database or disk is full"), True),
        (OSError("Error writing bytes to file. Detail: No space left on device"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("fully unrelated"), False),
    ],
)
def test_a_full_disk_is_told_from_other_trouble(error, full):
    assert says_full(error) == full
    wrapped = RuntimeError("something")
    wrapped.__cause__ = error
    assert says_full(wrapped) == full


def test_a_disk_with_next_to_nothing_left_is_full(tmp_path, monkeypatch):
    require_room(tmp_path / "x")
    assert not is_full(tmp_path / "nowhere")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=FULL - 1))
    with pytest.raises(OSError, match="No space left"):
        require_room(tmp_path / "x")


@pytest.fixture
def unshare():
    """Where a user may mount small disks of his own."""
    program = shutil.which("unshare")
    command = [program or "", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    if program is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disks can be mounted here")
    return [program, "-rm"]


def filled(folder: Path, unshare: list[str], names: list[str]) -> dict[str, list[dict]]:
    """What happened on disks of growing size, by output; outputs without and with such an
    adventure are in ``out``."""
    labels = shapes(np.random.default_rng(7), 1300, 1300, 60, 400)
    raster = write_scene(folder / "scene.tif", labels)
    for name in ("disk", "out"):
        (folder / name).mkdir()
    segment = [
        "segment", str(raster), "--model", "colours", "--auto", "colours", "--modality", "rgb",
        "--quiet",
    ]  # fmt: skip
    paths = [str(folder / "site"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}

    def run(*command: str) -> str:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    for name in names:
        whole = str(folder / "out" / name)
        run(sys.executable, "-m", "samovar", *segment, "-o", whole)
    plan = {"disk": str(folder / "disk"), "names": names, "command": [*segment, "--resume"]}
    return json.loads(run(*unshare, sys.executable, str(TESTS / "filling.py"), json.dumps(plan)))


def check(folder: Path, told: dict[str, list[dict]]) -> None:
    for name, disks in told.items():
        *small, last = disks
        ledger = {f"{name}.ledger{ending}" for ending in ("", "-wal", "-shm", "-journal")}
        assert small, name
        for one in small:
            assert one["code"] == 1, (name, one)
            assert one["said"].startswith("samovar: ") or "\nsamovar: " in one["said"]
            assert "no space left on the disk" in one["said"], (name, one)
            assert "Traceback" not in one["said"]
            assert set(one["left"]) <= ledger, (name, one)
        assert last["code"] == 0, (name, last)
        assert last["left"] == [name, f"{name}.ledger"]
        assert content(folder / name) == content(folder / "out" / name), name


def test_a_disk_that_fills_up_stops_a_run_and_it_goes_on(site, tmp_path, unshare):
    site.install("samovar-colours", PLUGIN)
    told = filled(tmp_path, unshare, ["objects.fgb"])
    check(tmp_path, told)


@pytest.mark.slow
def test_every_writer_stops_cleanly_when_the_disk_is_full(site, tmp_path, unshare):
    site.install("samovar-colours", PLUGIN)
    told = filled(tmp_path, unshare, [f"objects.{ending}" for ending in WRITERS])
    check(tmp_path, told)
