"""NanoSAM: a ResNet-18, an upsampling head, MobileSAM's decoder.

NVIDIA-AI-IOT nanosam (2023); He et al. 2016, "Deep residual learning" (arXiv 1512.03385). The
encoder was distilled from MobileSAM's; there is no norm at its end but a learned position map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel, sam_model


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + shortcut)


class ResNet18(nn.Module):
    """``(B, 3, S, S)`` → ``(B, 512, S/32, S/32)``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        for i in range(1, 5):
            stride = 1 if i == 1 else 2
            stage = nn.Sequential(
                BasicBlock(widths[i - 1], widths[i], stride), BasicBlock(widths[i], widths[i], 1)
            )
            self.add_module(f"layer{i}", stage)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class ResNetNeck(nn.Module):
    """``(B, 3, 1024, 1024)`` → ``(B, 256, 64, 64)``."""

    def __init__(self, grid: int = 64) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, 256, grid, grid))
        self.backbone = ResNet18()
        self.up_1 = nn.Sequential(
            nn.Conv2d(512, 256, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(256, 256, 3, 2, 1, 1),
            nn.GELU(),
        )
        self.proj = nn.Sequential(
            nn.Conv2d(256, 256, 3, padding=1), nn.GELU(), nn.Conv2d(256, 256, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.up_1(self.backbone(x))) + self.pos_embedding


class NanoSam(PromptableModel):
    """Answers with all four masks; upstream takes the one of highest quality."""

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        return masks, quality


def nanosam() -> PromptableModel:
    """NanoSAM with its ResNet-18 encoder; no padding point follows the prompt's."""
    parts = sam_model(ResNetNeck())
    parts.prompt_encoder.pad = False
    return NanoSam(parts.image_encoder, parts.prompt_encoder, parts.mask_decoder)
