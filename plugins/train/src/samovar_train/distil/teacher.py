"""A teacher: frozen, and asked about each picture once. What it says of a picture is kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samovar.embedding import Fit
from samovar_train.distil.examples import Asked
from samovar_train.distil.learner import Features, Learner


class Teacher:
    """Features and masks of a frozen model; features are cached as float16 safetensors.

    A file's name is a hash of the teacher's weights and of the picture's bytes, so another teacher
    or another picture never meets the wrong answer. Files are written under a temporary name.
    """

    def __init__(self, learner: Learner, cache: Path):
        self.learner = learner
        self.learner.module.eval().requires_grad_(False)
        self.folder = cache / learner.digest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.asked = 0

    @torch.no_grad()
    def features(self, picture: NDArray[np.uint8]) -> tuple[Features, Fit]:
        """Features `(1, C, h, w)` float32 of a picture, and how it lies in the teacher's square."""
        from safetensors.torch import load_file, save_file

        key = hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes())
        file = self.folder / f"{key.hexdigest()[:32]}.safetensors"
        if file.is_file():
            fit = self.learner.architecture.preparation.fit((picture.shape[0], picture.shape[1]))
            return {k: v.float() for k, v in load_file(file).items()}, fit
        batch, fit = self.learner.prepare(picture)
        self.asked += 1
        features = self.learner.encode(batch)
        half = {k: v.half().contiguous() for k, v in features.items()}
        part = file.with_name(f"{file.stem}.{os.getpid()}.part")
        save_file(half, part)
        part.replace(file)
        return {k: v.float() for k, v in half.items()}, fit

    @torch.no_grad()
    def masks(self, features: Features, fit: Fit, asked: Asked) -> tuple[Tensor, Tensor]:
        """Logits `(N, M, h, w)` over its square, and quality `(N, M)`."""
        return self.learner.answer(features, fit, asked)
