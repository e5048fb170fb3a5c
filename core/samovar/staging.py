"""Atomic outputs: written under a temporary name in the same folder, renamed when whole."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from samovar.discovery import one_line
from samovar.errors import OutputError, PluginError, SamovarError


@dataclass(frozen=True)
class Staged:
    """A finished output under its temporary name."""

    target: Path
    temporary: Path

    def commit(self) -> None:
        """Give the file its own name, replacing what was there.

        Raises:
            OutputError: the file that is there is in use or protected.
        """
        try:
            self.temporary.replace(self.target)
        except OSError as error:
            raise OutputError(
                f"{self.target}: cannot be replaced ({reason(error)}): close the program that "
                "has it open, or choose another name"
            ) from error

    def discard(self) -> None:
        """Remove what is left of the temporary file and of files beside it of the same name."""
        for left in self.temporary.parent.glob(f"{self.temporary.name}*"):
            with suppress(OSError):
                left.unlink()


def reason(error: OSError) -> str:
    """What the system said, without its number: ``No space left on device``."""
    return error.strerror or str(error) or type(error).__name__


@contextmanager
def all_or_nothing() -> Iterator[list[Staged]]:
    """A list to which finished outputs are added; at the end all get their names, or none does.

    Raises:
        OutputError: a file that is there cannot be replaced.
    """
    staged: list[Staged] = []
    try:
        yield staged
        for one in staged:
            one.commit()
    finally:
        for one in staged:
            one.discard()


def temporary_name(target: Path, suffix: str = "") -> Path:
    """A hidden name in the folder of ``target`` that ends as it does (``.nii.gz`` whole)."""
    suffix = suffix or target.suffix
    stem = target.name[: len(target.name) - len(suffix)]
    return target.with_name(f".{stem}.{secrets.token_hex(4)}{suffix}")


def stage(target: Path, who: str, write: Callable[[Path], object], suffix: str = "") -> Staged:
    """Let ``write`` fill a temporary file for ``target``; on failure nothing is left.

    Args:
        who: named in errors, ``"samovar-geo/gpkg"``.
        suffix: when longer than the last one, ``".nii.gz"``.

    Raises:
        OutputError: the disk refuses.
        PluginError: the writer failed or wrote nothing.
    """
    staged = Staged(target, temporary_name(target, suffix))
    done = False
    try:
        with redirect_stdout(sys.stderr):
            write(staged.temporary)
        if not staged.temporary.is_file():
            raise PluginError(f"{target}: {who} reported success but wrote no file")
        done = True
    except (SamovarError, KeyboardInterrupt):
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({reason(error)})") from error
    except Exception as error:
        raise PluginError(f"{target}: {who} failed: {one_line(error)}") from error
    finally:
        if not done:
            staged.discard()
    return staged
