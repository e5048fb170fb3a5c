"""What a vector format is given to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyproj import CRS


@dataclass(frozen=True, eq=False)
class Feature:
    """One object: its values by column, and its shape in the CRS of the file."""

    row: Mapping[str, Any]
    shape: Any


@dataclass(frozen=True, eq=False)
class Batch:
    """A whole file's worth of features, to be taken some hundred at a time."""

    path: Path
    layer: str
    crs: CRS | None
    columns: Mapping[str, str]
    """Name → ``int``, ``float`` or ``text``."""
    features: Iterator[list[Feature]]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drain:
    """How one format is written."""

    write: Callable[[Batch], None]
    """Raises OSError when the file cannot be written."""
    lonlat: bool = False
    """Lon/lat only, cut at the antimeridian."""
    check: Callable[[Path, str], None] | None = None
    """``(target, layer)``: raises OutputError for a file that cannot be replaced."""
    prepare: Callable[[Path, Path], None] | None = None
    """``(target, path)``: what is there already goes to the temporary name first."""

    replaces: Callable[[Path, str], bool] | None = None
    """``(target, layer)``: whether the layer is there already; None: the file is replaced."""

    def __call__(self, batch: Batch) -> None:
        self.write(batch)
