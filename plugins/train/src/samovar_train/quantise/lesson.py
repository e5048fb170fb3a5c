"""Lessons: one picture with its prompts and true masks, as quantisation-aware training takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Question:
    """N prompts that are asked together."""

    prompts: Arrays
    """What the prompt side is fed, embeddings aside; each with N rows."""
    truth: NDArray[np.float32]
    """``(N, h, w)`` coverage of the true masks in the mask frame, 0…1."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One picture."""

    picture: NDArray[np.float16]
    """``(1, 3, rows, columns)``, prepared for the encoder; half precision saves memory."""
    questions: tuple[Question, ...]

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.picture).float()


def as_tensors(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
