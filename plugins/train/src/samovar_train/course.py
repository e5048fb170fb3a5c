"""What a run leaves behind: checkpoints that are whole, and its course in CSV files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch


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
