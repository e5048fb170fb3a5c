"""Evaluation of pictures: one embedding a picture serves all its objects and all their clicks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Embedding
from samovar.errors import InputError
from samovar.evaluation.asking import Asking, corrected
from samovar.evaluation.metrics import boundary_iou, dice, iou, iou_matrix, match
from samovar.evaluation.references import References
from samovar.evaluation.results import CaseResult, ObjectResult
from samovar.evaluation.sets import Case, EvaluationSet
from samovar.evaluation.targets import Target, read_labels, targets_of
from samovar.masks import Masks, PixelMask
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Decoder

_TOGETHER = 64  # objects decoded in one call, which bounds memory


class PictureModel(Protocol):
    """What is used of :class:`samovar.models.Model`."""

    @property
    def decoder(self) -> Decoder: ...

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]: ...


def read_picture(case: Case, modality: str = "auto") -> NDArray[np.float32]:
    """``(3, rows, columns)``, 0…255: the road that ``samovar segment`` takes.

    Raises:
        InputError: the file cannot be opened as a 2-D image.
    """
    from samovar.formats import open_image
    from samovar.intensity import choose_intensity

    with open_image(str(case.image)) as image:
        if image.grid.ndim != 2:
            raise InputError(f"{case.image} is a volume: put its labels into labels/ as NIfTI")
        return choose_intensity(image, modality).apply(image.read())


def evaluate_picture(
    where: EvaluationSet,
    case: Case,
    picture: NDArray[np.float32],
    model: PictureModel,
    asking: Asking,
    references: References,
    *,
    most: int | None = None,
) -> CaseResult:
    """Asks for every object of one picture.

    Raises:
        InputError: labels of another shape than the picture's.
    """
    targets = picture_targets(where, case, picture.shape[1:], most)
    if not targets:
        return CaseResult(())
    key = f"{where.name}/{case.stem}"
    shape = picture.shape[1:]
    prompts = [asking.first(t, key, shape) for t in targets]
    answers, quality, steps = ask(model, picture, targets, prompts, asking.clicks)
    objects = []
    for i, target in enumerate(targets):
        box = prompts[i].box or target.box
        beside = references.dice(picture, box, target.mask)
        measured = measures(answers[i], target.mask, shape)
        objects.append(
            ObjectResult(
                case.stem, target, measured, beside, steps[i], prompts[i], answers[i], quality[i]
            )
        )
    found = match(answers, quality, [t.mask for t in targets]) if where.counted else None
    return CaseResult(tuple(objects), found)


def evaluate_generated(
    where: EvaluationSet,
    case: Case,
    picture: NDArray[np.float32],
    answers: Sequence[PixelMask],
    scores: Sequence[float],
    references: References,
) -> CaseResult:
    """Measures what a generator found: each true object against the mask that overlaps it most.

    All true objects count, also those beyond the 8 largest.
    """
    shape = picture.shape[1:]
    targets = picture_targets(where, case, shape, 0)
    masks = [t.mask for t in targets]
    table = iou_matrix(answers, masks)
    nothing = PixelMask.of(np.zeros(shape, dtype=bool))
    objects = []
    for j, target in enumerate(targets):
        best = answers[int(np.argmax(table[:, j]))] if len(answers) else nothing
        beside = references.dice(picture, target.box, target.mask)
        measured = measures(best, target.mask, shape)
        objects.append(ObjectResult(case.stem, target, measured, beside, predicted=best))
    return CaseResult(tuple(objects), match(answers, scores, masks))


def picture_targets(
    where: EvaluationSet, case: Case, shape: tuple[int, ...], most: int | None
) -> list[Target]:
    labels = read_labels(case.labels)
    if labels.shape != shape:
        raise InputError(
            f"{case.labels} has shape {labels.shape}, its image {case.image.name} has {shape}: "
            "labels and image must match pixel by pixel"
        )
    return targets_of(labels, where, most=most)


def measures(answer: PixelMask, true: PixelMask, shape: tuple[int, ...]) -> dict[str, float]:
    """``dice``, ``iou`` and ``boundary_iou`` of one mask."""
    return {
        "dice": dice(answer, true),
        "iou": iou(answer, true),
        "boundary_iou": boundary_iou(answer, true, shape),
    }


def ask(
    model: PictureModel,
    picture: NDArray[np.float32],
    targets: Sequence[Target],
    prompts: Sequence[Prompt],
    clicks: int,
) -> tuple[list[PixelMask], list[float], list[tuple[float, ...]]]:
    """Asks for every object of a picture, then corrects each by ``clicks`` clicks.

    Returns the final masks, their predicted quality, and the Dice after each step.
    """
    embedding = model.encode([picture])[0]
    current = list(prompts)
    steps: list[tuple[float, ...]] = [()] * len(targets)
    for step in range(clicks + 1):
        answers = decode_all(model.decoder, embedding, current)
        for i, target in enumerate(targets):
            steps[i] = (*steps[i], dice(answers.masks[i], target.mask))
        if step < clicks:
            current = [
                corrected(p, t.mask, answers.masks[i], answers.low_res[i])
                for i, (p, t) in enumerate(zip(current, targets, strict=True))
            ]
    return list(answers.masks), [float(q) for q in answers.quality], steps


def decode_all(decoder: Decoder, embedding: Embedding, prompts: Sequence[Prompt]) -> Masks:
    """Any number of prompts on one embedding, in bounded batches."""
    parts = [
        decoder.decode(embedding, Prompts(tuple(prompts[i : i + _TOGETHER])))
        for i in range(0, len(prompts), _TOGETHER)
    ]
    if len(parts) == 1:
        return parts[0]
    return Masks(
        tuple(i for p in parts for i in p.ids),
        tuple(m for p in parts for m in p.masks),
        np.concatenate([p.quality for p in parts]),
        tuple(row for p in parts for row in p.low_res),
        np.concatenate([p.stability for p in parts]),
    )
