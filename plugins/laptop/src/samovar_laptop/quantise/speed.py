"""Speed: CPU time of two precisions in each runtime, taking turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from samovar.bundle import Bundle
from samovar.choice import workload
from samovar.models import load_model
from samovar.runtimes import usable_runtimes
from samovar.specs import RuntimeSpec

ROUNDS = 7
OBJECTS = 10
LONG = 8.0
"""CPU seconds after which no further round is begun."""


@dataclass(frozen=True)
class Pair:
    """CPU seconds in the bundle's own precision and in another, medians of turns."""

    runtime: str
    stage: str
    """``encode`` (one picture) or ``decode`` (its boxes)."""
    before: float
    after: float
    ratio: float
    """Median of the turns' own ratios: above 1 the other precision is faster."""


def compare(folder: Path, precision: str, threads: int = 1, rounds: int = ROUNDS) -> list[Pair]:
    """Every runtime that can run both precisions of a bundle."""
    bundle = Bundle.read(folder)
    return [
        pair
        for runtime in usable_runtimes(precision, bundle.in_precision(precision).suffixes)
        for pair in _compare(folder, runtime, precision, threads, rounds)
    ]


def _compare(
    folder: Path, runtime: RuntimeSpec, precision: str, threads: int, rounds: int
) -> list[Pair]:
    bundle = Bundle.read(folder)
    picture, prompts = workload(bundle, OBJECTS)
    models = [
        load_model(folder, runtime=runtime.canonical, precision=p, threads=threads)
        for p in (bundle.precision, precision)
    ]
    try:
        embeddings = [m.encode([picture])[0] for m in models]
        stages: dict[str, Callable[[int], object]] = {
            "encode": lambda i: models[i].encode([picture]),
            "decode": lambda i: models[i].decoder.decode(embeddings[i], prompts),
        }
        if set(bundle.precisions[precision].roles) <= {"encoder"}:
            del stages["decode"]
        return [_pair(runtime.name, stage, run, rounds) for stage, run in stages.items()]
    finally:
        for model in models:
            model.close()


def _pair(runtime: str, stage: str, run: Callable[[int], object], rounds: int) -> Pair:
    taken = take_turns([partial(run, 0), partial(run, 1)], rounds)
    before, after = np.median(taken, axis=0)
    ratio = np.median(taken[:, 0] / np.maximum(taken[:, 1], 1e-9))
    return Pair(runtime, stage, float(before), float(after), float(ratio))


def take_turns(
    cases: Sequence[Callable[[], object]], rounds: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """CPU seconds ``(rounds, cases)``, in alternating order, after a round that is not counted.

    Fewer rounds where they are long.
    """
    taken: list[list[float]] = []
    for number in range(-1, rounds):
        row = [0.0] * len(cases)
        for i in range(len(cases)) if number % 2 else reversed(range(len(cases))):
            started = time.process_time()
            cases[i]()
            row[i] = time.process_time() - started
        if number >= 0:
            taken.append(row)
            if sum(map(sum, taken)) > LONG:
                break
    return np.array(taken)


def lines(pairs: list[Pair], own: str, precision: str, threads: int) -> list[str]:
    """The table for a person."""
    out = [f"CPU ms on this machine, {threads} thread(s), one picture and {OBJECTS} boxes"]
    out.append(f"{'':24}{own:>9}{precision:>9}  faster")
    for p in pairs:
        name = f"{p.runtime}, {p.stage}"
        figures = f"{1e3 * p.before:>9.1f}{1e3 * p.after:>9.1f}"
        out.append(f"{name:24}{figures}  × {p.ratio:.2f}")
    return out
