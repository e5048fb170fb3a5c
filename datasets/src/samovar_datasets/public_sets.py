"""Public sets: what they are, where they lie, under which licence, with which hash.

>>> from samovar_datasets.public_sets import public_sets
>>> public_sets()["msd-spleen"].licence
'CC BY-SA 4.0'
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Archive:
    """One file that a set is published as."""

    url: str
    hash: str = ""
    """``md5:…`` or ``sha256:…`` as published; empty: nobody publishes one."""
    bytes: int | None = None

    @property
    def name(self) -> str:
        return self.url.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class PublicSet:
    """A public set; ``layout`` says how its archives become pictures or volumes with labels."""

    name: str
    title: str
    layout: str
    files: tuple[Archive, ...]
    domain: str
    modality: str
    licence: str
    citation: str
    hash_from: str = ""


def public_sets(file: Path | None = None) -> dict[str, PublicSet]:
    """Sets by name, from ``file`` or from the table that comes with this package.

    Raises:
        ValueError: a table that is not one; names the entry and the key.
    """
    if file is not None:
        text, where = file.read_text(encoding="utf-8"), str(file)
    else:
        where = "public_sets.toml"
        text = resources.files("samovar_datasets").joinpath(where).read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    return {name: _read(where, name, table) for name, table in tables.items()}


def _read(where: str, name: str, table: dict[str, Any]) -> PublicSet:
    known = {f.name for f in fields(PublicSet)} - {"name"}
    needed = known - {"hash_from"}
    if not isinstance(table, dict) or (wrong := (set(table) - known) | (needed - set(table))):
        raise ValueError(f"{where}: [{name}] must have {sorted(needed)}; look at {sorted(wrong)}")
    archives = tuple(Archive(**row) for row in table["files"])
    return PublicSet(**{**table, "name": name, "files": archives})
