"""Evaluation on cases of the challenge "Segment Anything in Medical Images on Laptop" (CVPR 2024).

A case is an npz with ``imgs``, ``boxes`` and ``spacing``, read by whichever plugin opens npz, and
an npz (the same or another) with ``gts``: label i is what box i asks for. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.evaluation.asking import Asking
from samovar.evaluation.references import References
from samovar.evaluation.results import CaseResult
from samovar.evaluation.sets import Case, EvaluationSet, arrays_in
from samovar.evaluation.targets import Target
from samovar.evaluation.volumes import ask_and_measure
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.prompts import Prompt


def evaluate_challenge(
    where: EvaluationSet,
    case: Case,
    model: Any,
    asking: Asking,
    references: References,
    modality: str = "auto",
) -> CaseResult:
    """Asks for every label of one case, by the case's own boxes where boxes are asked for.

    Raises:
        InputError: no whole-number ``gts`` of the shape of the image, or labels without a box.
    """
    from samovar.formats import open_image

    with open_image(str(case.image)) as image:
        gts = read_gts(case.labels)
        if gts.shape != image.grid.shape:
            raise InputError(
                f"{case.labels}: its gts are {gts.shape}, its image is {image.grid.shape}: "
                "they must match voxel by voxel"
            )
        targets = _targets(gts, case.stem, where)
        if asking.prompt == "box" and not asking.jitter and "boxes" in arrays_in(case.image):
            asked = _own_boxes(case, image, targets)
        else:
            asked = tuple(asking.first(t, f"{where.name}/{case.stem}", gts.shape) for t in targets)
        return ask_and_measure(case.stem, image, targets, asked, model, references, modality)


def read_gts(path: Path) -> NDArray[np.integer[Any]]:
    """``(rows, columns)`` or ``(slices, rows, columns)`` of a case's labels.

    Raises:
        InputError: not an npz, pickled, or without whole-number ``gts``.
    """
    if "gts" not in arrays_in(path):
        raise InputError(f"{path}: has no array 'gts': there is nothing to measure against")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            gts: NDArray[Any] = arrays["gts"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: its gts cannot be read: {error}") from error
    if gts.dtype.kind not in "bui":
        raise InputError(f"{path}: its gts are {gts.dtype}: they have to be whole numbers")
    return gts.astype(np.uint8) if gts.dtype == bool else gts


def _targets(gts: NDArray[np.integer[Any]], stem: str, where: EvaluationSet) -> list[Target]:
    """Whole labels, numbered as their boxes; classes without a name are called as their cases."""
    words = stem.split("_")
    kind = "_".join(words[:2]) if len(words) > 2 and not where.classes else ""
    return [
        Target(v, v, kind or where.class_name(v), where.thin(v), PixelMask.of(gts == v))
        for v in (int(label) for label in np.unique(gts))
        if v > 0
    ]


def _own_boxes(case: Case, image: Image, targets: list[Target]) -> tuple[Prompt, ...]:
    from samovar.formats import read_prompts

    boxes = {p.id: p for p in read_prompts(case.image, image).to_index(image.grid)}
    bare = [t.number for t in targets if t.number not in boxes]
    if bare:
        raise InputError(
            f"{case.image}: has {len(boxes)} boxes, but its labels go up to {max(bare)}: "
            "box i has to be that of label i"
        )
    return tuple(boxes[t.number] for t in targets)
