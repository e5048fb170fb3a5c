"""A spool beside the output: finished objects wait on disk until the file can be written.

What a column holds, and which neighbours an object has, is known only when all objects were seen.
Memory stays flat whatever their number: shapes and rows lie in an SQLite file that is removed with
the output's temporary name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from samovar.grid import Region

SUFFIX = ".spool"
"""After the output's temporary name, which the host removes together with files beside it."""
PENDING = 512
"""Rows that are written at a time."""


@dataclass(frozen=True, eq=False)
class Kept:
    """One object as the spool gives it back."""

    number: int
    """Place in the order of arrival, from 1."""
    region: Region
    shape: Any
    """MultiPolygon in corner coordinates."""
    row: dict[str, Any]


class Spool:
    """Objects in the order of their arrival."""

    def __init__(self, output: Path) -> None:
        """Opens an empty spool. Raises OSError when the folder cannot be written."""
        self.file = output.with_name(output.name + SUFFIX)
        self.count = 0
        self._pending: list[tuple[Any, ...]] = []
        self._indexed = False
        try:
            self._base = sqlite3.connect(self.file, isolation_level=None)
            self._base.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-2048;"
                "CREATE TABLE kept (number INTEGER PRIMARY KEY, top INT, lft INT, bottom INT,"
                " rght INT, shape BLOB, line TEXT)"
            )
        except sqlite3.Error as error:
            raise OSError(f"{output.parent}: the spool cannot be written ({error})") from error

    def add(self, region: Region, shape: Any, row: dict[str, Any]) -> None:
        """One object; ``row`` holds what JSON knows. Raises OSError when the disk is full."""
        self.count += 1
        line = json.dumps(row, ensure_ascii=False)
        self._pending.append((self.count, *region.start, *region.stop, shapely.to_wkb(shape), line))
        if len(self._pending) >= PENDING:
            self._flush()

    def __iter__(self) -> Iterator[Kept]:
        self._flush()
        cursor = self._base.execute("SELECT * FROM kept ORDER BY number")
        return (_kept(row) for row in cursor)

    def touching(self, kept: Kept) -> list[int]:
        """Numbers of the other objects whose bounds touch those of ``kept``."""
        self._index()
        (top, left), (bottom, right) = kept.region.start, kept.region.stop
        rows = self._base.execute(
            "SELECT id FROM places WHERE top <= ? AND bottom >= ? AND lft <= ? AND rght >= ?",
            (bottom, top, right, left),
        )
        return sorted(number for (number,) in rows if number != kept.number)

    def get(self, number: int) -> Kept:
        """The object that arrived as number ``number``."""
        row = self._base.execute("SELECT * FROM kept WHERE number = ?", (number,)).fetchone()
        return _kept(row)

    def close(self) -> None:
        """Remove the spool. May be called twice."""
        self._base.close()
        with suppress(OSError):
            self.file.unlink()

    def _flush(self) -> None:
        try:
            self._base.execute("BEGIN")
            self._base.executemany("INSERT INTO kept VALUES (?,?,?,?,?,?,?)", self._pending)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(f"the spool cannot be written ({error})") from error
        self._pending.clear()

    def _index(self) -> None:
        """An R-tree of all bounds, made when the first neighbour is asked for."""
        if self._indexed:
            return
        self._flush()
        try:
            # 32-bit integers are exact, unlike the R-tree's usual floats
            self._base.executescript(
                "CREATE VIRTUAL TABLE places USING rtree_i32(id, top, bottom, lft, rght);"
                "INSERT INTO places SELECT number, top, bottom, lft, rght FROM kept"
            )
        except sqlite3.Error as error:
            raise OSError(f"the spool cannot be written ({error})") from error
        self._indexed = True


def _kept(row: tuple[Any, ...]) -> Kept:
    number, top, left, bottom, right, shape, line = row
    region = Region((top, left), (bottom, right))
    return Kept(number, region, shapely.from_wkb(shape), json.loads(line))
