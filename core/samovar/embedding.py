"""Embedding: what an encoder makes of one view, and how the view's picture was fitted into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fit:
    """How a picture lies in the square that an encoder sees.

    All sizes are ``(rows, columns)``. The picture is scaled to ``content`` and placed in the
    upper left corner of ``encode``; prompts are expressed in ``frame``, a scaled ``encode``.
    """

    picture: tuple[int, int]
    content: tuple[int, int]
    encode: tuple[int, int]
    frame: tuple[int, int]
    prompt_scale: tuple[float, float] | None = None
    """Prompt-frame units a picture pixel, along x and y, where a model's rule for prompts is not
    where the picture really lies, because rounding moved its shorter side."""

    @property
    def scale(self) -> tuple[float, float]:
        """Prompt-frame units a picture pixel, along x and y, for prompts."""
        return self.content_scale if self.prompt_scale is None else self.prompt_scale

    @property
    def content_scale(self) -> tuple[float, float]:
        """Prompt-frame units a picture pixel, along x and y, as the picture really lies there."""
        return (
            self.content[1] / self.picture[1] * self.frame[1] / self.encode[1],
            self.content[0] / self.picture[0] * self.frame[0] / self.encode[0],
        )


@dataclass(frozen=True, eq=False)
class Embedding:
    """Named arrays, each with a leading axis of 1, and the fit that they belong to."""

    arrays: Mapping[str, NDArray[np.float32]]
    fit: Fit
    model: str
    """Canonical name of the model and hash of its weights: the cache key's first half."""

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in self.arrays.values())
