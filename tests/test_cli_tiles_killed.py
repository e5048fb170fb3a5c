"""Runs that are killed at random moments and resumed have the outputs of runs that were not."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scenes import PLUGIN, shapes
from test_cli_tiles import write_scene

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("pyogrio")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(
    not (hasattr(signal, "SIGKILL") and hasattr(os, "fork")), reason="this system has no SIGKILL"
)

TESTS = Path(__file__).resolve().parent
OUTPUTS = (
    "out.geojsonl", "out.geojson", "out.gpkg", "out.fgb", "out.parquet", "out.tif",
    "out.stac.json",
)  # fmt: skip
OTHERS = ("preview.png", "manifest.json")


def survive(folder: Path, raster: Path, **fields: object) -> dict:
    """Kill runs into ``killed`` as a plan says; an uninterrupted run's outputs are in ``whole``."""
    start = folder / "start"
    start.mkdir()
    other_layer(start / "out.gpkg")
    (folder / "whole").mkdir()
    other_layer(folder / "whole" / "out.gpkg")

    def command(name: str) -> list[str]:
        place = folder / name
        return [
            "segment", str(raster), "--model", "colours", "--auto", "colours", "--modality", "rgb",
            *(x for out in OUTPUTS for x in ("-o", str(place / out))), "--quiet",
            "--preview", str(place / OTHERS[0]), "--manifest", str(place / OTHERS[1]),
        ]  # fmt: skip

    paths = [str(folder / "site"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    ran = subprocess.run(
        [sys.executable, "-m", "samovar", *command("whole")],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    plan = {
        "folder": str(folder / "killed"), "start": str(start),
        "command": [*command("killed"), "--resume"],
        "variants": [[], ["--workers", "3"]], **fields,
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, str(TESTS / "killing.py"), json.dumps(plan)],
        env=environment, capture_output=True, text=True, check=False, timeout=3000,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def other_layer(path: Path) -> None:
    """A GeoPackage that somebody else keeps a layer in."""
    import pyogrio.raw
    import shapely

    shape = np.array([shapely.to_wkb(shapely.box(300_000, 2_999_000, 300_100, 2_999_100))], object)
    pyogrio.raw.write(
        path, shape, [np.array(["mine"])], ["name"], layer="roads", driver="GPKG",
        geometry_type="Polygon", crs="EPSG:32645",
    )  # fmt: skip


def content(path: Path) -> object:
    """Text as it is; of other files all that they hold, times apart."""
    if path.suffix == ".gpkg":
        with closing(sqlite3.connect(path)) as base:
            columns = "f_table_name, f_geometry_column, styleName, styleQML, useAsDefault"
            layers = base.execute("SELECT table_name FROM gpkg_geometry_columns ORDER BY 1")
            # a layer that is written again comes last in the tables about layers
            return [
                *(list(base.execute(f"SELECT * FROM {n} ORDER BY fid")) for (n,) in list(layers)),
                *base.execute(f"SELECT {columns} FROM layer_styles ORDER BY 1"),
                *base.execute(
                    "SELECT table_name, min_x, max_y, srs_id FROM gpkg_contents ORDER BY 1"
                ),
                *base.execute("SELECT metadata FROM gpkg_metadata ORDER BY 1"),
            ]
    if path.suffix == ".parquet":
        import pyarrow.parquet

        told = dict(pyarrow.parquet.read_metadata(path).metadata)
        assert told[b"geo"]
        return pyarrow.parquet.read_table(path).to_pydict(), told
    if path.suffix == ".fgb":
        import pyogrio.raw

        meta, _, shapes, fields = pyogrio.raw.read(path)
        return [list(map(str, meta["fields"])), meta["crs"], shapes.tolist(),
                [f.tolist() for f in fields]]  # fmt: skip
    if path.suffix == ".tif":
        found = []
        with rasterio.open(path) as dataset:
            found.append((dataset.profile, dataset.tags(), dataset.read().tobytes()))
            levels = dataset.overviews(1)
        for level in range(len(levels)):
            with rasterio.open(path, overview_level=level) as dataset:
                found.append(dataset.read().tobytes())
        return found
    if path.name.endswith(".stac.json"):
        item = json.loads(path.read_text())
        for name in ("datetime", "created", "processing:datetime"):
            assert item["properties"].pop(name)
        return item
    return path.read_bytes()


def compare(folder: Path) -> None:
    for name in OUTPUTS:
        assert content(folder / "killed" / name) == content(folder / "whole" / name), name
    left = {p.name for p in (folder / "killed").iterdir()}
    assert left == {*OUTPUTS, *OTHERS, f"{OUTPUTS[0]}.ledger"}


@pytest.fixture
def raster(site, tmp_path):
    site.install("samovar-colours", PLUGIN)
    labels = shapes(np.random.default_rng(7), 1300, 1300, 200, 80)
    return write_scene(tmp_path / "scene.tif", labels)


def test_runs_that_are_killed_at_many_calls_give_every_output_unchanged(tmp_path, raster):
    told = survive(tmp_path, raster, kills=16, seed=3)
    compare(tmp_path)
    assert len(told["died"]) == 16
    assert told["again"] == 0
    assert "finished before" in told["said"]


@pytest.mark.slow
@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_runs_that_are_killed_a_hundred_times_give_every_output_unchanged(
    tmp_path, raster, seed, by_time
):
    told = survive(tmp_path, raster, kills=100, seed=seed, by_time=by_time)
    compare(tmp_path)
    assert len(told["died"]) == 100
