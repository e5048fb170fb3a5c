"""Folders on this machine that are samovar's own: what can be fetched or asked for again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote


def cache_folder() -> Path:
    """Where samovar keeps downloads and answers; it may not exist yet.

    ``SAMOVAR_CACHE``, else the platform's place: ``%LOCALAPPDATA%\\samovar\\Cache`` on Windows,
    ``~/Library/Caches/samovar`` on macOS, ``$XDG_CACHE_HOME/samovar`` or ``~/.cache/samovar``
    elsewhere.
    """
    if chosen := os.environ.get("SAMOVAR_CACHE", "").strip():
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "samovar" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "samovar"
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # a relative path there is to be ignored, says the specification
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "samovar"


def weights_folder(canonical: str) -> Path:
    """Where ``samovar models pull`` puts the files of the model ``distribution/name``."""
    parts = (as_file_name(part) for part in canonical.split("/"))
    return cache_folder().joinpath("weights", *parts)


def as_file_name(name: str) -> str:
    """``name`` as every file system takes it; different names stay different."""
    plain = quote(name, safe="+")
    return f"%2E{plain[1:]}" if plain.startswith(".") else plain
