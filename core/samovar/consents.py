"""Consents: which restricted weights somebody on this machine has accepted, and when.

A consent holds for a model's name together with its licence: when the licence changes, the
question is asked again.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from samovar.errors import OutputError
from samovar.folders import as_file_name, cache_folder
from samovar.staging import reason, temporary_name


@dataclass(frozen=True)
class Consent:
    """Somebody accepted this model's licence on this day."""

    model: str
    licence: str
    accepted: str
    """ISO date."""


def remember(names: Collection[str], licence: str) -> None:
    """Keep the consent to ``licence`` under every one of the model's names.

    Raises:
        OutputError: the cache folder cannot be written.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for name in {n.strip().lower() for n in names if n.strip()}:
        path = _file(name)
        temporary = temporary_name(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(Consent(name, licence, today)), indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise OutputError(
                f"{path}: the consent cannot be kept ({reason(error)}): "
                "set SAMOVAR_CACHE to a folder that can be written"
            ) from error


def recall(names: Collection[str], licence: str) -> Consent | None:
    """The consent given to ``licence`` under one of the names; None when there is none.

    A record that cannot be read counts as none.
    """
    for name in (n.strip().lower() for n in names):
        if not name:
            continue
        with suppress(OSError, ValueError, TypeError):
            consent = Consent(**json.loads(_file(name).read_text(encoding="utf-8")))
            if (consent.model, consent.licence) == (name, licence):
                return consent
    return None


def _file(name: str) -> Path:
    return cache_folder() / "consents" / f"{as_file_name(name)}.json"
