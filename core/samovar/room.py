"""Room on the disk: telling a full disk from other trouble, and what to say then."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from samovar.errors import SamovarError

FULL = 2 << 20
"""Bytes; a disk with less is full. Libraries do not always say why they could not write."""

_NUMBERS = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_WORDS = ("no space left", "disk is full", "not enough space", "quota exceeded", "file too large")


class DiskFull(SamovarError):
    """The disk has no room for the next result; what was finished is kept."""


def disk_full(what: Path | str) -> DiskFull:
    """The error of a run that can be resumed, about the file that did not fit."""
    return DiskFull(
        f"{what}: no space left on the disk: make room, then run the same command with --resume, "
        "which goes on from what was finished"
    )


def says_full(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that there is no room."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, OSError) and one.errno in _NUMBERS:
            return True
        if any(word in str(one).lower() for word in _WORDS):
            return True
        one = one.__cause__ or one.__context__
    return False


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room to speak of; False where it cannot be asked."""
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def require_room(file: Path) -> None:
    """After writing with a library that may not tell. Raises OSError (ENOSPC): the disk is full."""
    if is_full(file.parent):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))
