"""What a run shows and leaves behind: whole checkpoints, its course as CSV and as curves."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from samovar.evaluation.curves import draw_curves, read_curves


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Written beside, then renamed: a checkpoint is whole or it is not there."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


class Log:
    """Appends rows to a CSV; columns are fixed by the first row ever written."""

    def __init__(self, path: Path, columns: tuple[str, ...]):
        self.path, self.columns = path, columns
        if not path.exists():
            with path.open("w", newline="") as out:
                csv.writer(out).writerow(columns)

    def add(self, **values: Any) -> None:
        with self.path.open("a", newline="") as out:
            csv.writer(out).writerow([values.get(c, "") for c in self.columns])


def say(name: str, step: int, steps: int, minutes: float, figures: Mapping[str, float]) -> None:
    """Progress, over itself on a terminal's standard error; silent elsewhere."""
    if sys.stderr.isatty():
        told = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if v)
        sys.stderr.write(f"\r\033[K{name}: step {step} of {steps}, {minutes:.1f} min: {told}"[:160])
        if step == steps:
            sys.stderr.write("\n")


def write_curves(run: Path) -> None:
    """`train.svg` and `validation.svg` beside the tables of a run's folder."""
    for name in ("train", "validation"):
        table = run / f"{name}.csv"
        curves = read_curves(table) if table.is_file() else {}
        if any(curves.values()):
            shown = {k: v for k, v in curves.items() if any(y for _, y in v) and k != "rate"}
            title = "" if name == "train" else "validation"
            part = run / f"{name}.svg.part"
            part.write_text(draw_curves(shown, title), encoding="utf-8")
            part.replace(run / f"{name}.svg")
