"""The first benchmark: the main job, from a cold start to files on disk."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from samovar.benchmark.compare import Case
from samovar.errors import DependencyError, InputError

NAME = "main-job"
TITLE = "The main job"
ABOUT = (
    "`samovar segment` on the two inputs of `make demo`: the generated CT-like volume with its"
    " boxes, written as NIfTI, and the generated aerial scene with its boxes, written as"
    " GeoPackage. `start` is `samovar --help`: what any command costs before it does anything."
)


def write_inputs(folder: Path) -> None:
    """The inputs of ``make demo``.

    Raises:
        DependencyError: the generators are not installed.
    """
    try:
        generators = import_module("samovar_datasets")
    except ImportError as error:
        raise DependencyError(
            "the benchmark's inputs are generated: pip install -e datasets"
        ) from error
    generators.write_demo_inputs(folder)


def cases(folder: Path, model: str = "tiny") -> list[Case]:
    """``start``, and the volume and the scene with one thread and with two."""
    found = [Case("start", ("--help",), note="starting Python and reading the plugins")]
    for name, image, prompts, output in (
        ("volume", "ct.nii.gz", "ct_boxes.json", "out.nii.gz"),
        ("scene", "scene.tif", "scene_boxes.geojson", "out.gpkg"),
    ):
        for file in (image, prompts):
            if not (folder / file).is_file():
                raise InputError(f"{folder / file} is missing: generate the inputs again")
        for threads in (1, 2):
            found.append(
                Case(
                    f"{name}, {threads} thread{'s' * (threads > 1)}",
                    _segment(folder, image, prompts, f"{threads}-{output}", threads, model),
                    threads,
                    _described(folder, image, prompts) if threads == 1 else "",
                    "" if threads == 1 else f"{name}, 1 thread",
                    shown=_segment(Path(), image, prompts, output, threads, model)[:-3],
                )
            )
    return found


def model_record(folder: Path) -> dict[str, Any]:
    """What the last run's manifest says of the model and of what ran it."""
    manifests = sorted(folder.glob("*.manifest.json"))
    record = json.loads(manifests[0].read_text(encoding="utf-8")) if manifests else {}
    return dict(record.get("model", {}))


def _segment(
    folder: Path, image: str, prompts: str, output: str, threads: int, model: str
) -> tuple[str, ...]:
    return (
        "segment", str(folder / image), "--prompts", str(folder / prompts),
        "-o", str(folder / output), "--model", model, "--threads", str(threads),
        "--manifest", str(folder / f"{output}.manifest.json"), "--overwrite",
    )  # fmt: skip


def _described(folder: Path, image: str, prompts: str) -> str:
    from samovar.formats import open_image, read_prompts

    with open_image(str(folder / image)) as opened:
        size = " × ".join(str(n) for n in opened.grid.shape[::-1])
        boxes = len(read_prompts(str(folder / prompts), opened))
        return f"{size} × {opened.channels} {opened.dtype}, {boxes} boxes"
