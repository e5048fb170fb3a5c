"""Models that can be taught: any encoder spec that names a torch builder, and `tiny` itself."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samovar.embedding import Fit
from samovar.errors import InputError, PluginError, UsageError
from samovar.plugins import registry
from samovar.resize import Normalisation, Preparation, Resize, prepare
from samovar.specs import EncoderSpec
from samovar_train.model.tiny import FRAME, MEAN, STD, Tiny

EMBEDDING = "image_embeddings"
Features = dict[str, Tensor]


class Promptable(Protocol):
    """The three steps of a promptable module, as `samovar-encoders` exports them."""

    def encode(self, pictures: Tensor) -> Features:
        """`(B, 3, S, S)` normalised → `image_embeddings` `(B, C, h, w)` and taps."""
        ...

    def prompts(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Points `(N, P, 2)`, labels `(N, P)`, boxes `(N, 4)` in the prompt frame → embeddings."""
        ...

    def decode(self, features: Features, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Features of N prompts → mask logits `(N, M, h', w')`, quality `(N, M)`."""
        ...


class PromptableTiny(nn.Module):
    """`tiny` with the three steps under the names that all models here share."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Tiny()

    def encode(self, pictures: Tensor) -> Features:
        embedding, s8, s4 = self.model.encoder(pictures)
        return {EMBEDDING: embedding, "features_s8": s8, "features_s4": s4}

    def prompts(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        coords, kinds = [], []
        if boxes is not None:
            coords.append(boxes.reshape(-1, 2, 2))
            kinds.append(torch.tensor([[2.0, 3.0]]).expand(len(boxes), 2))
        if points is not None and labels is not None:
            coords.append(points)
            kinds.append(labels)
        n = len(coords[0])
        given = torch.zeros(n, 1, FRAME // 4, FRAME // 4) if masks is None else masks
        has = torch.full((n, 1), float(masks is not None))
        sparse, dense = self.model.prompt_encoder(
            torch.cat(coords, 1), torch.cat(kinds, 1), given, has
        )
        return sparse, dense

    def decode(self, features: Features, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        taps = features[EMBEDDING], features["features_s8"], features["features_s4"]
        masks, quality = self.model.mask_decoder(*taps, sparse, dense)
        return masks, quality


@dataclass(frozen=True, eq=False)
class Learner:
    """A module, how it wants its pictures, and what to call it."""

    name: str
    module: nn.Module
    preparation: Preparation

    @property
    def promptable(self) -> Promptable:
        return cast(Promptable, self.module)

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
        batch, fits = prepare([planes], self.preparation)
        return torch.from_numpy(batch), fits[0]


def build(name: str, weights: Path | None = None) -> Learner:
    """A registered model with fresh weights, or with those of a file.

    Raises:
        UsageError: the model is not known, or its spec names no torch builder.
        PluginError: the builder fails.
        InputError: the file does not hold the model's weights.
    """
    if name == "tiny":
        normalisation = Normalisation("mean-std", MEAN, STD)
        preparation = Preparation(
            (FRAME, FRAME), (FRAME, FRAME), "continuous", Resize(), normalisation
        )
        learner = Learner(name, PromptableTiny(), preparation)
    else:
        learner = from_spec(cast(EncoderSpec, registry().find("encoder", name)))
    if weights is not None:
        load_weights(learner.module, weights)
    return learner


def from_spec(spec: EncoderSpec) -> Learner:
    """A model by the torch builder that its spec names."""
    if not spec.builder:
        raise UsageError(
            f"{spec.canonical} names no torch builder, so it can neither teach nor be taught: "
            "choose a model that `samovar models list` shows as trainable"
        )
    module, _, function = spec.builder.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)()
    except Exception as error:
        raise PluginError(
            f"{spec.canonical}: its builder {spec.builder} failed: {error}"
        ) from error
    preparation = Preparation(
        spec.encode_size,
        spec.prompt_frame,
        spec.prompt_coordinates,
        Resize.parse(spec.resize),
        Normalisation.parse(spec.normalisation),
    )
    return Learner(spec.name, made, preparation)


def load_weights(module: nn.Module, file: Path) -> None:
    """Weights by name from safetensors, or from a torch file read with `weights_only`.

    Raises InputError where names or shapes are not the module's.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such weights")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Mapping[str, Any] = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{file} cannot be read as weights: {error}") from error
    for key in ("ema", "model", "state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
            break
    for prefix in ("module.", "model."):
        wanted = all(key.startswith(prefix) for key in module.state_dict())
        if all(key.startswith(prefix) for key in state) and not wanted:
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    target = module.model if isinstance(module, PromptableTiny) else module
    try:
        target.load_state_dict(dict(state))
    except RuntimeError as error:
        lines = " ".join(str(error).split())[:300]
        raise InputError(f"{file} holds weights of another model: {lines}") from error
