"""Measured speeds of the family, out of the records that the benchmarks write.

``docs/benchmarks/family/family.json`` (``samovar bench family``) has whole steps: a picture
prepared and encoded, a box decoded to a mask's pixels. ``docs/benchmarks/runtimes.json``
(``make bench``) has the graphs alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Speed:
    """CPU milliseconds of one model in one runtime, single precision."""

    model: str
    """Name of its spec."""
    runtime: str
    encoder_ms: float
    decoder_ms: float
    """One prompt."""


def read_speeds(files: Sequence[Path]) -> tuple[list[Speed], list[str]]:
    """Speeds of every model in the first file that has it, and a sentence about each file used."""
    found: dict[str, list[Speed]] = {}
    told = []
    for file in files:
        if not file.is_file():
            continue
        record = json.loads(file.read_text(encoding="utf-8"))
        new = [s for s in speeds_of(record) if s.model not in found]
        for speed in new:
            found.setdefault(speed.model, []).append(speed)
        if new:
            told.append(_conditions(record))
    return [speed for own in found.values() for speed in own], told


def speeds_of(record: Mapping[str, Any]) -> Iterator[Speed]:
    """All single-precision speeds of a record of either kind."""
    for row in record.get("efficiency", ()):
        if row["precision"] == "fp32":
            name = row["model"].rpartition("/")[2]
            figures = row["encoder_ms_cpu"], row["decoder_ms_per_prompt_cpu"]
            yield Speed(name, row["runtime"], *figures)
    for row in record.get("measured", ()):
        if row["isa"] == "best":
            for runtime in set(row["decoder"]) - {"torch"}:
                figures = row["encoder"][runtime]["cpu_ms"], row["decoder"][runtime]["cpu_ms"]
                yield Speed(row["model"], runtime, *figures)


def fastest(speeds: Sequence[Speed], name: str, part: str) -> str:
    """``585 (openvino)``: the fastest runtime's milliseconds; empty where not measured.

    Args:
        name: as the registry has it, ``sam2.1-b+``.
        part: ``encoder`` or ``decoder``.
    """
    spec = name.replace("+", "-plus")
    own = [(getattr(s, f"{part}_ms"), s.runtime) for s in speeds if s.model == spec]
    if not own:
        return ""
    milliseconds, runtime = min(own)
    return f"{milliseconds:.0f} ({runtime})"


def _conditions(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    what = (
        "of whole steps (`samovar bench family`)"
        if "efficiency" in record
        else "of the graphs alone (`make bench`)"
    )
    return (
        f"CPU milliseconds {what}, one thread, single precision, fastest runtime, generated "
        f"weights, {machine['processor']} ({', '.join(machine['instruction_sets'])}), "
        f"{record['created'][:10]}"
    )
