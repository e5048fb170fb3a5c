"""Evaluation of volumes: a 3-D box (or point) an object through the whole pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.evaluation.asking import Asking
from samovar.evaluation.metrics import boundary_iou, dice, iou, surface_dice
from samovar.evaluation.references import References
from samovar.evaluation.results import CaseResult, ObjectResult
from samovar.evaluation.sets import Case, EvaluationSet
from samovar.evaluation.targets import Target, volume_targets
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.objects import Objects
from samovar.prompts import Prompt, Prompts

NSD_MM = 2.0
"""Of pictures without a scale: pixels."""


def evaluate_volume(
    where: EvaluationSet,
    case: Case,
    model: Any,
    asking: Asking,
    references: References,
    modality: str = "auto",
) -> CaseResult:
    """Asks for the largest component of every class of one volume.

    Raises:
        InputError: labels of another shape than the volume's.
    """
    from samovar.formats import open_image

    with open_image(str(case.image)) as image, open_image(str(case.labels)) as truth:
        labels = np.rint(truth.read()[0]).astype(np.int64)
        if labels.shape != image.grid.shape:
            raise InputError(
                f"{case.labels} has shape {labels.shape}, its image has {image.grid.shape}: "
                "labels and image must match voxel by voxel"
            )
        targets = volume_targets(labels, where)
        key = f"{where.name}/{case.stem}"
        asked = tuple(asking.first(t, key, labels.shape) for t in targets)
        return ask_and_measure(case.stem, image, targets, asked, model, references, modality)


def ask_and_measure(
    stem: str,
    image: Image,
    targets: Sequence[Target],
    asked: tuple[Prompt, ...],
    model: Any,
    references: References,
    modality: str,
) -> CaseResult:
    """Asks for the objects of an image, one prompt each, and measures the answers."""
    from samovar import api

    if not asked:
        return CaseResult(())
    objects = api.segment(image, model=model, prompts=Prompts(asked), modality=modality)
    answers = answers_of(objects, [p.id for p in asked])
    expected = {o.id: o.score for o in objects}
    grid = image.grid
    grey, axis = stretched(image), grid.slice_axis() if grid.ndim == 3 else None
    results = []
    for target, prompt, answer in zip(targets, asked, answers, strict=True):
        box = prompt.box or target.box
        beside = references.dice(grey, box, target.mask, axis)
        measured = _measures(answer, target, grid.shape, grid.spacing[::-1])
        results.append(
            ObjectResult(
                stem,
                target,
                measured,
                beside,
                (measured["dice"],),
                prompt,
                answer,
                expected.get(prompt.id),
            )
        )
    return CaseResult(tuple(results))


def answers_of(objects: Objects, ids: list[int]) -> list[PixelMask]:
    """Masks by object id; an object that was not found is an empty mask."""
    empty = PixelMask.of(np.zeros((1,) * objects.grid.ndim, dtype=bool))
    by_id = {o.id: PixelMask(o.region, o.mask) for o in objects if not o.empty}
    return [by_id.get(i, empty) for i in ids]


def stretched(image: Image) -> NDArray[np.float32]:
    """``(3, [z,] y, x)``: grey between the 0.5 and 99.5 percentiles → 0…255, for the references."""
    values = image.read()[0].astype(np.float32)
    low, high = np.percentile(values, [0.5, 99.5])
    grey = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1) * np.float32(255)
    return np.broadcast_to(grey.astype(np.float32), (3, *grey.shape))


def _measures(
    answer: PixelMask, target: Target, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> dict[str, float]:
    return {
        "dice": dice(answer, target.mask),
        "iou": iou(answer, target.mask),
        "boundary_iou": boundary_iou(answer, target.mask, shape),
        "nsd": surface_dice(answer, target.mask, spacing, NSD_MM),
    }
