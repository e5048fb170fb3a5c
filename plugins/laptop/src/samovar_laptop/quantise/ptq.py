"""Post-training quantisation of a bundle: its graphs, watched on samples, in int8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from samovar.bundle import Bundle
from samovar.evaluation.sets import Case, EvaluationSet
from samovar_laptop.quantise.calibrate import Calibration, runner, watched
from samovar_laptop.quantise.graph import OnnxGraph, onnx_package
from samovar_laptop.quantise.ranges import PERCENTILE
from samovar_laptop.quantise.samples import Rehearsal, Sample, Source, draw, rehearse
from samovar_laptop.quantise.speed import take_turns
from samovar_laptop.quantise.write import quantised

ROLES = ("encoder", "mask_decoder", "decoder", "decoder_roi")
"""Graphs that may be quantised. The prompt encoder computes positions: it stays in float."""
POOL = 3
"""With hard samples: how many candidates there are for each place."""

TURNS = 15
BITS = 7
"""Of the weights. With 8, sums of two products overflow on x86 CPUs without VNNI, silently."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How graphs are quantised."""

    samples: int = 64
    percentile: float = PERCENTILE
    hard: bool = False
    """Calibrate with the pictures that a first int8 encoder gets most wrong (TinySAM)."""
    bits: int = BITS
    """Of the weights."""
    keep: tuple[str, ...] = ()
    """Parts of the names of nodes that stay in float."""
    attention: str = "float"
    """See :mod:`samovar_laptop.quantise.attention`."""
    roles: tuple[str, ...] = ("encoder",)
    threads: int | None = None
    seed: int = 0


def calibrate(
    bundle: Bundle, sources: Sequence[Source], recipe: Recipe, say: Say
) -> dict[str, Calibration]:
    """Each wanted role's graph, having seen the samples."""
    rehearsal = Rehearsal(bundle, recipe.threads, set(recipe.roles) != {"encoder"})
    count = recipe.samples * (POOL if recipe.hard else 1)
    drawn = draw(sources, count)
    if recipe.hard:
        drawn = hardest(bundle, drawn, recipe, say)
    calibrations = _calibrations(bundle, recipe, recipe.roles)
    _watch(calibrations, rehearse(rehearsal, drawn), say, "calibrating")
    return calibrations


def models(calibrations: dict[str, Calibration], recipe: Recipe) -> dict[str, Any]:
    """The int8 graphs."""
    return {
        role: quantised(c.graph, c.places, c.scales(recipe.percentile), recipe.bits)
        for role, c in calibrations.items()
    }


def gains(calibration: Calibration, model: Any, threads: int | None) -> float:
    """How many times faster an int8 graph is in ONNX Runtime, on what its float graph was fed."""
    before = runner(onnx_package().load(str(calibration.path)), threads)
    after = runner(model, threads)
    feeds = calibration.largest
    taken = take_turns([partial(before, feeds), partial(after, feeds)], TURNS)
    return float(np.median(taken[:, 0] / np.maximum(taken[:, 1], 1e-9)))


def hardest(
    bundle: Bundle,
    drawn: Sequence[tuple[EvaluationSet, Case]],
    recipe: Recipe,
    say: Say,
) -> list[tuple[EvaluationSet, Case]]:
    """Those of ``drawn`` whose embedding a first int8 encoder changes most.

    After TinySAM's hard sampling (Shu et al., arXiv:2312.13789), which trains on what the model
    gets most wrong; here it is what rounding gets most wrong, which needs no labels.
    """
    rehearsal = Rehearsal(bundle, recipe.threads, asked=False)
    every = drawn[:: len(drawn) // recipe.samples or 1][: recipe.samples]
    first = _calibrations(bundle, recipe, ("encoder",))
    _watch(first, rehearse(rehearsal, every), say, "a first int8 encoder")
    before = watched(first["encoder"].graph, first["encoder"].graph.outputs, recipe.threads)
    after_graph = OnnxGraph(models(first, recipe)["encoder"])
    after = watched(after_graph, after_graph.outputs, recipe.threads)
    errors = []
    for number, sample in enumerate(rehearse(rehearsal, drawn)):
        feeds = sample.feeds["encoder"][0]
        errors.append((distance(before(feeds), after(feeds)), number))
        say(f"looking for hard samples: {number + 1} of {len(drawn)}")
    chosen = sorted(number for _, number in sorted(errors, reverse=True)[: recipe.samples])
    return [drawn[number] for number in chosen]


def distance(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Mean over outputs of the relative error."""
    return float(
        np.mean(
            [
                np.linalg.norm(before[k] - after[k]) / max(float(np.linalg.norm(before[k])), 1e-9)
                for k in before
            ]
        )
    )


def _calibrations(bundle: Bundle, recipe: Recipe, roles: Iterable[str]) -> dict[str, Calibration]:
    return {
        role: Calibration(bundle.graph(role), recipe.keep, recipe.threads, recipe.attention)
        for role in roles
        if role in bundle.roles
    }


def _watch(
    calibrations: dict[str, Calibration], samples: Iterable[Sample], say: Say, doing: str
) -> None:
    for number, sample in enumerate(samples, start=1):
        for role, calibration in calibrations.items():
            for feeds in sample.feeds[role]:
                calibration.see(feeds)
        say(f"{doing}: {number} pictures")
