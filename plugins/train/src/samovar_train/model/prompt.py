"""The prompt encoder of `tiny`: the interface of SAM (Kirillov et al. 2023, arXiv:2304.02643).

Beside SAM's Fourier tokens the box, the points and the previous mask are drawn analytically as
maps at stride 4 (area coverage of the box, its normalised inner coordinates, Gaussians at the
points) and condensed into the dense embedding: what a small convolutional decoder understands at
once, and exact to a fraction of a pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LABEL_PADDING, LABEL_NEGATIVE, LABEL_POSITIVE, LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT = -1, 0, 1, 2, 3
MAP_CHANNELS = 11
SIGMAS = (6.0, 24.0)  # of the Gaussians drawn at points, pixels of the prompt frame


class FourierPosition(nn.Module):
    """Random Fourier features of a position (Tancik et al. 2020, arXiv:2006.10739)."""

    def __init__(self, dim: int, frame: float, scale: float = 1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(20260)
        self.register_buffer("matrix", scale * torch.randn((2, dim // 2), generator=generator))
        self.frame = frame

    def forward(self, xy: Tensor) -> Tensor:
        """`(..., 2)` x, y in prompt-frame pixels (continuous edges) → `(..., dim)`."""
        angle = 2 * math.pi * ((xy / self.frame * 2 - 1) @ self.matrix)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Prompts of N objects → sparse and dense embeddings.

    Inputs, float32:

    - `point_coords` `(N, P, 2)`: x, y in the prompt frame, continuous pixel-edge coordinates:
      pixel i covers [i, i+1), so a box's max-exclusive edges are its corners as they are
    - `point_labels` `(N, P)`: 1 positive, 0 negative, 2 box top-left, 3 box bottom-right,
      -1 padding; at most one box an object
    - `mask_input` `(N, 1, H/4, W/4)`: logits of a previous mask
    - `has_mask_input` `(N, 1)`: 1 where `mask_input` counts

    Returns `sparse_embeddings` `(N, P, dim)` and `dense_embeddings` `(N, dim, H/16, W/16)`.
    """

    def __init__(self, dim: int = 128, frame: int = 512):
        super().__init__()
        self.frame = frame
        self.position = FourierPosition(dim, float(frame))
        self.labels = nn.Parameter(torch.randn(5, dim) * 0.5)
        self.draw = nn.Sequential(
            nn.Conv2d(MAP_CHANNELS, 24, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(24, 64, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, dim, 1),
        )
        self.register_buffer("edges", torch.arange(frame // 4, dtype=torch.float32) * 4.0)

    def forward(
        self,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", enabled=False):  # positions do not fit into bfloat16
            kinds = torch.stack([(point_labels == k).float() for k in range(-1, 4)], dim=-1)
            known = 1.0 - kinds[..., :1]
            sparse = self.position(point_coords) * known + kinds @ self.labels  # (N, P, dim)
            maps = self.maps(point_coords, kinds, mask_input, has_mask_input)
        return sparse, self.draw(maps)

    def maps(self, coords: Tensor, kinds: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
        """The prompt, drawn: `(N, 11, H/4, W/4)`."""
        ex = self.edges[: mask.shape[-1]]
        ey = self.edges[: mask.shape[-2]]
        low = (coords * kinds[..., 3:4]).sum(1)  # (N, 2) x0, y0
        high = (coords * kinds[..., 4:5]).sum(1)  # (N, 2) x1, y1
        has_box = kinds[..., 4].sum(1).clamp(0, 1)[:, None, None]  # (N, 1, 1)
        x0, y0, x1, y1 = low[:, :1], low[:, 1:], high[:, :1], high[:, 1:]
        cover_x = (torch.minimum(x1, ex + 4) - torch.maximum(x0, ex)).clamp(0, 4) / 4  # (N, W)
        cover_y = (torch.minimum(y1, ey + 4) - torch.maximum(y0, ey)).clamp(0, 4) / 4  # (N, H)
        u = ((2 * ex + 4 - x0 - x1) / (x1 - x0).clamp(min=1.0)).clamp(-2, 2)  # (N, W)
        v = ((2 * ey + 4 - y0 - y1) / (y1 - y0).clamp(min=1.0)).clamp(-2, 2)  # (N, H)
        inside = cover_y[:, :, None] * cover_x[:, None, :]  # (N, H, W)
        zero = torch.zeros_like(inside)
        u_map = u[:, None, :] * has_box + zero
        v_map = v[:, :, None] * has_box + zero
        oval = torch.exp(-(u * u))[:, None, :] * torch.exp(-(v * v))[:, :, None] * has_box
        drawn = [inside, u_map, v_map, oval]
        dx = coords[..., :1] - (ex + 2)  # (N, P, W)
        dy = coords[..., 1:] - (ey + 2)  # (N, P, H)
        for sigma in SIGMAS:
            gx = torch.exp(-dx * dx / (2 * sigma * sigma))
            gy = torch.exp(-dy * dy / (2 * sigma * sigma))
            for kind in (2, 1):  # positive, negative
                drawn.append(((gy * kinds[..., kind : kind + 1]).transpose(1, 2) @ gx).clamp(max=1))
        logits = mask[:, 0] * has_mask[:, :, None]
        drawn += [torch.tanh(logits / 2), torch.tanh(logits / 8), has_mask[:, :, None] + zero]
        return torch.stack(drawn, dim=1)


def dense_position(position: FourierPosition, height: int, width: int) -> Tensor:
    """Positions of the embedding's cells (stride 16): `(1, dim, height, width)`."""
    matrix = position.matrix
    assert isinstance(matrix, Tensor)
    y = torch.arange(height, dtype=torch.float32, device=matrix.device) * 16 + 8
    x = torch.arange(width, dtype=torch.float32, device=matrix.device) * 16 + 8
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (height, width, 2)
    return position(grid).permute(2, 0, 1)[None]


__all__ = ["FourierPosition", "PromptEncoder", "dense_position"]
