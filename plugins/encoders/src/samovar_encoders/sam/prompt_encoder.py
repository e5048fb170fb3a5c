"""Prompt encoder of Segment Anything (Kirillov et al. 2023, arXiv 2304.02643, appendix A)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layers import LayerNorm2d

PAD, NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Labels of the points in a prompt; a box is its two corners."""


def boxes_first(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Points ``(B, n, 2)`` and their labels ``(B, n)``: corners of boxes before clicks."""
    pieces: list[Tensor] = []
    kinds: list[Tensor] = []
    if boxes is not None:
        pieces.append(boxes.reshape(-1, 2, 2))
        pair = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]], device=boxes.device)
        kinds.append(pair.expand(boxes.shape[0], -1))
    if points is not None and labels is not None:
        pieces.append(points)
        kinds.append(labels.to(torch.int64))
    return pieces, kinds


class RandomPositionEncoding(nn.Module):
    """Fourier features of positions in the unit square with a Gaussian matrix (2, dim/2)."""

    def __init__(self, half_dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, half_dim))

    def forward(self, unit: Tensor) -> Tensor:
        """``(…, 2)`` positions x, y in [0, 1] → ``(…, dim)``."""
        angles = 2 * math.pi * ((2 * unit - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encoding of the cell centres of a grid: ``(1, dim, height, width)``."""
        matrix = self.positional_encoding_gaussian_matrix
        ys = (torch.arange(height, device=matrix.device, dtype=matrix.dtype) + 0.5) / height
        xs = (torch.arange(width, device=matrix.device, dtype=matrix.dtype) + 0.5) / width
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]


class PromptEncoder(nn.Module):
    """Points, boxes and a mask → sparse ``(B, N, dim)`` and dense ``(B, dim, h, w)`` embeddings.

    ``frame`` is the (height, width) in which prompt coordinates are given; ``grid`` the size of
    the image embedding. Coordinates are x, y with a pixel's index at its corner, as upstream has
    them: half a pixel is added here.
    """

    def __init__(
        self,
        dim: int = 256,
        grid: tuple[int, int] = (64, 64),
        frame: tuple[int, int] = (1024, 1024),
        mask_channels: int = 16,
    ) -> None:
        super().__init__()
        self.dim, self.grid, self.frame = dim, grid, frame
        self.pad = True  # a padding point follows a prompt's points when there is no box
        self.pe_layer = RandomPositionEncoding(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    def image_pe(self) -> Tensor:
        """Positions of the image tokens: ``(1, dim, h, w)``."""
        return self.pe_layer.grid(*self.grid)

    def sparse(self, points: Tensor, labels: Tensor) -> Tensor:
        """``(B, N, 2)`` x, y in the frame and ``(B, N)`` labels −1…3 → ``(B, N, dim)``."""
        size = torch.tensor(self.frame[::-1], device=points.device, dtype=torch.float32)
        position = self.pe_layer((points + 0.5) / size)  # (B, N, dim)
        kinds = torch.cat([embedding.weight for embedding in self.point_embeddings])  # (4, dim)
        labels = labels[..., None].to(torch.int64)  # (B, N, 1)
        for kind in range(4):
            position = position + kinds[kind] * (labels == kind).to(position.dtype)
        return torch.where(labels == PAD, self.not_a_point_embed.weight[0], position)

    def dense(self, masks: Tensor) -> Tensor:
        """Mask logits ``(B, 1, 4h, 4w)`` → ``(B, dim, h, w)``."""
        return self.mask_downscaling(masks)

    def no_mask(self, batch: int) -> Tensor:
        """Dense embedding of "no mask": ``(B, dim, h, w)``."""
        return self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(batch, -1, *self.grid)

    def gather(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """One list of labelled points, as upstream orders it: points, pad (if no box), corners."""
        pieces: list[Tensor] = []
        kinds: list[Tensor] = []
        if points is not None and labels is not None:
            pieces.append(points)
            kinds.append(labels.to(torch.int64))
            if boxes is None and self.pad:
                pieces.append(points.new_zeros(points.shape[0], 1, 2))
                kinds.append(kinds[0].new_full((points.shape[0], 1), PAD))
        if boxes is not None:
            corners = boxes.reshape(-1, 2, 2)  # (B, 2, xy)
            pieces.append(corners)
            pair = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]], device=boxes.device)
            kinds.append(pair.expand(corners.shape[0], -1))
        if not pieces:
            return None
        return torch.cat(pieces, dim=1), torch.cat(kinds, dim=1)

    def forward(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``points`` (B, N, 2), ``labels`` (B, N), ``boxes`` (B, 4), ``masks`` (B, 1, 4h, 4w)."""
        prompts = self.gather(points, labels, boxes)
        if prompts is None:
            batch = 1 if masks is None else masks.shape[0]
            sparse = self.no_mask_embed.weight.new_zeros(batch, 0, self.dim)
        else:
            sparse = self.sparse(*prompts)
        dense = self.no_mask(sparse.shape[0]) if masks is None else self.dense(masks)
        return sparse, dense
