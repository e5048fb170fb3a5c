"""Names of what plugins offer: ``distribution/name``, short while unique; order never decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from packaging.utils import canonicalize_name

from samovar.errors import UsageError
from samovar.specs import Spec

S = TypeVar("S", bound=Spec)

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
"""A short name. Commands may have two of them, separated by one space."""

TARGET = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
"""``package.module:Name``."""

KIND_WORDS = {
    "encoder": "model",
    "prompt-generator": "prompt generator",
    "adapter": "adapter",
    "decoder": "decoder",
    "segmenter": "segmenter",
    "runtime": "runtime",
    "format": "format",
    "command": "command",
}
"""What a person calls each kind of spec."""

BROUGHT_BY = {
    "encoder": "samovar-laptop",
    "runtime": "samovar-laptop",
    "prompt-generator": "samovar-selfprompt",
}
"""Where to find a first one of a kind."""


def nearest(name: str, names: Iterable[str], count: int = 3, cutoff: float = 0.5) -> list[str]:
    """The names most like ``name``, best first, letter case ignored."""
    by_lower: dict[str, str] = {}
    for known in names:
        by_lower.setdefault(known.lower(), known)
    return [by_lower[m] for m in get_close_matches(name.lower(), by_lower, count, cutoff)]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'tiny'?)"``, or nothing when no name is alike."""
    alike = nearest(name, names)
    return f" (did you mean {' or '.join(repr(a) for a in alike)}?)" if alike else ""


def matching(specs: Iterable[S], name: str) -> list[S]:
    """Specs that ``name``, short or canonical, may mean."""
    wanted = name.strip()
    if "/" in wanted:
        distribution, _, short = wanted.partition("/")
        wanted_distribution = canonicalize_name(distribution)
        return [s for s in specs if s.name == short and s.distribution == wanted_distribution]
    return [s for s in specs if s.name == wanted]


def choose(specs: Sequence[S], kind: str, name: str, hint: str = "") -> S:
    """The one spec that ``name`` means.

    Raises:
        UsageError: nobody provides it (with the nearest names), or several distributions do
            (with the canonical names of all).
    """
    found = matching(specs, name)
    word = KIND_WORDS.get(kind, kind)
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(s.canonical for s in found)
        raise UsageError(f"the {word} name {name!r} is ambiguous: write {choices}")
    if not specs:
        remedy = f": pip install {BROUGHT_BY[kind]}" if kind in BROUGHT_BY else ""
        raise UsageError(f"no {word} {name!r}: no plugin offers one{remedy}{hint}")
    alike = nearest(name, [s.name for s in specs] + [s.canonical for s in specs])
    alike = alike or sorted({s.name for s in specs})[:8]
    label = "nearest" if nearest(name, alike) else "there are"
    raise UsageError(f"no {word} {name!r}; {label}: {', '.join(alike)}{hint}")
