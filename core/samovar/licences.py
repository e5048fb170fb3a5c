"""Licences of weights: which may be used without a word, and which must be accepted first."""

from __future__ import annotations

import re
from collections.abc import Collection

from samovar.consents import recall
from samovar.errors import UsageError

FREE = frozenset(
    {
        "0BSD",
        "APACHE-2.0",
        "BSD-2-CLAUSE",
        "BSD-3-CLAUSE",
        "BSL-1.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "ODBL-1.0",
        "ODC-BY-1.0",
        "PDDL-1.0",
        "UNLICENSE",
        "ZLIB",
    }
)
"""SPDX identifiers, upper case, of licences that let anybody use the weights for anything."""

UNKNOWN = frozenset({"", "UNKNOWN", "NONE", "NOASSERTION", "UNLICENSED", "PROPRIETARY"})


def restriction(licence: str) -> str | None:
    """Why weights under ``licence`` need to be accepted first; None when they do not.

    ``licence`` is an SPDX identifier or expression (``AND``, ``OR``).
    """
    name = licence.strip().upper()
    if name in UNKNOWN:
        return "no licence is stated"
    either = [re.split(r"\s+AND\s+", part.strip("() ")) for part in re.split(r"\s+OR\s+", name)]
    if any(all(part.strip("() ") in FREE for part in parts) for parts in either):
        return None
    if re.search(r"(^|[^A-Z])NC([^A-Z]|$)|NON-?COMMERCIAL|RESEARCH", name):
        return "not for commercial use"
    if re.search(r"AGPL|GPL", name):
        return "copyleft"
    return "not one of the permissive licences that samovar knows"


def require_accepted(
    model: str, names: Collection[str], licence: str, accepted: Collection[str]
) -> None:
    """Refuse restricted weights that nobody has accepted, now or before on this machine.

    Args:
        model: what the user called it.
        names: every name of the model that counts as an acceptance, beside the licence's.
        licence: SPDX identifier of the weights' licence; empty when unknown.
        accepted: what the user accepted: names of models or licences.

    Raises:
        UsageError: naming the licence and the option.
    """
    reason = restriction(licence)
    if reason is None:
        return
    answers = {a.strip().lower() for a in accepted}
    if answers & {n.lower() for n in [*names, licence] if n}:
        return
    if recall(names, licence) is not None:
        return
    stated = licence.strip() or "unknown"
    raise UsageError(
        f"the weights of model {model!r} need your consent (licence {stated}: {reason}): "
        f"read their terms, then add --accept-license {model}"
    )
