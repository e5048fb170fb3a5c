"""Segmenters of volumes: what one object and five cost, from a cold start to a file on disk.

Generated weights: what they find says nothing, what they cost is what the published ones cost.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samovar.benchmark.compare import Case, case_record, take_turns
from samovar.benchmark.generated import generated_architecture
from samovar.benchmark.machine import load_average
from samovar.benchmark.report import new_record
from samovar.benchmark.volume_inputs import write_large, write_prompts
from samovar.errors import SamovarError
from samovar.folders import cache_folder
from samovar.plugins import registry
from samovar.runtimes import usable_runtimes
from samovar.segmenter_bundle import SegmenterBundle

NAME = "segmenters"
TITLE = "3-D segmenters"
ABOUT = (
    "`samovar segment` on a generated CT of 512 × 512 × 128 voxels of 0.8 × 0.8 × 1 mm, one box and"
    " five, with the 3-D models as segmenters: 128³ cells of 1.5 mm around each box. One thread,"
    " cold start, loading and the check of the files' hashes included; generated weights."
)
MODELS = ("fastsam3d", "sam-med3d")
COUNTS = (1, 5)


def run_segmenters(rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Every model in every runtime that is installed, the cases taking turns.

    Raises:
        UsageError: a plugin with one of the models is not installed.
        DependencyError: no runtime, or not what exporting takes.
        BenchmarkError: a measured command failed.
    """
    runtimes = [spec.name for spec in usable_runtimes("fp32", (".onnx",))]
    before = load_average()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        volume, boxes = write_large(place / "ct.nii.gz", count=128, side=512)
        cases = []
        for model in MODELS:
            bundle = _bundle(model)
            for runtime in runtimes:
                for count in COUNTS:
                    prompts = place / f"{count}.json"
                    write_prompts([_middle(box) for box in boxes[:count]], prompts)
                    cases.append(_case(model, bundle, runtime, volume, prompts, count))
        measured = take_turns(cases, rounds, progress=lambda name, _: progress(name))
        return new_record(
            NAME, TITLE, ABOUT, rounds, before, cases=[case_record(c, measured) for c in cases]
        )


def _case(model: str, bundle: Path, runtime: str, volume: Path, prompts: Path, count: int) -> Case:
    objects = f"{count} object{'s' * (count > 1)}"
    asked = ("--modality", "ct", "--runtime", runtime, "--threads", "1", "--quiet")
    return Case(
        f"{model}, {runtime}, {objects}",
        ("segment", str(volume), "--model", str(bundle), "--prompts", str(prompts), *asked,
         "-o", str(prompts.with_suffix(".nii.gz"))),
        1,
        baseline="" if count == COUNTS[0] else f"{model}, {runtime}, 1 object",
        shown=("segment", "ct.nii.gz", "--model", model, "--prompts", "boxes.json", *asked),
    )  # fmt: skip


def _middle(box: list[float]) -> list[float]:
    """A box of 40 slices out of one that goes through the whole volume."""
    return [*box[:2], 44.0, *box[3:5], 84.0]


def _bundle(model: str) -> Path:
    """A segmenter's folder with generated weights, in the cache, exported where not there."""
    folder = cache_folder() / "generated" / f"segmenter-{model}"
    try:
        return SegmenterBundle.load(folder).folder
    except SamovarError:
        shutil.rmtree(folder, ignore_errors=True)  # not there yet, or damaged
    folder.parent.mkdir(parents=True, exist_ok=True)
    generated_architecture(registry().find("encoder", model)).export(folder)
    return folder
