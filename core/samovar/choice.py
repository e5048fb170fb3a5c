"""Choice: which runtime and precision are the fastest for a model on this machine.

``--runtime auto`` runs every candidate on a generated picture, once a machine and model, and
remembers what came out (:mod:`samovar.timings`). A candidate is a runtime that is installed, with
the bundle's own precision or with one whose gate was passed. The first in the stated order stays
unless another is faster by more than :data:`MARGIN`, so that noise does not change anybody's masks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.embedding import Embedding
from samovar.errors import SamovarError
from samovar.processor import cores, instruction_set, processor_name
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Decoder, RuntimeInfo
from samovar.runtimes import usable_runtimes
from samovar.specs import RuntimeSpec
from samovar.timings import Timing, Timings, recall, remember

MARGIN = 0.05
"""Share by which another candidate has to be faster than the first."""
OBJECTS = 8
"""Boxes asked for in the timed picture."""
ROUNDS = 7
LONG = 3.0
"""Seconds of counted rounds, all candidates together, after which no further one is run."""


class Timed(Protocol):
    """What is used of :class:`samovar.models.Model`."""

    @property
    def runtime_info(self) -> RuntimeInfo: ...

    @property
    def decoder(self) -> Decoder: ...

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]: ...

    def close(self) -> None: ...


M = TypeVar("M", bound=Timed)


@dataclass(frozen=True)
class Candidate:
    """A runtime with a precision. Ordered by preference: the first is what runs unless asked."""

    runtime: RuntimeSpec
    precision: str

    @property
    def name(self) -> str:
        return f"{self.runtime.canonical} in {self.precision}"


@dataclass(frozen=True)
class Choice:
    """What ``auto`` chose, and why."""

    candidate: Candidate
    why: str
    """One line for a person."""
    timings: Timings | None = None
    """None where there was nothing to choose between."""
    remembered: bool = False
    """Timed in an earlier run."""

    def describe(self) -> dict[str, object]:
        """What a manifest records."""
        timed = {} if self.timings is None else self.timings.document()
        return {"asked": "auto", "why": self.why, "remembered": self.remembered, **timed}


def candidates_for(bundle: Bundle, precision: str) -> list[Candidate]:
    """Runtimes that are installed, with one precision, or with all that may be picked unasked.

    Args:
        precision: a name that the bundle has; ``auto``: its own and those whose gate was passed.

    Raises:
        UsageError, DependencyError: no runtime can run any of them.
    """
    passed = [name for name, graphs in bundle.precisions.items() if graphs.passed]
    found = []
    for name in [bundle.precision, *passed] if precision == "auto" else [precision]:
        graphs = bundle.in_precision(name)
        required = name == precision or (precision == "auto" and name == bundle.precision)
        runtimes = usable_runtimes(name, graphs.suffixes, required=required)
        found += [Candidate(runtime, name) for runtime in runtimes]
    return found


def identity_of(
    bundle: Bundle, candidates: Sequence[Candidate], threads: int | None, **options: str
) -> dict[str, Any]:
    """Everything that a timing depends on: machine, weights, threads, runtimes and versions.

    ``options`` are those of the model that change what is run (device, region decode).
    """
    return {
        **options,
        "processor": processor_name(),
        "instruction_set": instruction_set(),
        "cores": cores(),
        "threads": threads or cores(),
        "model": bundle.name,
        "weights": {name: bundle.in_precision(name).weights_hash for name in
                    dict.fromkeys(c.precision for c in candidates)},
        "candidates": [[c.name, *_versions(c.runtime)] for c in candidates],
    }  # fmt: skip


def choose_fastest(
    bundle: Bundle,
    candidates: Sequence[Candidate],
    identity: dict[str, object],
    load: Callable[[Candidate], M],
) -> tuple[M | None, Choice]:
    """The fastest of ``candidates``, remembered or timed now.

    Args:
        candidates: in the order of preference, at least one.
        identity: everything that a timing depends on; what was remembered for another is ignored.
        load: makes a model of a candidate.

    Returns:
        The model, if it was loaded for timing; and the choice.

    Raises:
        SamovarError: that of the first candidate, when all of them fail.
    """
    left_out = _left_out(bundle)
    if len(candidates) == 1:
        [only] = candidates
        return None, Choice(only, f"{only.name}: nothing else can run it here{left_out}")
    timings = recall(identity)
    remembered = timings is not None
    models: dict[str, M] = {}
    if timings is None:
        timings, models = _time(bundle, candidates, load)
        kept = remember(identity, timings)
    names = {c.name: c for c in candidates}
    chosen = names[pick([t for t in timings.results if t.name in names]).name]
    for name, model in models.items():
        if name != chosen.name:
            model.close()
    why = f"{timings.sentence(chosen.name)}{left_out}"
    if not remembered and not kept:
        why += "; it cannot be remembered, since the cache folder cannot be written"
    return models.get(chosen.name), Choice(chosen, why, timings, remembered)


def pick(results: Sequence[Timing]) -> Timing:
    """The fastest, by more than :data:`MARGIN` over what it takes the place of.

    The first runtime stays unless another is that much faster; the precision of the first stays
    unless another is that much faster than every runtime with it.
    """
    ran = [t for t in results if not t.failed]
    own = [t for t in ran if t.precision == ran[0].precision]
    fastest = min(own, key=lambda t: t.seconds)
    overall = min(ran, key=lambda t: t.seconds)
    if (1 + MARGIN) * overall.seconds < fastest.seconds:
        return overall
    return own[0] if own[0].seconds <= (1 + MARGIN) * fastest.seconds else fastest


def _time(
    bundle: Bundle, candidates: Sequence[Candidate], load: Callable[[Candidate], M]
) -> tuple[Timings, dict[str, M]]:
    """Every candidate on the same picture, taking turns; the best of a few rounds counts."""
    picture, prompts = workload(bundle)
    models: dict[str, M] = {}
    loads: dict[str, float] = {}
    best: dict[str, tuple[float, float]] = {}
    failed: dict[str, SamovarError] = {}
    for number in range(-1, ROUNDS):
        for candidate in candidates:
            name = candidate.name
            if name in failed:
                continue
            try:
                if name not in models:
                    started = time.perf_counter()
                    models[name] = load(candidate)
                    loads[name] = time.perf_counter() - started
                taken = _run(models[name], picture, prompts)
            except SamovarError as error:
                failed[name] = error
                continue
            if number >= 0:
                best[name] = min(best.get(name, taken), taken, key=sum)
        if len(failed) == len(candidates):
            raise failed[candidates[0].name]
        if number >= 0 and (number + 1) * sum(map(sum, best.values())) > LONG:
            break
    results = []
    for candidate in candidates:
        name = candidate.name
        if name in failed:
            results.append(Timing(name, failed=str(failed[name])))
            continue
        version = models[name].runtime_info.version
        results.append(Timing(name, version, *best[name], loads[name]))
    return Timings.now(tuple(results), OBJECTS), models


def _run(model: Timed, picture: NDArray[np.float32], prompts: Prompts) -> tuple[float, float]:
    """Seconds to encode the picture and to decode its objects."""
    started = time.perf_counter()
    [embedding] = model.encode([picture])
    encoded = time.perf_counter()
    model.decoder.decode(embedding, prompts)
    return encoded - started, time.perf_counter() - encoded


def workload(bundle: Bundle, objects: int = OBJECTS) -> tuple[NDArray[np.float32], Prompts]:
    """A generated picture ``(3, rows, columns)`` of the encode size, 0…255, and boxes or points.

    The objects lie on a lattice; each has a place of its own.
    """
    rows, columns = bundle.preparation.encode_size
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    waves = 120 + 60 * np.sin(x / 23) * np.cos(y / 17)
    grain = np.random.default_rng(0).normal(0, 9, (3, rows, columns)).astype(np.float32)
    picture = np.clip(waves + grain, 0, 255).astype(np.float32)
    side = max(4, math.ceil(math.sqrt(objects)))
    width, height = columns / (side + 1), rows / (side + 1)
    asked = []
    for number in range(objects):
        left, top = columns * (number % side) / side + 1, rows * (number // side) / side + 1
        if "box" in bundle.prompt_kinds:
            asked.append(Prompt(number + 1, box=(left, top, left + width, top + height)))
        else:
            centre = (left + width / 2, top + height / 2)
            asked.append(Prompt(number + 1, points=(centre,), labels=(1,)))
    return picture, Prompts(tuple(asked))


def _versions(spec: RuntimeSpec) -> list[str]:
    """Of what the runtime needs, and of the distribution that brings it."""
    distributions = metadata.packages_distributions()
    needed = [distributions.get(module, [module])[0] for module in spec.requires]
    return [_version(name) for name in (*needed, spec.distribution)]


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return distribution


def _left_out(bundle: Bundle) -> str:
    missed = [name for name, graphs in bundle.precisions.items() if not graphs.passed]
    return f"; {', '.join(missed)} has not passed its gate" if missed else ""
