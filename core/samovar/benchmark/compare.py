"""Comparison: cases that take turns, and medians with their spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samovar.benchmark.measure import START, Measurement, measure

Run = Callable[["Case"], Measurement]


@dataclass(frozen=True)
class Case:
    """One command to be measured."""

    name: str
    arguments: tuple[str, ...]
    """Of ``samovar``."""
    threads: int | None = None
    note: str = ""
    baseline: str = ""
    """Name of the case that this one is compared with; empty: none."""
    code: str = START
    shown: tuple[str, ...] = ()
    """The arguments as the page shows them, without a machine's own paths."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def take_turns(
    cases: Sequence[Case],
    rounds: int,
    *,
    run: Run | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, list[Measurement]]:
    """Measures every case once a round, in alternating order, after one round that is not counted.

    The first round fills the disk cache; a cold start still starts a process and loads a model.
    """
    run = run if run is not None else _run
    measured: dict[str, list[Measurement]] = {case.name: [] for case in cases}
    for number in range(-1, rounds):
        order = cases if number % 2 == 0 else cases[::-1]
        for case in order:
            if progress is not None:
                progress(case.name, number + 1)
            result = run(case)
            if number >= 0:
                measured[case.name].append(result)
    return measured


def statistics(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Median, quartiles and all values; None where they are not known."""
    known = [v for v in values if v is not None]
    if len(known) < len(values) or not known:
        return None
    low, middle, high = np.percentile(known, [25, 50, 75])
    return {
        "median": round(float(middle), 4),
        "q1": round(float(low), 4),
        "q3": round(float(high), 4),
        "all": [round(v, 4) for v in known],
    }


def case_record(case: Case, measured: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    """One case as JSON: its command, its figures, its ratio to its baseline round by round."""
    own = measured[case.name]
    record: dict[str, Any] = {
        "name": case.name,
        "command": ["samovar", *(case.shown or case.arguments)],
        "threads": case.threads,
        "note": case.note,
        "wall_s": statistics([m.wall_s for m in own]),
        "cpu_s": statistics([m.cpu_s for m in own]),
        "peak_rss_mb": statistics([m.peak_rss_mb for m in own]),
        **case.facts,
    }
    if case.baseline:
        base = measured[case.baseline]
        record["baseline"] = case.baseline
        for figure in ("wall_s", "cpu_s"):
            ratios = [
                getattr(a, figure) / getattr(b, figure) for a, b in zip(own, base, strict=True)
            ]
            record[f"{figure.removesuffix('_s')}_ratio"] = statistics(ratios)
    return record


def _run(case: Case) -> Measurement:
    return measure(case.arguments, code=case.code)
