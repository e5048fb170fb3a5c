"""RepViT image encoders: RepViT-SAM's M2.3 and EdgeSAM's M1 with its two-level pyramid.

Wang et al. 2024, "RepViT" (arXiv 2307.09283) and "RepViT-SAM" (arXiv 2312.05760); Zhou et al.
2023, "EdgeSAM" (arXiv 2312.06660). Token mixing by a re-parameterisable depthwise 3×3, channel
mixing by a residual MLP of 1×1 convolutions; squeeze-and-excitation in every other block.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .efficientvit import Bicubic, Ops
from .model import PromptableModel, sam_model
from .sam.layers import image_neck
from .tiny_vit import ConvNorm


class DepthwiseNorm(nn.Module):
    """Depthwise 3×3 + depthwise 1×1 + identity under one batch norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1 = nn.Conv2d(dim, dim, 1, groups=dim)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn((self.conv(x) + self.conv1(x)) + x)


class DepthwiseSum(nn.Module):
    """The first design (EdgeSAM): each branch has its own batch norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1 = ConvNorm(dim, dim, 1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv1(x) + x


class SqueezeExcite(nn.Module):
    """Channel gate from the mean over the map; a quarter of the channels inside."""

    def __init__(self, dim: int, names: tuple[str, str] = ("fc1", "fc2")) -> None:
        super().__init__()
        hidden = max(8, (dim // 4 + 4) // 8 * 8)
        self.names = names
        setattr(self, names[0], nn.Conv2d(dim, hidden, 1))
        setattr(self, names[1], nn.Conv2d(hidden, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        gate = getattr(self, self.names[0])(x.mean((2, 3), keepdim=True))  # (B, hidden, 1, 1)
        return x * getattr(self, self.names[1])(F.relu(gate)).sigmoid()


class ChannelMixer(nn.Module):
    """Residual 1×1 → GELU → 1×1 at twice the width (key ``m``)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.m = nn.Sequential(ConvNorm(dim, 2 * dim), nn.GELU(), ConvNorm(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class Block(nn.Module):
    """Token mixer, then channel mixer; the mixer of a new stage changes width and size."""

    def __init__(self, token_mixer: nn.Module, dim: int) -> None:
        super().__init__()
        self.token_mixer = token_mixer
        self.channel_mixer = ChannelMixer(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.channel_mixer(self.token_mixer(x))


def _new_stage(inputs: int, outputs: int, stride: int) -> Block:
    depthwise = ConvNorm(inputs, inputs, 3, stride, groups=inputs)
    return Block(nn.Sequential(depthwise, nn.Identity(), ConvNorm(inputs, outputs)), outputs)


def _block(dim: int, excite: bool, mixer: type[nn.Module]) -> Block:
    gate = SqueezeExcite(dim) if excite else nn.Identity()
    return Block(nn.Sequential(mixer(dim), gate), dim)


def repvit_features(
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    strides: tuple[int, ...],
    mixer: type[nn.Module],
) -> tuple[nn.ModuleList, list[int]]:
    """Stem and blocks in one list, and the index of each stage's last block."""
    layers: list[nn.Module] = [
        nn.Sequential(
            ConvNorm(3, widths[0] // 2, 3, 2), nn.GELU(), ConvNorm(widths[0] // 2, widths[0], 3, 2)
        )
    ]
    ends = []
    for i, (dim, depth) in enumerate(zip(widths, depths, strict=True)):
        if i:
            layers.append(_new_stage(widths[i - 1], dim, strides[i]))
        # squeeze-and-excitation in blocks 0, 2, 4 …, never in a stage's last
        layers += [_block(dim, j % 2 == 0 and j < depth - 1, mixer) for j in range(depth)]
        ends.append(len(layers) - 1)
    return nn.ModuleList(layers), ends


class RepViT(nn.Module):
    """RepViT-M2.3: ``(B, 3, 1024, 1024)`` → ``(B, 256, 64, 64)``; the last stage keeps the size."""

    def __init__(self) -> None:
        super().__init__()
        widths, depths = (80, 160, 320, 640), (7, 7, 35, 2)
        self.features, _ = repvit_features(widths, depths, (1, 2, 2, 1), DepthwiseNorm)
        self.neck = image_neck(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.features:
            x = layer(x)
        return self.neck(x)


class RepViTPyramid(nn.Module):
    """RepViT-M1 with strides 16 and 32 fused: ``(B, 3, 1024, 1024)`` → ``(B, 256, 64, 64)``."""

    def __init__(self) -> None:
        super().__init__()
        widths, depths = (48, 96, 192, 384), (3, 3, 15, 2)
        self.features, ends = repvit_features(widths, depths, (1, 2, 2, 2), DepthwiseSum)
        self.fine = ends[2]
        self.fuse_stage2 = nn.Conv2d(widths[2], 256, 1, bias=False)
        self.fuse_stage3 = Ops([nn.Conv2d(widths[3], 256, 1, bias=False), Bicubic(64)])
        self.neck = image_neck(256)

    def forward(self, x: Tensor) -> Tensor:
        fine = x
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i == self.fine:
                fine = x  # (B, 192, 64, 64)
        return self.neck(self.fuse_stage2(fine) + self.fuse_stage3(x))


def repvit_sam() -> PromptableModel:
    """RepViT-SAM (M2.3)."""
    return sam_model(RepViT())


def edge_sam() -> PromptableModel:
    """EdgeSAM from the published architecture; no upstream numbers to compare with."""
    return sam_model(RepViTPyramid())
