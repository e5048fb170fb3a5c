"""Hiera trunk of SAM 2.1 tiny, small and base+.

Ryali et al. 2023, "Hiera: a hierarchical vision transformer without the bells-and-whistles"
(arXiv 2306.00989); Bolya et al. 2023, "Window attention is bugged" (arXiv 2311.05613) for the
two-part positions.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel
from .sam.layers import MLP
from .sam2 import ImageEncoder, PyramidNeck, Sam2
from .vit import unwindows, windows


def pool(x: Tensor) -> Tensor:
    """Max over 2 × 2 of ``(B, H, W, C)``."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class PoolingAttention(nn.Module):
    """Self-attention over ``(B, H, W, C)`` whose queries may be pooled 2 × 2."""

    def __init__(self, dim: int, outputs: int, heads: int, pooled: bool) -> None:
        super().__init__()
        self.heads, self.pooled = heads, pooled
        self.qkv = nn.Linear(dim, 3 * outputs)
        self.proj = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)  # each (B, H, W, C')
        if self.pooled:
            q = pool(q)
            height, width = q.shape[1:3]
        q, k, v = (
            t.reshape(batch, -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2)
            for t in (q, k, v)
        )
        out = F.scaled_dot_product_attention(q, k, v)  # (B, heads, HW, d)
        return self.proj(out.transpose(1, 2).reshape(batch, height, width, -1))


class Block(nn.Module):
    """Pre-norm block; where the width changes, queries and shortcut are pooled."""

    def __init__(self, dim: int, outputs: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.grows = window, dim != outputs
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = PoolingAttention(dim, outputs, heads, self.grows)
        self.norm2 = nn.LayerNorm(outputs, eps=1e-6)
        self.mlp = MLP(outputs, 4 * outputs, outputs, 2, nn.GELU)
        if self.grows:
            self.proj = nn.Linear(dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        shortcut = pool(self.proj(y)) if self.grows else x
        if self.window:
            parts, padded = windows(y, self.window)
            size, step = (self.window // 2, 2) if self.grows else (self.window, 1)
            shape = (shortcut.shape[1], shortcut.shape[2])
            y = unwindows(self.attn(parts), size, (padded[0] // step, padded[1] // step), shape)
        else:
            y = self.attn(y)
        x = shortcut + y
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Overlapping 7 × 7 patches of stride 4: ``(B, 3, S, S)`` → ``(B, S/4, S/4, C)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 7, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """``(B, 3, S, S)`` → four maps of strides 4, 8, 16, 32 with C, 2C, 4C, 8C channels."""

    window_sizes = (8, 4, 14, 7)

    def __init__(
        self,
        dim: int,
        heads: int,
        depths: tuple[int, ...],
        global_blocks: tuple[int, ...],
        position_grid: int,
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, dim, position_grid, position_grid))
        first = self.window_sizes[0]
        self.pos_embed_window = nn.Parameter(torch.zeros(1, dim, first, first))
        self.patch_embed = PatchEmbed(dim)
        self.blocks = nn.ModuleList()
        self.ends: list[int] = []
        for stage, depth in enumerate(depths):
            for j in range(depth):
                grows = stage > 0 and j == 0
                # a new stage's first block still uses the window of the stage before it
                window = self.window_sizes[stage - 1 if grows else stage]
                window = 0 if len(self.blocks) in global_blocks else window
                outputs = dim * 2**stage
                inputs = outputs // 2 if grows else outputs
                self.blocks.append(Block(inputs, outputs, heads * 2**stage, window))
            self.ends.append(len(self.blocks) - 1)
        self.widths = tuple(dim * 2**stage for stage in range(len(depths)))

    def positions(self, height: int, width: int) -> Tensor:
        """Coarse positions enlarged plus the window's repeated: ``(1, height, width, C)``."""
        height, width = int(height), int(width)  # constants of an exported graph
        coarse = F.interpolate(self.pos_embed, (height, width), mode="bicubic")
        side = self.pos_embed_window.shape[-1]
        fine = self.pos_embed_window.tile(1, 1, height // side, width // side)
        return (coarse + fine).permute(0, 2, 3, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.patch_embed(x)  # (B, S/4, S/4, C)
        x = x + self.positions(x.shape[1], x.shape[2])
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                outputs.append(x.permute(0, 3, 1, 2))
        return outputs


def _model(
    dim: int,
    heads: int,
    depths: tuple[int, ...],
    global_blocks: tuple[int, ...],
    position_grid: int,
) -> PromptableModel:
    trunk = Hiera(dim, heads, depths, global_blocks, position_grid)
    return Sam2(ImageEncoder(trunk, PyramidNeck(trunk.widths)))


sam2_tiny = partial(_model, 96, 1, (1, 2, 7, 2), (5, 7, 9), 7)
sam2_small = partial(_model, 96, 1, (1, 2, 11, 2), (7, 10, 13), 7)
sam2_base_plus = partial(_model, 112, 2, (2, 3, 16, 3), (12, 16, 20), 14)
