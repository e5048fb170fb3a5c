"""Atomic outputs: written under a temporary name in the same folder, renamed when whole.

An output is there whole or not at all. When one of several fails, none is there; when the user
stops the writing of several, those that were finished are kept.
"""

from __future__ import annotations

import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samovar.discovery import one_line
from samovar.errors import Cancelled, OutputError, PluginError, SamovarError


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


class Turn:
    """Several outputs, one after the other; what was finished when the user stops is kept.

    The first Ctrl-C lets the output at work be finished and leaves out the others; the second
    one breaks it off and removes it.
    """

    def __init__(self, staged: list[Staged]) -> None:
        self.staged = staged
        self.left: list[Path] = []
        """Outputs that were not written."""
        self.stopped = False
        """No further output is begun."""

    def write(self, target: Path, make: Callable[[], Staged], *, about_them: bool = False) -> None:
        """The next output.

        Args:
            about_them: a small one that goes with the others (a manifest): it is written even
                after a stop, where any of them was.
        """
        if self.stopped and not (about_them and self.staged):
            self.left.append(target)
            return
        try:
            self.staged.append(make())
        except KeyboardInterrupt:
            self.stopped = True
            self.left.append(target)

    @property
    def finished(self) -> list[Path]:
        return [one.target for one in self.staged]

    def told(self) -> str:
        """What was kept, for the user."""
        kept = ", ".join(str(path) for path in self.finished)
        left = ", ".join(str(path) for path in self.left)
        told = f"whole and kept: {kept}" if kept else "no output was finished"
        return f"cancelled while writing: {told}" + (f"; not written: {left}" if left else "")


@contextmanager
def in_turn() -> Iterator[Turn]:
    """Outputs that are written one after the other; at the end all get their names.

    Raises:
        Cancelled: the user stopped; what was finished has its name, and the message says so.
        OutputError: a file that is there cannot be replaced.
        SamovarError: what a writer raised; nothing is left.
    """
    with all_or_nothing() as staged:
        turn = Turn(staged)
        with _first_interrupt_waits(turn):
            try:
                yield turn
            except KeyboardInterrupt:  # between two outputs
                turn.stopped = True
    if turn.stopped:  # though nothing may be left: what comes after is not wanted either
        raise Cancelled(turn.told())


@contextmanager
def _first_interrupt_waits(turn: Turn) -> Iterator[None]:
    """Ctrl-C stops the turn, and only the next one interrupts what is being done."""
    ordinary = signal.default_int_handler
    ours = threading.current_thread() is threading.main_thread()
    # who ignores interrupts, or handles them in a way of their own, goes on doing so
    if not ours or signal.getsignal(signal.SIGINT) is not ordinary:
        yield
        return

    def note(number: int, frame: Any) -> None:
        if turn.stopped:
            ordinary(number, frame)
        turn.stopped = True
        sys.stderr.write("samovar: finishing this output; Ctrl-C again breaks it off\n")

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ordinary)


def temporary_name(target: Path, suffix: str = "") -> Path:
    """A hidden name in the folder of ``target`` that ends as it does (``.nii.gz`` whole)."""
    suffix = suffix or target.suffix
    stem = target.name[: len(target.name) - len(suffix)]
    return target.with_name(f".{stem}.{secrets.token_hex(4)}{suffix}")


def sweep(target: Path, suffix: str = "") -> None:
    """Remove the temporary files that a run which was killed left of ``target``."""
    suffix = suffix or target.suffix
    stem = target.name[: len(target.name) - len(suffix)]
    ours = re.compile(rf"\.{re.escape(stem)}\.[0-9a-f]{{8}}{re.escape(suffix)}")
    for left in target.parent.iterdir():
        if ours.match(left.name):
            with suppress(OSError):
                left.unlink()


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
