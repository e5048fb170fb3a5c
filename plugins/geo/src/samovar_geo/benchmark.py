"""``python -m samovar_geo.benchmark``: a real aerial scene, cost and accuracy in the same run.

The Banepa mosaic (OpenAerialMap, 0.13 m on the ground; buildings of OpenStreetMap), the part of it
that was kept from training, at its own resolution. It is shared sample data and not part of the
project: without it the benchmark says so and ends well.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window
from scipy import ndimage

from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import Measurement, measure
from samovar.benchmark.report import new_record, write_record
from samovar.errors import SamovarError
from samovar.evaluation.metrics import detection, iou, match
from samovar.masks import PixelMask

NAME = "banepa"
TITLE = "A real aerial scene: Banepa"
FOLDER = Path("data", "rasters", "fair_banepa_oam")
MOSAIC = "derived_mosaic_5632x4096.tif"
BUILDINGS = "derived_mosaic_5632x4096_buildings.tif"
FIRST_ROW = 2560
"""Rows from here on were kept from training."""
SMALLEST = 100
"""Pixels of a building that counts."""
CODE = "import sys; from samovar.benchmark.tile_work import run; run(*sys.argv[1:])"
STAGES = ("read", "encode", "decode", "link", "measure", "write", "rest")
ABOUT = (
    "The Banepa mosaic's rows from 2560 on, which no model here was trained on, where they are"
    " labelled, at native resolution; into a GeoPackage with ellipsoidal measures, one thread, with"
    " a ledger. CPU seconds are those of the whole process, its start and the loading of the model"
    " included. An object is found where its mask and a building's have an IoU of 0.5 or more, best"
    " score first, each building once; F1 counts every object, AP50 ranks them by score. Buildings"
    " that touch are one in the labels. The same buildings are the boxes."
)


@dataclass(frozen=True, eq=False)
class Scene:
    """The held-out part: its raster, its buildings, their boxes."""

    image: Path
    boxes: Path
    buildings: Sequence[PixelMask]
    transform: rasterio.Affine
    megapixels: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; the exit codes are those of the command line."""
    parser = argparse.ArgumentParser("python -m samovar_geo.benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds (default: 3)")
    parser.add_argument("--model", default="tiny", help="name or folder (default: tiny)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"), help="folder")
    options = parser.parse_args(argv)
    shared = Path(os.environ.get("SAMOVAR_SHARED", Path.cwd().parent / "shared"))
    folder = shared / FOLDER
    if not (folder / MOSAIC).is_file():
        sys.stderr.write(f"{NAME}: skipped, no sample data at {folder} (SAMOVAR_SHARED)\n")
        return 0
    try:
        with tempfile.TemporaryDirectory() as work:
            record = run_banepa(folder, Path(work), options.model, options.rounds)
        file = write_record(record, options.output)
    except SamovarError as error:
        sys.stderr.write(f"error: {NAME}: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{file}\n")
    return 0


def run_banepa(folder: Path, work: Path, model: str, rounds: int) -> dict[str, Any]:
    """Every case as often as asked, in turns; the record for the page."""
    scene = held_out(folder, work)
    cases = {"vector boxes": (str(scene.boxes), ""), "self-prompted, --auto grid": ("", "grid")}
    before = load_average()
    runs: dict[str, list[tuple[Measurement, dict[str, Any]]]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, (prompts, auto) in list(cases.items())[:: -1 if number % 2 else 1]:
            sys.stderr.write(f"{NAME}: round {number + 1}: {name}\n")
            runs[name].append(_run(scene, work / "out.gpkg", model, prompts, auto))
    results = {name: _result(scene, found) for name, found in runs.items()}
    return new_record(
        NAME, TITLE, ABOUT, rounds, before,
        scene={"megapixels": scene.megapixels, "buildings": len(scene.buildings)},
        results=results,
        tables=_tables(scene, results, model),
    )  # fmt: skip


def held_out(folder: Path, work: Path) -> Scene:
    """The labelled part of the held-out rows as a raster, its buildings, and their boxes."""
    with rasterio.open(folder / MOSAIC) as mosaic, rasterio.open(folder / BUILDINGS) as labels:
        band = labels.read(1, window=Window(0, FIRST_ROW, labels.width, labels.height - FIRST_ROW))
        columns = np.flatnonzero((band > 0).any(axis=0))
        # tiles of 512 are labelled as a whole
        left, right = columns[0] // 512 * 512, -(-(columns[-1] + 1) // 512) * 512
        window = Window(left, FIRST_ROW, right - left, mosaic.height - FIRST_ROW)
        transform = mosaic.window_transform(window)
        profile = {**mosaic.profile, "width": window.width, "height": window.height}
        profile |= {"transform": transform, "photometric": "rgb", "compress": "deflate"}
        image = work / "banepa.tif"
        with rasterio.open(image, "w", **profile) as part:
            part.write(mosaic.read(window=window))
            part.write_mask(mosaic.dataset_mask(window=window))
        crs = mosaic.crs.to_wkt()
    numbered, _ = ndimage.label(band[:, left:right] > 0)
    buildings = [
        mask
        for i, block in enumerate(ndimage.find_objects(numbered))
        if (mask := _mask(numbered[block] == i + 1, block)).inside.sum() >= SMALLEST
    ]
    boxes = work / "boxes.gpkg"
    _write_boxes(boxes, buildings, transform, crs)
    size = window.width * window.height / 1e6
    return Scene(image, boxes, buildings, transform, float(size))


def _mask(inside: NDArray[np.bool_], block: tuple[slice, ...]) -> PixelMask:
    return PixelMask.of(inside, tuple(s.start for s in block))


def _write_boxes(
    path: Path, buildings: Sequence[PixelMask], transform: rasterio.Affine, crs: str
) -> None:
    corners = [
        (*(transform * mask.region.start[::-1]), *(transform * mask.region.stop[::-1]))
        for mask in buildings
    ]
    shapes = [shapely.box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    pyogrio.raw.write(
        path, shapely.to_wkb(shapes), [np.arange(1, len(shapes) + 1)], np.array(["building"]),
        driver="GPKG", geometry_type="Polygon", crs=crs,
    )  # fmt: skip


def _run(
    scene: Scene, out: Path, model: str, prompts: str, auto: str
) -> tuple[Measurement, dict[str, Any]]:
    """One measured run, and what it found."""
    facts = out.with_suffix(".json")
    ran = measure(
        [str(scene.image), str(out), str(facts), model, prompts, auto], code=CODE, timeout=7200
    )
    record = json.loads(facts.read_text(encoding="utf-8"))
    masks, scores = _read(out, scene)
    out.unlink()
    found = match(masks, scores, scene.buildings)
    record["detection"] = detection([found])
    if prompts:
        best = [max((iou(m, t) for m in masks), default=0.0) for t in scene.buildings]
        record["mean_iou"] = float(np.mean(best))
    return ran, record


def _read(path: Path, scene: Scene) -> tuple[list[PixelMask], list[float]]:
    """Masks and scores out of the written file: what an analyst gets is what is judged."""
    meta, _, shapes, columns = pyogrio.raw.read(path, layer="objects")
    scores = columns[list(meta["fields"]).index("score")]
    inverse = ~scene.transform
    masks = []
    for shape in shapely.from_wkb(shapes):
        pixels = shapely.transform(
            shape,
            lambda p: np.column_stack(
                [inverse.a * p[:, 0] + inverse.c, inverse.e * p[:, 1] + inverse.f]
            ),
        )
        left, top, right, bottom = (round(v) for v in pixels.bounds)
        burnt = rasterize(
            [(pixels, 1)], (bottom - top, right - left),
            transform=rasterio.Affine.translation(left, top),
        )  # fmt: skip
        masks.append(PixelMask.of(burnt.astype(bool), (top, left)))
    return masks, [float(s) for s in scores]


def _result(scene: Scene, runs: Sequence[tuple[Measurement, dict[str, Any]]]) -> dict[str, Any]:
    """Medians of the costs; what was found is the same in every round."""
    cpu = [ran.cpu_s for ran, _ in runs]
    middle = runs[int(np.argsort(cpu)[len(cpu) // 2])]
    facts = middle[1]
    peaks = [ran.peak_rss_mb for ran, _ in runs if ran.peak_rss_mb is not None]
    return {
        "cpu_s": [round(v, 2) for v in cpu],
        "cpu_s_per_megapixel": round(float(np.median(cpu)) / scene.megapixels, 3),
        "run_cpu_s_per_megapixel": round(facts["cpu_s"] / scene.megapixels, 3),
        "wall_s": round(float(np.median([ran.wall_s for ran, _ in runs])), 1),
        "peak_rss_mb": round(max(peaks)) if peaks else None,
        "objects": facts["objects"],
        "tiles": facts["tiles"],
        "stages": facts["stages"],
        "run_cpu_s": facts["cpu_s"],
        "mean_iou": facts.get("mean_iou"),
        **{k: round(float(v), 4) for k, v in facts["detection"].items()},
    }


def _tables(scene: Scene, results: dict[str, dict[str, Any]], model: str) -> list[dict[str, Any]]:
    rows = [
        [
            name, f"{r['cpu_s_per_megapixel']:.2f}", f"{r['run_cpu_s_per_megapixel']:.2f}",
            f"{r['f1']:.3f}", f"{r['ap50']:.3f}",
            "" if r["mean_iou"] is None else f"{r['mean_iou']:.3f}",
            str(r["objects"]), str(r["peak_rss_mb"] or "not known"),
        ]
        for name, r in results.items()
    ]  # fmt: skip
    split = [[stage, *(_share(r, stage) for r in results.values())] for stage in STAGES]
    return [
        {
            "title": f"Cost and accuracy with {model}",
            "about": f"{scene.megapixels:.1f} megapixels, {len(scene.buildings)} buildings of at "
            f"least {SMALLEST} pixels. Goal with boxes: 3 CPU s a megapixel at an F1 of 0.85.",
            "columns": ["prompts", "CPU s/MP", "of it the run", "F1", "AP50", "mean IoU",
                        "objects", "peak MiB"],
            "rows": rows,
        },
        {
            "title": "Where the time went",
            "about": "CPU seconds of the run in each stage, and its share.",
            "columns": ["stage", *results],
            "rows": split,
        },
    ]  # fmt: skip


def _share(result: dict[str, Any], stage: str) -> str:
    seconds = result["stages"].get(stage, 0.0)
    return f"{seconds:.2f} ({100 * seconds / result['run_cpu_s']:.0f} %)"


if __name__ == "__main__":
    sys.exit(main())
