"""Ledger: what a run of tiles has finished, in a SQLite file beside its first output.

A run that was killed is continued from it: finished tiles are not looked at again, and since
objects are joined from the ledger in raster order, the outputs have the bytes that they would have
had without the interruption. A finished run leaves its name in the ledger, without the results.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from samovar.errors import OutputError, SamovarError, UsageError
from samovar.room import DiskFull, disk_full, is_full, says_full

SUFFIX = ".ledger"
VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiles (
    key TEXT PRIMARY KEY, failed TEXT, attempts INTEGER NOT NULL, result BLOB
);
"""


PATIENCE_S = 2.0
"""How long another run is waited for that has the ledger open."""


class LedgerInUse(OutputError):
    """Another run writes into the same files."""


def ledger_path(output: Path) -> Path:
    """The ledger of a run whose first output is ``output``."""
    return output.with_name(output.name + SUFFIX)


class Ledger:
    """Finished tiles of one run.

    Args:
        path: of the file; None: a spool in a temporary file that goes when it is closed.

    Raises:
        LedgerInUse: another run has it open.
        OutputError: the file cannot be written, or is no ledger.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(
                "" if path is None else path, timeout=PATIENCE_S, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error

    def _open(self) -> None:
        """Alone, with its tables; raises what SQLite raises."""
        # one run at a time; the system lets go of it when the process dies
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute(f"PRAGMA journal_mode={'OFF' if self.path is None else 'WAL'}")
        self._db.execute(f"PRAGMA synchronous={'OFF' if self.path is None else 'NORMAL'}")
        self._db.execute("PRAGMA cache_size=-8192")
        self._db.executescript(_SCHEMA)
        self._db.execute("SELECT 1 FROM tiles WHERE failed IS NULL LIMIT 1")
        if self.path is not None:
            # the lock is taken with the first word that is written
            with self._db:
                self._db.execute("DELETE FROM run WHERE key = ''")

    def _unusable(self, error: sqlite3.Error) -> SamovarError:
        if "locked" in str(error):
            return LedgerInUse(
                f"{self.path}: another run into the same files is at work: wait for it to end, or "
                "choose another name"
            )
        return self._full(error) or OutputError(
            f"{self.path}: cannot be used as a ledger ({error}): --overwrite begins anew"
        )

    @property
    def fresh(self) -> bool:
        """Nothing was written to it yet."""
        return self._get("identity") is None

    @property
    def done(self) -> bool:
        """The run that it is of came to its end."""
        return self._get("done") is not None

    def begin(self, identity: Mapping[str, Any], soft: Collection[str] = ()) -> list[str]:
        """Write down what the run is, or check that it is the same run.

        Args:
            identity: everything that the result depends on; JSON.
            soft: keys that may differ.

        Returns:
            Those of ``soft`` that do.

        Raises:
            UsageError: the ledger is of another run; says in what they differ.
        """
        now = json.loads(json.dumps({"ledger": VERSION, **identity}, default=str))
        before = self._get("identity")
        if before is None:
            self._set("identity", now)
            return []
        differing = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        hard = [k for k in differing if k not in soft]
        if hard:
            raise UsageError(
                f"{self.path}: is of a run with another {', '.join(hard)}: give the same "
                "options, or begin anew with --overwrite"
            )
        return differing

    def has(self, tile: str) -> bool:
        """Whether a tile was finished."""
        row = self._db.execute(
            "SELECT 1 FROM tiles WHERE key = ? AND failed IS NULL", (tile,)
        ).fetchone()
        return row is not None

    def result(self, tile: str) -> bytes:
        """What :meth:`put` was given."""
        row = self._db.execute("SELECT result FROM tiles WHERE key = ?", (tile,)).fetchone()
        return bytes(row[0])

    def put(self, tile: str, result: bytes, attempts: int = 1) -> None:
        """A tile is finished."""
        self._write("INSERT OR REPLACE INTO tiles VALUES (?, NULL, ?, ?)", (tile, attempts, result))

    def drop(self, tile: str) -> None:
        """Forget a result that is needed no more."""
        self._write("DELETE FROM tiles WHERE key = ?", (tile,))

    def fail(self, tile: str, message: str, attempts: int) -> None:
        """A tile failed for good; the next run tries again."""
        self._write(
            "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, NULL)", (tile, message, attempts)
        )

    def failures(self) -> list[tuple[str, str, int]]:
        """Tile, message and attempts of those that failed, by tile."""
        rows = self._db.execute(
            "SELECT key, failed, attempts FROM tiles WHERE failed IS NOT NULL ORDER BY key"
        )
        return list(rows)

    def __len__(self) -> int:
        row = self._db.execute("SELECT count(*) FROM tiles WHERE failed IS NULL").fetchone()
        return int(row[0])

    def finish(self, keep: bool) -> None:
        """The outputs are there: results go, the run's name stays if ``keep``."""
        if keep:
            self._set("done", True)
            with self._guarded():
                self._db.execute("DELETE FROM tiles WHERE failed IS NULL")
                self._db.commit()
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA journal_mode=DELETE")
            self.close()
            return
        self.close()
        remove_ledger(self.path)

    def close(self) -> None:
        """Save what there is and let go of the file; a full disk is no obstacle."""
        with suppress(sqlite3.Error):
            self._db.commit()
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _set(self, key: str, value: Any) -> None:
        with self._guarded():
            self._db.execute(
                "INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value, default=str))
            )
            self._db.commit()

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        with self._guarded():
            self._db.execute(sql, values)
            self._db.commit()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if full := self._full(error):
                raise full from error
            raise OutputError(f"{self.path}: the ledger cannot be written ({error})") from error

    def _full(self, error: sqlite3.Error) -> DiskFull | None:
        """What to say when the disk is full; None for other trouble."""
        folder = Path(tempfile.gettempdir()) if self.path is None else self.path.parent
        if not (says_full(error) or is_full(folder)):
            return None
        return disk_full(self.path or f"{folder} (temporary files)")


def clear_ledger(path: Path | None) -> None:
    """Delete a ledger unless a run has it open. Raises LedgerInUse."""
    if path is not None and path.exists():
        try:
            Ledger(path).close()
        except LedgerInUse:
            raise
        except SamovarError:
            pass  # whatever it is, it is in the way
    remove_ledger(path)


def remove_ledger(path: Path | None) -> None:
    """Delete a ledger and the files that SQLite keeps beside it."""
    if path is not None:
        for ending in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
