"""Private words: what names a patient stays out of messages, records and names that are made here.

Folders of studies are often called after their patients. Whoever reads a file that says who that is
hands its words to :func:`keep_private`; from then on, for the whole process, they are hidden in
whatever samovar says and keeps, paths included.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

HIDDEN = "[private]"
_LEAST = 3
_SURE = 5
"""Letters from which a word is looked for within others (``DOEJOHNSON_CT``) too."""
_HARMLESS = frozenset(
    {"anon", "anonymous", "anonymized", "anonymised", "patient", "name", "none", "null", "unknown",
     "test", "phantom", "deidentified"}
)  # fmt: skip

_lock = threading.Lock()
_patterns: dict[str, re.Pattern[str]] = {}


def keep_private(words: Iterable[str]) -> None:
    """Hide words from now on, whatever separates their parts (``MRN-77 30`` is ``mrn_7730``).

    Words of fewer than three letters and those that name nobody ("anonymous") are let be.
    """
    for word in words:
        parts = re.findall(r"[^\W_]+", word.casefold())
        key = "_".join(parts)
        if sum(map(len, parts)) < _LEAST or key in _patterns or _HARMLESS.issuperset(parts):
            continue
        text = r"[\W_]*".join(map(re.escape, parts))
        if sum(map(len, parts)) < _SURE:
            text = rf"(?<![^\W_]){text}(?![^\W_])"
        with _lock:
            _patterns[key] = re.compile(text, re.IGNORECASE)


def hide(text: str) -> str:
    """The text with every private word replaced."""
    for pattern in tuple(_patterns.values()):
        text = pattern.sub(HIDDEN, text)
    return text


def names_somebody(text: str) -> bool:
    """Whether a text holds a private word."""
    return any(pattern.search(text) for pattern in tuple(_patterns.values()))


def forget() -> None:
    """Hide nothing any more (for tests)."""
    with _lock:
        _patterns.clear()
