"""Options of ``samovar segment`` that are about tiles."""

from __future__ import annotations

from dataclasses import dataclass

from samovar.errors import UsageError
from samovar.lattice import LARGEST, Tiling


@dataclass(frozen=True)
class TileOptions:
    """How a 2-D image is worked through, as it was asked for."""

    workers: int | None = None
    scheduler: str | None = None
    largest: int = LARGEST
    semantic: bool = False
    resume: bool = False
    overwrite: bool = False

    def check(self) -> None:
        """Raises UsageError for what does not go together."""
        Tiling(self.largest)
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers is {self.workers}: give 1 or more")
        if self.workers is not None and self.scheduler is not None:
            raise UsageError("give --workers (this machine) or --scheduler (dask), not both")
        if self.resume and self.overwrite:
            raise UsageError("give --resume (go on) or --overwrite (begin anew), not both")

    def refuse(self) -> None:
        """Raises UsageError when one was given for a run that has no tiles."""
        given = {
            "--workers": self.workers is not None,
            "--scheduler": self.scheduler is not None,
            "--max-object-size": self.largest != LARGEST,
            "--semantic": self.semantic,
            "--resume": self.resume,
        }
        for name, there in given.items():
            if there:
                raise UsageError(
                    f"{name} is about the tiles of rasters and pictures: leave it out for volumes, "
                    "segmenters, --extend and --split-labels"
                )
