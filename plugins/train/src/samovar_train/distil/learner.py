"""Models that teach and are taught: the torch side of any registered model, reached by hook."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samovar.architectures import Architecture, build_architecture
from samovar.embedding import Fit
from samovar.errors import InputError
from samovar.resize import prepare
from samovar_train.distil.examples import Asked
from samovar_train.distil.prune import shrink

EMBEDDING = "image_embeddings"
Features = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Learner:
    """An architecture, asked as the host asks its graphs."""

    architecture: Architecture

    @property
    def name(self) -> str:
        return self.architecture.name

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self.architecture.module)

    def digest(self) -> str:
        """SHA-256 over names and values of all weights: the key of what is cached of a teacher."""
        total = hashlib.sha256(self.name.encode())
        for key, value in sorted(self.module.state_dict().items()):
            total.update(key.encode())
            total.update(value.detach().cpu().contiguous().float().numpy().tobytes())
        return total.hexdigest()

    def prepare(self, picture: NDArray[np.uint8]) -> tuple[Tensor, Fit]:
        """`(rows, columns)` or `(rows, columns, 3)` uint8 → `(1, 3, S, S)` and its fit."""
        rgb = np.repeat(picture[..., None], 3, -1) if picture.ndim == 2 else picture
        planes = np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.float32)
        batch, fits = prepare([planes], self.architecture.preparation)
        return torch.from_numpy(batch), fits[0]

    def encode(self, batch: Tensor) -> Features:
        """`(B, 3, S, S)` → the embedding `(B, C, h, w)` and the taps, by name."""
        arrays = self.call("encoder", {"image": batch})
        return dict(zip(self.architecture.names("encoder")[1], arrays, strict=True))

    def answer(self, features: Features, fit: Fit, asked: Asked) -> tuple[Tensor, Tensor]:
        """Mask logits `(N, M, h, w)` over the model's square, and quality `(N, M)`."""
        coords, labels = asked.tokens(fit, self.architecture.preparation)
        feeds = {"point_coords": coords, "point_labels": labels}
        n = len(coords)
        if "mask_input" in self.architecture.names("prompt_encoder")[0]:
            h, w = (4 * v for v in features[EMBEDDING].shape[-2:])
            feeds |= {"mask_input": torch.zeros(n, 1, h, w), "has_mask_input": torch.zeros(n, 1)}
        sparse, dense = self.call("prompt_encoder", feeds)
        own = {k: v.expand(n, *v.shape[1:]) for k, v in features.items()}
        masks, quality = self.call(
            "mask_decoder", own | {"sparse_embeddings": sparse, "dense_embeddings": dense}
        )
        return masks, quality

    def call(self, role: str, feeds: Features) -> tuple[Any, ...]:
        """A role's outputs; its inputs are fed by name."""
        names, _ = self.architecture.names(role)
        module = self.architecture.role(role)
        module.train(self.module.training)
        out = module(*(feeds[name] for name in names))
        return out if isinstance(out, tuple) else (out,)

    def encoder_parameters(self) -> set[int]:
        """`id` of every parameter that the embedding or a tap depends on."""
        batch, _ = self.prepare(np.zeros((16, 16), np.uint8))
        own = [p for p in self.module.parameters() if p.requires_grad]
        total = sum((v.float().sum() for v in self.encode(batch).values()), torch.zeros(()))
        gradients = torch.autograd.grad(total, own, allow_unused=True)
        return {id(p) for p, g in zip(own, gradients, strict=True) if g is not None}


def build(name: str, weights: Path | None = None) -> Learner:
    """A registered model with fresh weights, or with those of a checkpoint or a bundle's folder.

    A distillation's own checkpoint gives back its student, with the widths that pruning left.

    Raises:
        UsageError: the model is not known, or offers no torch modules.
        InputError: the file does not hold the model's weights.
    """
    learner = Learner(build_architecture(name))
    if weights is None:
        return learner
    state = distilled(weights)
    if state is None:
        learner.architecture.load([weights])
    elif state["student"] != learner.name:
        raise InputError(f"{weights} is of a distillation of {state['student']}, not of {name}")
    else:
        shrink(learner.module, state["widths"])
        learner.module.load_state_dict(state["model"])
    return learner


def distilled(file: Path) -> dict[str, Any] | None:
    """What a distillation's checkpoint holds; None for any other file or folder."""
    if not is_zipfile(file):  # as torch has them
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # somebody else's: its own reader says what is wrong with it
        return None
    return state if isinstance(state, dict) and {"student", "widths"} <= set(state) else None
