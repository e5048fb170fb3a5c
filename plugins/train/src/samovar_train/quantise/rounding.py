"""Rounding that can be trained through: what int8 leaves of a tensor, in float.

Gradients pass as if nothing was rounded, and stop where values were cut off (the straight-through
estimator of Bengio et al., arXiv:1308.3432, as Jacob et al., arXiv:1712.05877, train with it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RoundActivation(nn.Module):
    """Per tensor, asymmetric, 0…255. The range is the calibration's and stays as it is."""

    def __init__(self, step: float, zero: int) -> None:
        super().__init__()
        self.step, self.zero = step, zero

    def forward(self, x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x.float(), self.step, self.zero, 0, 255)


class RoundWeight(nn.Module):
    """Per output channel, symmetric; the largest weight of a channel is its largest number."""

    def __init__(self, axis: int, bits: int = 8) -> None:
        super().__init__()
        self.axis, self.limit = axis, 2 ** (bits - 1) - 1

    def steps(self, weight: Tensor) -> Tensor:
        """One step a channel; 1e-8 where a channel is zero."""
        others = [i for i in range(weight.ndim) if i != self.axis]
        return (weight.detach().abs().amax(dim=others) / self.limit).clamp(min=1e-8)

    def forward(self, weight: Tensor) -> Tensor:
        steps = self.steps(weight)
        zeros = torch.zeros(len(steps), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, steps, zeros, self.axis, -self.limit, self.limit
        )
