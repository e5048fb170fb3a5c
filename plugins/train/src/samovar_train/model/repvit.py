"""An encoder like RepViT (Wang et al., arXiv:2307.09283): a mobile convolutional net, arranged as
a transformer is.

A block mixes places by one depthwise convolution, then channels by two pointwise ones. While it is
trained the depthwise one has three branches (3x3, 1x1, the identity; RepVGG, arXiv:2101.03697); in
the exported graph they are one convolution. RepViT's squeeze-and-excite layers are left out: a
pooled context at stride 32 stands in for them, as in the other encoders here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samovar_train.model.pyramid import Added, Layer, Pyramid, stem


class Branches(nn.Module):
    """Depthwise 3x3, depthwise 1x1 and the identity, added: one convolution once it is folded."""

    def __init__(self, channels: int):
        super().__init__()
        self.wide = Layer(channels, channels, 3, groups=channels)
        self.point = Layer(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.wide(x) + self.point(x) + x
        return out

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """The one convolution, of branches whose BatchNorms are folded."""
        wide, point = self.wide.conv, self.point.conv
        one = nn.Conv2d(wide.in_channels, wide.out_channels, 3, 1, 1, groups=wide.groups)
        centre = F.pad(point.weight + 1.0, (1, 1, 1, 1))
        one.weight = nn.Parameter(wide.weight + centre)
        one.bias = nn.Parameter(wide.bias + point.bias)  # type: ignore[operator]
        return one


def mixer(channels: int, activation: str) -> Added:
    """Channels mixed at each place, by way of twice as many."""
    return Added(
        nn.Sequential(Layer(channels, 2 * channels, activation=activation),
                      Layer(2 * channels, channels))
    )  # fmt: skip


class Block(nn.Sequential):
    """Places, then channels."""

    def __init__(self, channels: int, activation: str):
        super().__init__(Branches(channels), mixer(channels, activation))


def down(cin: int, cout: int, activation: str) -> nn.Sequential:
    """Half the places, other channels: depthwise, pointwise, and a mixer."""
    return nn.Sequential(
        Layer(cin, cin, 3, 2, groups=cin), Layer(cin, cout), mixer(cout, activation)
    )


def repvit(
    widths: tuple[int, int, int, int], depths: tuple[int, int, int, int], activation: str
) -> Pyramid:
    """`widths` channels and `depths` blocks at strides 4, 8, 16 and 32."""
    first: nn.Module = stem(widths[0], activation)
    stages = []
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        start = first if i == 0 else down(widths[i - 1], width, activation)
        stages.append(nn.Sequential(start, *(Block(width, activation) for _ in range(depth))))
    return Pyramid(stages, widths, activation)
