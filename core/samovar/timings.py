"""Timings: how long each runtime took on this machine, kept in the cache folder.

One small JSON file for each identity (machine, weights, threads, versions …). A file that cannot
be read, or whose identity is another, counts as none: the model is timed again.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from samovar.folders import cache_folder
from samovar.staging import temporary_name

MOST_KEPT = 64
"""Files in the folder; the oldest go first."""


@dataclass(frozen=True)
class Timing:
    """One candidate's figures, in seconds of wall time."""

    name: str
    """``distribution/runtime in precision``."""
    version: str = ""
    encode_s: float = 0.0
    """One picture."""
    decode_s: float = 0.0
    """All its objects."""
    load_s: float = 0.0
    """Opening the graphs; it does not decide."""
    failed: str = ""
    """Why it could not run; the figures then mean nothing."""

    @property
    def precision(self) -> str:
        return self.name.rpartition(" in ")[2]

    @property
    def seconds(self) -> float:
        """What decides: one picture encoded and its objects decoded."""
        return self.encode_s + self.decode_s


@dataclass(frozen=True)
class Timings:
    """All candidates, timed together."""

    results: tuple[Timing, ...]
    objects: int
    timed: str
    """ISO date."""

    @classmethod
    def now(cls, results: tuple[Timing, ...], objects: int) -> Timings:
        return cls(results, objects, datetime.datetime.now(datetime.UTC).date().isoformat())

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Timings:
        """Raises KeyError, TypeError or ValueError for anything strange."""
        results = tuple(Timing(**entry) for entry in document["timings"])
        figures = [f for t in results for f in (t.encode_s, t.decode_s, t.load_s)]
        if not all(isinstance(f, float | int) and math.isfinite(f) for f in figures):
            raise ValueError("a figure is no number")
        if not any(not t.failed and t.seconds > 0 for t in results):
            raise ValueError("nothing was timed")
        return cls(results, int(document["objects"]), str(document["timed"]))

    def document(self) -> dict[str, Any]:
        """What is kept, and what a manifest records."""
        rows = [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(t).items()}
            for t in self.results
        ]
        return {"timed": self.timed, "objects": self.objects, "timings": rows}

    def sentence(self, chosen: str) -> str:
        """``laptop/openvino in fp32: 0.41 s …; laptop/onnxruntime in fp32 0.73 s (timed …)``."""
        ran = sorted((t for t in self.results if not t.failed), key=lambda t: t.name != chosen)
        shown = "; ".join(f"{t.name} {t.seconds:.3g} s" for t in ran)
        broken = "".join(f"; {t.name} failed" for t in self.results if t.failed)
        return f"{shown} for a picture with {self.objects} objects, timed {self.timed}{broken}"


def remember(identity: Mapping[str, Any], timings: Timings) -> bool:
    """Keep the timings for this identity. False where the cache folder cannot be written."""
    path = _file(identity)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"identity": dict(identity), **timings.document()}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        return False
    _forget_oldest(path.parent)
    return True


def recall(identity: Mapping[str, Any]) -> Timings | None:
    """The timings kept for exactly this identity; None when there are none that can be read."""
    found = _read(_file(identity))
    if found is None or found[0] != json.loads(json.dumps(dict(identity))):
        return None
    return found[1]


def kept() -> Iterator[tuple[dict[str, Any], Timings]]:
    """Everything remembered on this machine: identity and timings."""
    for path in sorted(_folder().glob("*.json")):
        found = _read(path)
        if found is not None:
            yield found


def _read(path: Path) -> tuple[dict[str, Any], Timings] | None:
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document["identity"]), Timings.parse(document)
    return None


def _folder() -> Path:
    return cache_folder() / "timings"


def _file(identity: Mapping[str, Any]) -> Path:
    text = json.dumps(dict(identity), sort_keys=True)
    return _folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _forget_oldest(folder: Path) -> None:
    with suppress(OSError):
        files = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime)
        for old in files[:-MOST_KEPT]:
            old.unlink()
