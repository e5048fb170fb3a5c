"""EdgeTAM as an image model: SAM 2 on a RepViT-M1 trunk.

Zhou et al. 2025, "EdgeTAM: on-device track anything model" (arXiv 2501.07256). The trunk is
RepViT's first design with the stages as modules, so that each one's output can be tapped.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel
from .repvit import DepthwiseSum, SqueezeExcite
from .sam2 import ImageEncoder, PyramidNeck, Sam2
from .tiny_vit import ConvNorm


class ChannelMLP(nn.Module):
    """1×1 → GELU → 1×1 at twice the width (keys ``conv1``, ``conv2``)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, 2 * dim)
        self.conv2 = ConvNorm(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.gelu(self.conv1(x)))


class Block(nn.Module):
    """Token mixer, gate in every other block, residual channel mixer."""

    def __init__(self, dim: int, excite: bool) -> None:
        super().__init__()
        self.token_mixer = DepthwiseSum(dim)
        self.se = SqueezeExcite(dim) if excite else nn.Identity()
        self.channel_mixer = ChannelMLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class Downsample(nn.Module):
    """A block at the old width, then half the size, the new width and a residual MLP."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pre_block = Block(inputs, excite=False)
        self.spatial_downsample = ConvNorm(inputs, inputs, 3, 2, groups=inputs)
        self.channel_downsample = ConvNorm(inputs, outputs)
        self.ffn = ChannelMLP(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class Stage(nn.Module):
    """Optional downsampling and ``depth`` blocks."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.downsample = Downsample(inputs, outputs) if inputs != outputs else nn.Identity()
        self.blocks = nn.Sequential(*(Block(outputs, excite=i % 2 == 0) for i in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Stem(nn.Module):
    """``(B, 3, S, S)`` → ``(B, C, S/4, S/4)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, dim // 2, 3, 2)
        self.conv2 = ConvNorm(dim // 2, dim, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.gelu(self.conv1(x)))


class Body(nn.Module):
    """RepViT-M1 without a classifier: four maps of strides 4, 8, 16, 32."""

    widths = (48, 96, 192, 384)
    depths = (2, 2, 14, 2)

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem(self.widths[0])
        previous = self.widths[0]
        for i, (dim, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            self.add_module(f"stages_{i}", Stage(previous, dim, depth))
            previous = dim

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        outputs = []
        for i in range(len(self.widths)):
            x = getattr(self, f"stages_{i}")(x)
            outputs.append(x)
        return outputs


class Trunk(nn.Module):
    """The body under upstream's name (key ``body``)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.body(x)


def edgetam() -> PromptableModel:
    """EdgeTAM's image model."""
    return Sam2(ImageEncoder(Trunk(), PyramidNeck(Body.widths)))
