"""SAM-Med2D: SAM's ViT-B at 256 pixels with an adapter in every block.

Cheng et al. 2023, "SAM-Med2D" (arXiv 2308.16184). The adapter gates channels, mixes space at half
the size, and runs beside the MLP.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from .model import PromptableModel, sam_model
from .vit import Block, ImageEncoder


class Adapter(nn.Module):
    """``(B, H, W, C)`` → the same, H and W even."""

    def __init__(self, dim: int, reduction: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.channel = nn.Sequential(
            nn.Linear(dim, dim // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(dim // reduction, dim, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(dim, dim, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate = self.channel(x.mean((1, 2)))  # (B, C)
        y = (x * gate[:, None, None]).permute(0, 3, 1, 2)  # (B, C, H, W)
        return self.norm(x + self.spatial(y).permute(0, 2, 3, 1))


class AdaptedBlock(Block):
    """SAM's block whose MLP and adapter both see the normed tokens."""

    def __init__(self, dim: int, heads: int, hidden: int, window: int, grid: int) -> None:
        super().__init__(dim, heads, hidden, window, grid)
        self.Adapter = Adapter(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attended(x)
        y = self.norm2(x)
        return x + self.mlp(y) + self.Adapter(y)


def _model(block: type[Block]) -> PromptableModel:
    return sam_model(ImageEncoder(grid=16, block=block), grid=16, frame=256)


sam_med2d = partial(_model, AdaptedBlock)
ft_sam = partial(_model, Block)
"""The same without adapters (``ft-sam_b.pth``)."""
