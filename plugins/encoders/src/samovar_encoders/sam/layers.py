"""Small layers with the state-dict keys of the SAM family."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of a ``(B, C, H, W)`` map."""

    spatial: tuple[None, ...] = (None, None)
    """One a spatial axis: the weights' axes behind the channels."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        everywhere = (slice(None), *self.spatial)
        return self.weight[everywhere] * x + self.bias[everywhere]


class LayerNorm3d(LayerNorm2d):
    """LayerNorm over the channels of ``(B, C, D, H, W)``."""

    spatial = (None, None, None)


class MLP(nn.Module):
    """``depth`` linear layers with an activation between them (keys ``layers.0`` …)."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        depth: int,
        activation: type[nn.Module] = nn.ReLU,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (depth - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.activation = activation()
        self.sigmoid = sigmoid

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        x = self.layers[-1](x)
        return torch.sigmoid(x) if self.sigmoid else x


class TransformerMLP(nn.Module):
    """Two linear layers (keys ``lin1``, ``lin2``) around an activation."""

    def __init__(self, dim: int, hidden: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(x)))


def image_neck(inputs: int, outputs: int = 256) -> nn.Sequential:
    """SAM's neck: 1×1 and 3×3 convolutions without bias, each followed by LayerNorm2d."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False),
        LayerNorm2d(outputs),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        LayerNorm2d(outputs),
    )


def upscale(x: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Interpolate ``(B, C, H, W)`` to ``size`` with half-pixel centres, no antialiasing."""
    return F.interpolate(x, size=size, mode=mode, align_corners=False)
