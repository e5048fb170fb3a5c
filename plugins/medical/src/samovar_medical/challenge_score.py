"""DSC and NSD of a challenge case, as the challenge counts them.

Each label of the ground truth is scored by itself and the mean taken. NSD has a tolerance of 2 mm,
in pictures of 2 pixels, and is 0 where the mean DSC is 0.2 or less, since it says nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samovar.errors import InputError
from samovar.evaluation.metrics import dice, surface_dice
from samovar.masks import PixelMask
from samovar_medical.npz import read_arrays

TOLERANCE = 2.0
TOO_LOW = 0.2


@dataclass(frozen=True)
class Score:
    """Means over the labels of a case, or over cases."""

    dsc: float
    nsd: float


def score_case(answer: Path, truth: Path, order: str = "xyz") -> Score:
    """Score ``segs`` of ``answer`` against ``gts`` of ``truth``.

    Args:
        order: of ``spacing`` in ``truth``: ``xyz`` as SimpleITK writes it, or ``zyx``, which is how
            the challenge's own scorer reads the same numbers.

    Raises:
        InputError: an array is missing, or the two differ in shape.
    """
    segs, gts = _array(answer, "segs"), _array(truth, "gts")
    if segs.shape != gts.shape:
        raise InputError(f"{answer}: its segs are {segs.shape}, the ground truth is {gts.shape}")
    spacing = _spacing(truth, gts.ndim, order)
    labels = [int(v) for v in np.unique(gts) if v]
    if not labels:
        raise InputError(f"{truth}: its gts hold no label: nothing can be scored")
    dsc, nsd = [], []
    for label in labels:
        pair = PixelMask.of(segs == label), PixelMask.of(gts == label)
        dsc.append(dice(*pair))
        nsd.append(surface_dice(*pair, spacing, TOLERANCE))
    mean = float(np.mean(dsc))
    return Score(mean, float(np.mean(nsd)) if mean > TOO_LOW else 0.0)


def mean_score(scores: Sequence[Score]) -> Score:
    """Of one case or more."""
    return Score(float(np.mean([s.dsc for s in scores])), float(np.mean([s.nsd for s in scores])))


def _array(path: Path, name: str) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file, so nothing can be scored")
    found = read_arrays(path, (name,))
    if name not in found:
        raise InputError(f"{path}: has no array {name!r}")
    return found[name]


def _spacing(path: Path, ndim: int, order: str) -> tuple[float, ...]:
    """In array order."""
    if ndim == 2:
        return (1.0, 1.0)
    given = read_arrays(path, ("spacing",)).get("spacing")
    if given is None or np.size(given) != 3:
        raise InputError(f"{path}: has no spacing of three numbers: NSD in mm needs it")
    values = tuple(float(v) for v in np.ravel(given))
    return values if order == "zyx" else values[::-1]
