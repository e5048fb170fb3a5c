"""How the tiles of a raster or picture are worked through, as it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from samovar.errors import UsageError
from samovar.lattice import LARGEST, Tiling


@dataclass(frozen=True)
class TileOptions:
    """How a 2-D image is worked through. The result depends on the third and fourth alone."""

    workers: int | None = None
    """Tiles looked at at a time, in threads of this process; None: one."""
    scheduler: str | None = None
    """``tcp://HOST:PORT`` or ``local:N``: the workers of dask.distributed look at them."""
    max_object_size: int = LARGEST
    """Pixels; up to this size an object is seen whole by one tile, larger ones are joined."""
    semantic: bool = False
    """Classes instead of instances: objects of a class that touch are one."""
    resume: bool = False
    """Go on with a run into the same files, or begin one."""
    overwrite: bool = False
    """Begin anew over results that are there."""

    def check(self) -> None:
        """Raises UsageError for what does not go together."""
        Tiling(self.max_object_size)
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
            "--max-object-size": self.max_object_size != LARGEST,
            "--semantic": self.semantic,
            "--resume": self.resume,
        }
        for name, there in given.items():
            if there:
                raise UsageError(
                    f"{name} is about the tiles of rasters and pictures: leave it out for volumes, "
                    "segmenters, --extend and --split-labels"
                )
