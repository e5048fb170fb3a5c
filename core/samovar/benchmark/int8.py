"""The benchmark of int8: how much faster a bundle's int8 graphs are, and how near the hardware.

Each model runs in a process of its own under each instruction set. Within it both precisions take
turns on the same arrays, one thread, and CPU seconds count. Models without int8 graphs are
quantised first, with generated weights and pictures: that shows speed and nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.process import CAPS, UNCAPPED, pinned, run_case
from samovar.benchmark.report import new_record

NAME = "int8"
TITLE = "int8 against fp32"
ABOUT = (
    "The int8 graphs of a bundle against its fp32 graphs, one thread, on the same arrays, in"
    " turns. CPU milliseconds are those of the best round; a ratio is the median over the rounds."
    " Of the encoder, the share is its multiply-accumulates a second in int8 beside those of a"
    " bare uint8 × int8 matrix product of ONNX Runtime (1024 × 1152 × 128), measured in the same"
    " run. Models but tiny have generated weights: their figures are of speed alone."
)
MODELS = ("tiny", "mobile-sam", "efficientvit-sam-l0", "repvit-sam")
GOALS = {"speed": 1.8, "share": 0.35}
PICTURES = 3


def run_int8(
    rounds: int,
    models: Sequence[str] = MODELS,
    caps: Sequence[str] = tuple(CAPS),
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measures every model under every cap; what cannot be had is noted.

    Args:
        models: names, or folders of bundles.

    Raises:
        BenchmarkError: nothing could be measured.
    """
    before, notes, found = load_average(), [], []
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            for isa in caps:
                if progress is not None:
                    progress(f"{model}, {isa}")
                try:
                    found.append({"model": Path(model).name, "isa": isa,
                                  **_case(model, isa, rounds, Path(folder))})  # fmt: skip
                except BenchmarkError as error:
                    notes.append(f"{model}, {isa}: {error}")
    if not found:
        raise BenchmarkError("; ".join(notes))
    return new_record(
        NAME, TITLE, ABOUT, rounds, before, tables=tables(found), notes=notes, measured=found
    )


def tables(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Encoders, and one encode with its boxes."""
    encoders, jobs = [], []
    for case in found:
        for row in case["rows"]:
            figures = [f"{row['fp32_ms']:.1f}", f"{row['int8_ms']:.1f}", f"{row['ratio']:.2f}"]
            line = [case["model"], case["isa"], row["runtime"], *figures]
            if row["stage"] == "encoder":
                share = row.get("share")
                encoders.append([*line, "" if share is None else f"{100 * share:.0f} %"])
            else:
                jobs.append(line)
    columns = ["model", "instruction set", "runtime", "fp32 ms", "int8 ms", "×"]
    goals = f"Asked with VNNI: × {GOALS['speed']}, and a share of {100 * GOALS['share']:.0f} %."
    return [
        {"title": "Encoder", "about": goals, "columns": [*columns, "share of the GEMM rate"],
         "rows": encoders},
        {"title": "One picture and 10 boxes, from pixels to masks", "about": "", "columns": columns,
         "rows": jobs},
    ]  # fmt: skip


def _case(model: str, isa: str, rounds: int, folder: Path) -> dict[str, Any]:
    """One process. Raises BenchmarkError with its last line."""
    data = folder / "pictures"
    if not data.exists():
        write_pictures(data)
    measured = run_case(
        "samovar.benchmark.int8_case", model, rounds, data, folder / "int8", environment=pinned(isa)
    )
    if CAPS[isa]:
        measured["rows"] = [r for r in measured["rows"] if r["runtime"] not in UNCAPPED]
    return measured


def write_pictures(folder: Path) -> None:
    """A set of a few pictures with an ellipse each, to calibrate models of generated weights."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    y, x = np.mgrid[:480, :640]
    for number in range(PICTURES):
        rng = np.random.default_rng(number)
        truth = ((y - 220) / 110) ** 2 + ((x - 200 - 80 * number) / 150) ** 2 < 1
        grey = np.where(truth, 180, 70) + rng.normal(0, 10, truth.shape)
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(
            folder / "images" / f"{number}.png"
        )
        Image.fromarray(truth.astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    (folder / "classes.json").write_text('{"1": "ellipse"}', encoding="utf-8")
