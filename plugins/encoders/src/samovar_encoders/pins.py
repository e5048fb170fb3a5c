"""Pins: what a fetched file was, in a small JSON beside it, so that a change is noticed.

Where nobody published a hash, the first download is trusted and its hash pinned here; another body
under the same name is refused from then on.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Trust = Literal["published", "first use"]


@dataclass(frozen=True)
class Pin:
    """What was fetched, when, and why it is trusted."""

    url: str
    sha256: str
    """Of what the URL answered."""
    file_sha256: str
    """Of the file itself; another one where it was unpacked."""
    bytes: int
    trust: Trust
    date: str


def pin_path(file: Path) -> Path:
    """``model.pth`` → ``model.pth.json``."""
    return file.with_name(f"{file.name}.json")


def read_pin(file: Path) -> Pin | None:
    """The pin of ``file``; None where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError):
        pin = Pin(**json.loads(pin_path(file).read_text(encoding="utf-8")))
        if all(isinstance(v, str) and len(v) == 64 for v in (pin.sha256, pin.file_sha256)):
            return pin
    return None


def write_pin(file: Path, pin: Pin) -> None:
    """Keep the pin of ``file``, whole or not at all. Raises OSError."""
    target = pin_path(file)
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_text(json.dumps(asdict(pin), indent=2) + "\n", encoding="utf-8")
    temporary.replace(target)


def file_hash(file: Path) -> str:
    """SHA-256 of what is on the disk. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
