"""Image encoder of Segment Anything: a ViT with windows and decomposed relative positions.

Kirillov et al. 2023 (arXiv 2304.02643); Li et al. 2022, "Exploring plain vision transformer
backbones for object detection" (arXiv 2203.16527). SlimSAM (Chen et al. 2024, arXiv 2312.05284)
is the same network with narrower layers; MedSAM (Ma et al. 2024) the same with other weights.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel, sam_model
from .sam.layers import TransformerMLP, image_neck

GLOBAL_BLOCKS = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 32: (7, 15, 23, 31)}
"""Blocks whose attention sees the whole grid, by depth."""


def relative_table(table: Tensor, size: int) -> Tensor:
    """``(2·size − 1, C)`` → ``(size, size, C)``, the row for query q and key k being q − k."""
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]


class RelativeAttention(nn.Module):
    """Self-attention over a ``(B, H, W, C)`` window with relative positions along each axis."""

    def __init__(self, dim: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, dim // heads))

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, dim = x.shape
        count = height * width
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, HW, d)
        # positions act on the unscaled query
        grid = q.reshape(batch, self.heads, height, width, -1)
        rows = torch.einsum("bnhwd,hkd->bnhwk", grid, relative_table(self.rel_pos_h, height))
        cols = torch.einsum("bnhwd,wkd->bnhwk", grid, relative_table(self.rel_pos_w, width))
        bias = rows[..., :, None] + cols[..., None, :]  # (B, heads, H, W, H, W)
        bias = bias.reshape(batch, self.heads, count, count)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (B, heads, HW, d)
        return self.proj(out.transpose(1, 2).reshape(batch, height, width, dim))


def windows(x: Tensor, size: int) -> tuple[Tensor, tuple[int, int]]:
    """``(B, H, W, C)``, zero-padded to whole windows → ``(B·n, size, size, C)`` and padded H, W."""
    batch, height, width, dim = x.shape
    down, right = -height % size, -width % size
    if down or right:
        x = F.pad(x, (0, 0, 0, right, 0, down))
    rows, cols = (height + down) // size, (width + right) // size
    x = x.reshape(batch, rows, size, cols, size, dim).transpose(2, 3)
    return x.reshape(-1, size, size, dim), (height + down, width + right)


def unwindows(x: Tensor, size: int, padded: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Inverse of :func:`windows`: ``(B·n, size, size, C)`` → ``(B, H, W, C)``, padding cut off."""
    rows, cols = padded[0] // size, padded[1] // size
    x = x.reshape(-1, rows, cols, size, size, x.shape[-1]).transpose(2, 3)
    x = x.reshape(-1, *padded, x.shape[-1])
    return x[:, : shape[0], : shape[1]].contiguous()


class Block(nn.Module):
    """Pre-norm transformer block; ``window`` 0 means global attention."""

    def __init__(self, dim: int, heads: int, hidden: int, window: int, grid: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativeAttention(dim, heads, window or grid)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = TransformerMLP(dim, hidden, nn.GELU)
        self.window = window

    def attended(self, x: Tensor) -> Tensor:
        """Attention with its residual, ``(B, H, W, C)``."""
        y = self.norm1(x)
        if not self.window:
            return x + self.attn(y)
        # padding comes after the norm: padded tokens are zeros that are attended to
        parts, padded = windows(y, self.window)
        return x + unwindows(self.attn(parts), self.window, padded, (x.shape[1], x.shape[2]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.attended(x)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """``(B, 3, S, S)`` → ``(B, S/16, S/16, C)``."""

    def __init__(self, dim: int, patch: int = 16) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class ImageEncoder(nn.Module):
    """``(B, 3, 16·grid, 16·grid)`` → ``(B, 256, grid, grid)``."""

    def __init__(
        self,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        hidden: int | None = None,
        grid: int = 64,
        window: int = 14,
        block: type[Block] = Block,
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, dim))
        self.patch_embed = PatchEmbed(dim)
        self.blocks = nn.ModuleList(
            block(dim, heads, hidden or 4 * dim, 0 if i in GLOBAL_BLOCKS[depth] else window, grid)
            for i in range(depth)
        )
        self.neck = image_neck(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed  # (B, h, w, dim)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))  # (B, 256, h, w)


def _build(**sizes: int) -> PromptableModel:
    return sam_model(ImageEncoder(**sizes))


sam_vit_b = partial(_build, dim=768, depth=12, heads=12)
sam_vit_l = partial(_build, dim=1024, depth=24, heads=16)
sam_vit_h = partial(_build, dim=1280, depth=32, heads=16)
slimsam_50 = partial(_build, dim=384, depth=12, heads=12, hidden=1536)
slimsam_77 = partial(_build, dim=168, depth=12, heads=12, hidden=696)
