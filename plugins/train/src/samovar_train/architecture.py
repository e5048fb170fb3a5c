"""`tiny` as the host's Architecture: what adapters, distillation and quantisation reach it by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samovar.bundle import Bundle
from samovar.bundle_files import FILE_NAME
from samovar.errors import InputError
from samovar.resize import Normalisation, Preparation, Resize
from samovar_train.distil.prune import shrink, widths_in
from samovar_train.export import INPUTS, OUTPUTS, example_inputs, export_bundle
from samovar_train.model.encoder import ConvBN
from samovar_train.model.tiny import FRAME, MEAN, STD, Tiny


class TinyArchitecture:
    """The :class:`samovar.protocols.Architecture` of `tiny`."""

    name = "tiny"
    lora_targets = ("q", "k", "v", "out")
    roles = tuple(INPUTS)
    preparation = Preparation(
        (FRAME, FRAME), (FRAME, FRAME), "continuous", Resize(), Normalisation("mean-std", MEAN, STD)
    )

    def __init__(self) -> None:
        self.module = Tiny().eval()

    def role(self, role: str) -> nn.Module:
        """The module of one graph; it is a part of ``module``."""
        part: nn.Module = getattr(self.module, role)
        return part

    def names(self, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of a graph's inputs and outputs."""
        return tuple(INPUTS[role]), tuple(OUTPUTS[role])

    def samples(self, role: str, prompts: int, points: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of a role."""
        return example_inputs(self.module, role, prompts, points, seed)

    def load(self, paths: Sequence[str | Path]) -> None:
        """Weights of a training checkpoint (the averaged ones), or those in a bundle's graphs.

        A bundle's BatchNorms are folded away: here they come back as the identity and a bias. The
        module takes the widths of a pruned student.

        Raises:
            InputError: not one path, or a file that holds something else.
            BundleError: the folder holds no bundle that is whole.
        """
        if len(paths) != 1:
            raise InputError(f"tiny is in one file or one bundle, not in {len(paths)}")
        path = Path(paths[0])
        state = from_bundle(self.module, path) if (path / FILE_NAME).is_file() else read(path)
        shrink(self.module, widths_in(self.module, state))
        try:
            self.module.load_state_dict(state)
        except RuntimeError as error:
            lines = " ".join(str(error).split())[:300]
            raise InputError(f"{path} holds weights of another model: {lines}") from error

    def export(self, folder: str | Path) -> Bundle:
        """The graphs of all roles, compared with torch, as a new bundle."""
        return Bundle.load(export_bundle(self.module, folder).parent)


def read(file: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, or those of the student of a distillation."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        weights: dict[str, Tensor] = state["model" if "student" in state else "ema"]
    except Exception as error:
        raise InputError(f"{file} is no checkpoint of `samovar train`: {error}") from error
    return weights


def from_bundle(module: Tiny, folder: Path) -> dict[str, Tensor]:
    """A state dict out of the graphs' initialisers, which are named as the parameters are."""
    import onnx
    from onnx import numpy_helper

    bundle = Bundle.load(folder)
    state: dict[str, Any] = {k: v.clone() for k, v in module.state_dict().items()}
    for role in (r for r in INPUTS if r in bundle.roles):
        graph = onnx.load(str(bundle.graph(role))).graph
        for value in graph.initializer:
            state[f"{role}.{value.name}"] = torch.from_numpy(numpy_helper.to_array(value).copy())
    for name, layer in module.named_modules():
        if isinstance(layer, ConvBN) and f"{name}.conv.bias" in state:
            bias = state.pop(f"{name}.conv.bias")
            state[f"{name}.bn.bias"] = bias
            state[f"{name}.bn.weight"] = torch.ones_like(bias)
            state[f"{name}.bn.running_mean"] = torch.zeros_like(bias)
            state[f"{name}.bn.running_var"] = torch.ones_like(bias) - layer.bn.eps
    return {k: v for k, v in state.items() if k in module.state_dict()}


def tiny() -> TinyArchitecture:
    """What the bundled model's spec names as its builder."""
    return TinyArchitecture()
