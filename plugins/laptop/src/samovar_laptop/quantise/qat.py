"""Quantisation-aware training of a bundle: lessons for samovar-train, its outcome in int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.errors import DependencyError, UsageError
from samovar.evaluation.targets import Target
from samovar.mask_frame import MASK_LOGIT, mask_logits
from samovar_laptop.quantise.calibrate import Calibration
from samovar_laptop.quantise.prepare import prepared
from samovar_laptop.quantise.ptq import Recipe, Say
from samovar_laptop.quantise.samples import Rehearsal, Sample, Source, draw, rehearse
from samovar_laptop.quantise.write import quantised

LESSONS = 24
"""Pictures to learn from, a minute of training …"""
MEMORY = 1 << 29
"""… and bytes that they may take."""
LEAST = 16


def library() -> Any:
    """The part of samovar-train that trains. Raises DependencyError when it is missing."""
    try:
        return import_module("samovar_train.quantise.stages")
    except ImportError as error:
        raise DependencyError(
            "--method qat needs samovar-train and torch: pip install samovar-train, "
            "or use --method ptq"
        ) from error


def tuned(
    bundle: Bundle,
    sources: Sequence[Source],
    recipe: Recipe,
    calibrations: Mapping[str, Calibration],
    minutes: float,
    say: Say,
) -> tuple[dict[str, Any], list[str]]:
    """The graphs after training: in int8 those of ``calibrations``, in float those beside them.

    Returns:
        Role → model, and one line for a person on each stage.

    Raises:
        DependencyError: samovar-train is missing.
        UsageError: a graph that it cannot train, or too few pictures.
    """
    stages = library()
    taught = _taught(bundle)
    graphs = {
        role: calibrations[role].graph if role in calibrations else prepared(bundle.graph(role))
        for role in taught
    }
    roundings = {
        role: _rounding(calibrations[role], recipe) for role in taught if role in calibrations
    }
    lessons = make_lessons(bundle, sources, recipe, minutes, say)
    try:
        constants, reports = stages.tune(
            {role: graph.copy().model for role, graph in graphs.items()},
            roundings,
            bundle.embedding_name,
            lessons,
            minutes=minutes,
            seed=recipe.seed,
            threads=recipe.threads,
            say=say,
        )
    except stages.UnknownOperatorError as error:
        raise UsageError(f"{bundle.name}: {error}: use --method ptq") from error
    models = {}
    for role, graph in graphs.items():
        graph.constants.update(constants[role])
        if role in calibrations:
            scales = calibrations[role].scales(recipe.percentile)
            models[role] = quantised(graph, calibrations[role].places, scales, recipe.bits)
        elif any(role in r.roles and r.kept for r in reports):
            models[role] = graph.proto()
    lines = [
        f"{r.stage}: {r.steps} steps, loss {r.before:.4f} → {r.after:.4f}"
        + ("" if r.kept else ", thrown away")
        for r in reports
    ]
    return models, lines


def _taught(bundle: Bundle) -> tuple[str, ...]:
    if bundle.classic:
        return "encoder", "decoder"
    return "encoder", "prompt_encoder", "mask_decoder"


def _rounding(calibration: Calibration, recipe: Recipe) -> Any:
    scales, places = calibration.scales(recipe.percentile), calibration.places
    kind = import_module("samovar_train.quantise.interpreter").Rounding
    tensors = {t: scales[places.scale_of(t)] for t in places.tensors}
    return kind({t: (s.step, s.zero) for t, s in tensors.items()}, places.weights, recipe.bits)


def make_lessons(
    bundle: Bundle, sources: Sequence[Source], recipe: Recipe, minutes: float, say: Say
) -> list[Any]:
    """Pictures with prompts and true masks.

    Raises:
        UsageError: fewer than two have an object.
    """
    rows, columns = bundle.preparation.encode_size
    count = max(LEAST, min(int(LESSONS * minutes), MEMORY // (3 * rows * columns * 2)))
    rehearsal = Rehearsal(bundle, recipe.threads)
    lessons = []
    for sample in rehearse(rehearsal, draw(sources, count)):
        lesson = _lesson(bundle, sample)
        if lesson is not None:
            lessons.append(lesson)
            say(f"gathering lessons: {len(lessons)} pictures")
    if len(lessons) < 2:
        raise UsageError("--method qat needs two labelled pictures at least: give more --data")
    return lessons


def _lesson(bundle: Bundle, sample: Sample) -> Any | None:
    """None where no question could be matched with its objects."""
    kinds = import_module("samovar_train.quantise.lesson")
    truth = np.stack([coverage(t, sample, bundle.mask_size) for t in sample.targets])
    side = "decoder" if bundle.classic else "prompt_encoder"
    questions = [
        kinds.Question({n: a for n, a in feeds.items() if a.shape[:1] == (len(truth),)}, truth)
        for feeds in sample.feeds[side]
        if len(feeds["point_coords"]) == len(truth)
    ]
    if not questions:
        return None
    [picture] = sample.feeds["encoder"][0].values()
    return kinds.Lesson(picture.astype(np.float16), tuple(questions))


def coverage(target: Target, sample: Sample, mask_size: tuple[int, int]) -> NDArray[np.float32]:
    """``(h, w)``: how much of each cell of the mask frame an object covers, 0…1."""
    whole = np.zeros(sample.fit.picture, dtype=bool)
    whole[target.mask.region.slices] = target.mask.inside
    return mask_logits(whole, sample.fit, mask_size) / (2 * MASK_LOGIT) + np.float32(0.5)
