"""Failure: what a runtime's library said, short enough for one line."""

from __future__ import annotations

LONGEST = 200


def in_one_line(error: BaseException) -> str:
    """The message without its line breaks, cut at :data:`LONGEST` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
