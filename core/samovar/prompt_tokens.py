"""Prompt tokens: boxes and points of the picture, as numbers in a decoder's prompt frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Fit
from samovar.errors import PromptError
from samovar.prompts import Prompt, describe
from samovar.resize import PromptCoordinates

POSITIVE, NEGATIVE, BOX_LOW, BOX_HIGH, PADDING = 1, 0, 2, 3, -1
"""Labels of the tokens, as SAM has them (Kirillov et al. 2023, arXiv:2304.02643)."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of one object: ``coords`` ``(P, 2)`` float32, x, y in the prompt frame; ``labels``
    ``(P,)`` int64."""

    coords: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def padded(self, length: int) -> Tokens:
        """Filled up with padding tokens at (0, 0)."""
        missing = length - len(self)
        return Tokens(
            np.pad(self.coords, ((0, missing), (0, 0))),
            np.pad(self.labels, (0, missing), constant_values=PADDING),
        )


def tokens_of(prompt: Prompt, fit: Fit, coordinates: PromptCoordinates) -> Tokens:
    """Points first, then the box's two corners, or one padding token when there is no box.

    With ``continuous`` coordinates pixel ``i`` covers ``[i, i + 1)``: a point at index ``x`` lies
    at ``(x + ½) · scale`` and the edges of a box at ``x0 · scale`` and ``x1 · scale``. With
    ``scaled`` the numbers are multiplied as they are, as SAM's own predictor does.

    Raises:
        PromptError: a box or point that is not 2-D.
    """
    shift = 0.5 if coordinates == "continuous" else 0.0
    rows: list[tuple[float, float]] = []
    labels: list[int] = []
    for point, label in zip(prompt.points, prompt.labels, strict=True):
        x, y = _two(prompt, point, 2)
        rows.append((x + shift, y + shift))
        labels.append(POSITIVE if label == 1 else NEGATIVE)
    scale = np.array(fit.scale, dtype=np.float64)
    if prompt.box is not None:
        x0, y0, x1, y1 = _two(prompt, prompt.box, 4)
        rows += [(x0, y0), (x1, y1)]
        labels += [BOX_LOW, BOX_HIGH]
    else:
        rows.append((0.0, 0.0))
        labels.append(PADDING)
    coords = np.array(rows, dtype=np.float64) * scale
    return Tokens(coords.astype(np.float32), np.array(labels, dtype=np.int64))


def _two(prompt: Prompt, numbers: Sequence[float], wanted: int) -> Sequence[float]:
    if len(numbers) != wanted:
        raise PromptError(
            f"{describe(prompt)}: a view takes 2-D prompts of {wanted} numbers, not {len(numbers)}"
        )
    return numbers
