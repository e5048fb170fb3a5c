"""The engine's benchmark: what tiles cost beside the model, and what they keep in memory."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import Measurement, measure
from samovar.benchmark.report import new_record
from samovar.benchmark.tile_reading import reading
from samovar.errors import DependencyError
from samovar.lattice import Tiling

NAME = "engine"
TITLE = "Tiles: the engine"
ABOUT = (
    "Rasters generated on the spot, segmented by a model that costs nothing (connected bright"
    " pixels are objects), with a ledger, into a GeoPackage with ellipsoidal measures. Each row is"
    " a process of its own; the CPU seconds of a run of one tile, which is what starting costs,"
    " are taken off where said."
)
CODE = "import sys; from samovar.benchmark.tile_work import run; run(*sys.argv[1:])"
SPARSE = (1, 10, 100)
"""Gigapixels."""
MANY = (10_000, 30_000, 100_000)
"""Objects."""
SIDE = 5000
"""Of the raster for the cost a megapixel."""
WITH_MODEL = 10_000
"""Of the generated scene."""
BLOCK = 512
Say = Callable[[str], Any]


def run_engine(model: str, progress: Say = lambda text: None) -> dict[str, Any]:
    """Generates rasters in a temporary folder and measures.

    Raises:
        DependencyError: samovar-geo or the generators are not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _record(Path(folder), model, progress)


def _record(folder: Path, model: str, progress: Say) -> dict[str, Any]:
    before = load_average()
    tables = [
        _overhead(folder, progress),
        _sparse(folder, progress),
        _many(folder, progress),
        reading(folder, progress),
        _with_model(folder, model, progress),
    ]
    return new_record(NAME, TITLE, ABOUT, 1, before, tables=tables)


def _overhead(folder: Path, progress: Say) -> dict[str, Any]:
    rows = []
    one, _ = _measured(_scene(folder, BLOCK, 10), progress)
    for count in (0, 10, 100):
        path = _scene(folder, SIDE, count)
        ran, facts = _measured(path, progress)
        share = (ran.cpu_s - one.cpu_s) / facts["megapixels"]
        rows.append(
            [
                f"{count} objects a tile", f"{facts['megapixels']:.0f}", f"{facts['objects']}",
                f"{ran.cpu_s:.1f}", f"{share:.3f}",
                *(f"{facts['stages'].get(k, 0):.2f}" for k in STAGES),
            ]
        )  # fmt: skip
    return {
        "title": "CPU seconds a megapixel",
        "about": f"A run of one tile, {one.cpu_s:.1f} CPU s, is taken off. The stages are CPU "
        "seconds of the whole run, each in the thread that did the work; the rest is the intensity "
        "step, what becomes of answers, the ledger and the threads themselves.",
        "columns": ["scene", "MP", "objects", "CPU s", "CPU s/MP", *STAGES],
        "rows": rows,
    }


STAGES = ("read", "decode", "link", "measure", "write", "rest")


def _sparse(folder: Path, progress: Say) -> dict[str, Any]:
    rows, peaks = [], []
    for gigapixels in SPARSE:
        path = _sparse_scene(folder / f"sparse{gigapixels}.tif", gigapixels)
        ran, facts = _measured(path, progress)
        peaks.append(ran.peak_rss_mb)
        rows.append(
            [
                f"{gigapixels} gigapixels", f"{facts['tiles']}", f"{facts['objects']}",
                f"{ran.wall_s:.0f}", f"{ran.cpu_s:.0f}",
                "not known" if ran.peak_rss_mb is None else f"{ran.peak_rss_mb:.0f}",
            ]
        )  # fmt: skip
        path.unlink()
    known = [p for p in peaks if p is not None]
    spread = f" The largest peak is × {max(known) / min(known):.3f} the smallest." if known else ""
    return {
        "title": "Peak memory of sparse scenes",
        "about": "Sparse tiled GeoTIFFs with objects on 0.1 % of their pixels; blocks without were "
        "never written and are passed over by the block index." + spread,
        "columns": ["scene", "tiles seen", "objects", "wall s", "CPU s", "peak MiB"],
        "rows": rows,
    }


def _many(folder: Path, progress: Say) -> dict[str, Any]:
    one, _ = _measured(_scene(folder, BLOCK, 10), progress)
    rows, each = [], []
    for count in MANY:
        path = _dots(folder / f"dots{count}.tif", count)
        ran, facts = _measured(path, progress)
        each.append((ran.cpu_s - one.cpu_s) / facts["objects"] * 1e3)
        rows.append(
            [f"{facts['objects']}", f"{ran.cpu_s:.1f}", f"{each[-1]:.2f}",
             f"{1e3 * facts['stages']['link'] / facts['objects']:.2f}",
             "not known" if ran.peak_rss_mb is None else f"{ran.peak_rss_mb:.0f}"]
        )  # fmt: skip
        path.unlink()
    return {
        "title": "Many objects",
        "about": "Squares of 6 pixels, 10 apart, 128 side by side: 2,600 a tile, in scenes that "
        "differ in height alone. Linear in their number: the third column stays."
        f" The largest is × {max(each) / min(each):.2f} the smallest.",
        "columns": ["objects", "CPU s", "CPU ms an object", "of it linking", "peak MiB"],
        "rows": rows,
    }


def _with_model(folder: Path, model: str, progress: Say) -> dict[str, Any]:
    progress("generating the scene")
    path, boxes = _generated(folder, WITH_MODEL)
    ran, facts = _measured(path, progress, model, str(boxes))
    spent, stages = facts["cpu_s"], ("read", "encode", *STAGES[1:])
    shares = {k: facts["stages"].get(k, 0.0) for k in stages}
    return {
        "title": f"Where the time goes with {model}",
        "about": f"A generated scene of {facts['megapixels']:.0f} megapixels, {facts['objects']} "
        f"boxes in {facts['tiles']} views, one thread: {ran.cpu_s:.0f} CPU s, "
        f"{ran.cpu_s / facts['megapixels']:.2f} a megapixel, {ran.wall_s:.0f} s of wall time.",
        "columns": ["stage", "CPU s", "share"],
        "rows": [[k, f"{v:.1f}", f"{100 * v / spent:.1f} %"] for k, v in shares.items()],
    }


def _generated(folder: Path, side: int) -> tuple[Path, Path]:
    """A scene of samovar-datasets and the boxes of its buildings."""
    try:
        scenes = import_module("samovar_datasets.scenes")
        files = import_module("samovar_datasets.raster_files")
    except ImportError as error:
        raise DependencyError("its scene is generated: pip install -e datasets") from error
    scene = scenes.Scene(17, (side, side), 0.5)
    written = files.write_scene(
        scene, folder, "generated", overviews=False, classes=False, vectors=False
    )
    boxes = folder / "boxes.geojson"
    files.write_box_features(scene, (t for t in scene.truth() if t.kind == "building"), boxes)
    return written["image"], boxes


def _measured(
    path: Path, progress: Say, model: str = "", boxes: str = ""
) -> tuple[Measurement, dict[str, Any]]:
    progress(path.name)
    out, facts = path.with_suffix(".gpkg"), path.with_suffix(".json")
    ran = measure([str(path), str(out), str(facts), model, boxes], code=CODE, timeout=7200)
    out.unlink()
    return ran, json.loads(facts.read_text(encoding="utf-8"))


def _scene(folder: Path, side: int, objects: int) -> Path:
    """About ``objects`` boxes of 8 to 50 pixels a tile, none touching another."""
    path = folder / f"scene{side}-{objects}.tif"
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    pixels = np.zeros((side, side), dtype=np.uint8)
    wanted = round(objects * (side / Tiling().stride) ** 2)
    largest = 50 if objects <= 10 else 20
    while wanted:
        h, w = rng.integers(8, largest, 2)
        y, x = rng.integers(2, side - 52, 2)
        if not pixels[y - 2 : y + h + 2, x - 2 : x + w + 2].any():
            pixels[y : y + h, x : x + w] = 200
            wanted -= 1
    with _create(path, side, side) as dataset:
        dataset.write(pixels, 1)
    return path


def _dots(path: Path, count: int) -> Path:
    columns = 128
    pixels = np.zeros((-(-count // columns) * 10, columns * 10), dtype=np.uint8)
    for i in range(count):
        y, x = divmod(i, columns)
        pixels[10 * y + 2 : 10 * y + 8, 10 * x + 2 : 10 * x + 8] = 200
    with _create(path, *pixels.shape) as dataset:
        dataset.write(pixels, 1)
    return path


def _sparse_scene(path: Path, gigapixels: int) -> Path:
    """Objects in one block of 200, on a fifth of its pixels; the others are not in the file."""
    side = round((gigapixels * 1e9) ** 0.5 / BLOCK) * BLOCK
    count = side // BLOCK
    rng = np.random.default_rng(gigapixels)
    chosen = rng.choice(count * count, max(1, count * count // 200), replace=False)
    window = import_module("rasterio.windows").Window
    block = _block(rng)
    with _create(path, side, side, SPARSE_OK=True, BIGTIFF="YES", nodata=0) as dataset:
        for place in np.sort(chosen):
            y, x = divmod(int(place), count)
            dataset.write(block, 1, window=window(x * BLOCK, y * BLOCK, BLOCK, BLOCK))
    return path


def _block(rng: np.random.Generator) -> NDArray[np.uint8]:
    pixels = np.ones((BLOCK, BLOCK), dtype=np.uint8)
    for y in range(3):
        for x in range(3):
            h, w = rng.integers(20, 120, 2)
            top, left = 20 + 160 * y, 20 + 160 * x
            pixels[top : top + h, left : left + w] = 200
    return pixels


def _create(path: Path, rows: int, columns: int, **more: Any) -> Any:
    try:
        rasterio = import_module("rasterio")
    except ImportError as error:
        raise DependencyError("this benchmark needs rasters: pip install samovar-geo") from error
    return rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=1, dtype="uint8",
        crs="EPSG:32645", transform=rasterio.Affine(0.5, 0, 300_000, 0, -0.5, 3_000_000),
        tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="deflate", **more,
    )  # fmt: skip


def say(text: str) -> None:
    """Progress on standard error."""
    sys.stderr.write(f"{NAME}: {text}\n")
