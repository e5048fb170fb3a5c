"""What is said about tiles that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.tiles import Failed

NAMED = 10
"""Tiles that are named."""


def failure_lines(failed: Sequence[Failed]) -> list[str]:
    """One line a tile, and what to do next; nothing where none failed."""
    if not failed:
        return []
    lines = [f"tile {f.tile} failed: {f.message}" for f in failed[:NAMED]]
    if len(failed) > NAMED:
        lines.append(f"… and {len(failed) - NAMED} more")
    count = "1 tile" if len(failed) == 1 else f"{len(failed)} tiles"
    lines.append(f"{count} failed, the rest is written; --resume tries again what failed")
    return lines
