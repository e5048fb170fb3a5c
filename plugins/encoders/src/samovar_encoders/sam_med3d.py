"""SAM-Med3D and FastSAM3D: Segment Anything in volumes of 128³ voxels, point prompts.

Wang et al. 2023, "SAM-Med3D" (arXiv 2310.15161); Shen et al. 2024, "FastSAM3D" (arXiv
2403.09827), whose encoder is a smaller student. Arrays are ``(B, C, D, H, W)``; points are voxel
indices in the array's axis order.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel
from .sam.layers import LayerNorm3d, TransformerMLP
from .sam.mask_decoder import MaskDecoder, upscaling
from .sam.prompt_encoder import PAD
from .vit import relative_table

DIM = 384


class RelativeAttention3d(nn.Module):
    """Self-attention over ``(B, D, H, W, C)`` with relative positions along each axis."""

    def __init__(self, dim: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_d = nn.Parameter(torch.zeros(2 * size - 1, dim // heads))
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, dim // heads))

    def bias(self, queries: Tensor, width: int) -> Tensor:
        """Of unscaled queries ``(B, heads, D, H, S, d)``: ``(B, heads, D, H, W, S, S, S)``.

        Upstream's broadcasting puts every table's key position on the last axis, and the query's
        place along W on a key axis for two of them. It is no decomposition of relative positions,
        but the weights were trained with it; cubes alone make it possible, and queries are needed
        along the whole side S of the cube for W of them.
        """
        depth, height, side = queries.shape[2:5]
        table_d = relative_table(self.rel_pos_d, side)[:depth]
        table_h = relative_table(self.rel_pos_h, side)[:height]
        table_w = relative_table(self.rel_pos_w, side)
        along_d = torch.einsum("bndhwc,dkc->bndhwk", queries[:, :, :, :, :width], table_d)
        along_h = torch.einsum("bndhwc,hkc->bndhwk", queries, table_h)
        along_w = torch.einsum("bndhwc,wkc->bndhwk", queries, table_w)
        return (
            along_d[:, :, :, :, :, None, None, :]
            + along_h[:, :, :, :, None, :, None, :]
            + along_w[:, :, :, :, None, None, :, :]
        )

    def forward(self, x: Tensor, side: int) -> Tensor:
        """Tokens ``(B, D, H, W, C)`` among those of a cube of ``side``, the others being zero.

        What is zero needs no answer, and all of its keys and values are alike: only the real
        tokens go through the linear layers.
        """
        batch, depth, height, width, dim = x.shape
        blank = self.qkv(x.new_zeros(dim))
        qkv = _within_cube(self.qkv(x), blank, side)  # (B, S, S, S, 3C)
        heads = (batch, side, side, side, 3, self.heads, dim // self.heads)
        q, k, v = qkv.reshape(heads).permute(4, 0, 5, 1, 2, 3, 6)  # each (B, heads, S, S, S, d)
        queries = q[:, :, :depth, :height]
        bias = self.bias(queries, width).flatten(5).flatten(2, 4)  # (B, heads, DHW, SSS)
        asked = queries[:, :, :, :, :width].flatten(2, 4)
        out = F.scaled_dot_product_attention(
            asked, k.flatten(2, 4), v.flatten(2, 4), attn_mask=bias
        )
        return self.proj(out.transpose(1, 2).reshape(x.shape))


def _within_cube(tokens: Tensor, blank: Tensor, side: int) -> Tensor:
    """``(B, D, H, W, C)`` → ``(B, side, side, side, C)``, filled up with ``blank`` (C)."""
    for axis in (1, 2, 3):
        lack = side - tokens.shape[axis]
        if lack:
            shape = [*tokens.shape]
            shape[axis] = lack
            tokens = torch.cat([tokens, blank.expand(shape)], dim=axis)
    return tokens


class Block3d(nn.Module):
    """Pre-norm block; a window larger than the grid pads it with zeros after the norm."""

    def __init__(self, dim: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.side = window or grid  # one window holds the whole grid
        self.attn = RelativeAttention3d(dim, heads, self.side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = TransformerMLP(dim, 4 * dim, nn.GELU)

    def attended(self, x: Tensor) -> Tensor:
        """Attention with its residual."""
        return x + self.attn(self.norm1(x), self.side)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attended(x)
        return x + self.mlp(self.norm2(x))


class StudentBlock3d(Block3d):
    """FastSAM3D's: the residual of the MLP starts from the normed tokens."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.attended(x))
        return y + self.mlp(y)


class AttentionFreeBlock(nn.Module):
    """FastSAM3D's first blocks: no attention at all."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = TransformerMLP(dim, 4 * dim, nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(x)
        return y + self.mlp(y)


class PatchEmbed3d(nn.Module):
    """``(B, 1, S, S, S)`` → ``(B, S/16, S/16, S/16, C)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(1, dim, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 4, 1)


class ImageEncoder3d(nn.Module):
    """``(B, 1, 128, 128, 128)`` → ``(B, 384, 8, 8, 8)``."""

    def __init__(self, blocks: list[nn.Module], dim: int = 768, grid: int = 8) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, dim))
        self.patch_embed = PatchEmbed3d(dim)
        self.blocks = nn.ModuleList(blocks)
        self.neck = nn.Sequential(
            nn.Conv3d(dim, DIM, 1, bias=False),
            LayerNorm3d(DIM),
            nn.Conv3d(DIM, DIM, 3, padding=1, bias=False),
            LayerNorm3d(DIM),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 4, 1, 2, 3))


class PositionEncoding3d(nn.Module):
    """Fourier features of positions in the unit cube: sine, cosine, sine (keys as SAM's)."""

    def __init__(self, third: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, third))

    def forward(self, unit: Tensor) -> Tensor:
        """``(…, 3)`` in [0, 1] → ``(…, 384)``."""
        angles = 2 * math.pi * ((2 * unit - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos(), angles.sin()], dim=-1)

    def grid(self, size: int) -> Tensor:
        """Of the cell centres: ``(1, 384, size, size, size)``.

        Upstream stacks the axes as (1, 0, 2) here but (0, 1, 2) for points; weights were trained
        so, and so it stays.
        """
        centres = torch.arange(size, device=self.positional_encoding_gaussian_matrix.device) + 0.5
        d, h, w = torch.meshgrid(*(centres / size,) * 3, indexing="ij")
        return self(torch.stack([h, d, w], dim=-1)).permute(3, 0, 1, 2)[None]


class PromptEncoder3d(nn.Module):
    """Points and a previous mask → sparse ``(B, N, 384)``, dense ``(B, 384, 8, 8, 8)``."""

    def __init__(self, grid: int = 8, frame: int = 128) -> None:
        super().__init__()
        self.grid, self.frame = grid, frame
        self.pe_layer = PositionEncoding3d(DIM // 3)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, DIM) for _ in range(2))
        self.not_a_point_embed = nn.Embedding(1, DIM)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, 4, 2, stride=2),
            LayerNorm3d(4),
            nn.GELU(),
            nn.Conv3d(4, 16, 2, stride=2),
            LayerNorm3d(16),
            nn.GELU(),
            nn.Conv3d(16, DIM, 1),
        )
        self.no_mask_embed = nn.Embedding(1, DIM)

    def image_pe(self) -> Tensor:
        """Positions of the image tokens: ``(1, 384, 8, 8, 8)``."""
        return self.pe_layer.grid(self.grid)

    def forward(
        self, points: Tensor, labels: Tensor, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``points`` (B, N, 3) voxel indices, ``labels`` (B, N) 1 or 0, ``masks`` (B, 1, 32³)."""
        batch = points.shape[0]
        points = torch.cat([points, points.new_zeros(batch, 1, 3)], dim=1)
        labels = torch.cat([labels, labels.new_full((batch, 1), PAD)], dim=1)[..., None]
        sparse = self.pe_layer((points + 0.5) / self.frame)
        for kind, embedding in enumerate(self.point_embeddings):
            sparse = sparse + embedding.weight * (labels == kind).to(sparse.dtype)
        sparse = torch.where(labels == PAD, self.not_a_point_embed.weight, sparse)
        if masks is not None:
            return sparse, self.mask_downscaling(masks)
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1, 1)
        return sparse, dense.expand(batch, -1, *(self.grid,) * 3)


class MaskDecoder3d(MaskDecoder):
    """SAM's decoder with transposed 3-D convolutions: ``(B, 4, 32, 32, 32)``, ``(B, 4)``."""

    def __init__(self) -> None:
        super().__init__(DIM)
        self.output_upscaling = upscaling(DIM, nn.ConvTranspose3d, LayerNorm3d)


def _model(encoder: ImageEncoder3d) -> PromptableModel:
    return PromptableModel(encoder, PromptEncoder3d(), MaskDecoder3d())


def sam_med3d() -> PromptableModel:
    """SAM-Med3D: ViT-B with 12 blocks, four of them without padding to the window."""
    return _model(
        ImageEncoder3d([Block3d(768, 12, 0 if i in (2, 5, 8, 11) else 14, 8) for i in range(12)])
    )


def fastsam3d() -> PromptableModel:
    """FastSAM3D's student encoder with its teacher's prompt encoder and decoder."""
    free: list[nn.Module] = [AttentionFreeBlock(768) for _ in range(2)]
    return _model(ImageEncoder3d(free + [StudentBlock3d(768, 6, 0, 8) for _ in range(4)]))


def normalise_volume(volume: Tensor) -> Tensor:
    """Zero mean and unit deviation of the voxels above zero, applied to all; ``(D, H, W)``."""
    values = volume.float()
    inside = values[values > 0]
    return (values - inside.mean()) / inside.std()
