"""EfficientSAM-Ti and -S: a plain ViT and a decoder that resembles SAM's but is another one.

Xiong et al. 2024, "EfficientSAM: leveraged masked image pretraining for efficient segment
anything", CVPR 2024 (arXiv 2312.00863). A prompt is at most six points, two of which may be a
box's corners; there is no mask prompt and no embedding for negative points.
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel
from .sam.layers import image_neck
from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    PAD,
    POSITIVE,
    RandomPositionEncoding,
    boxes_first,
)
from .sam.transformer import TwoWayBlock, TwoWayTransformer

MAX_POINTS = 6


class Attention(nn.Module):
    """Global self-attention over ``(B, N, C)``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers around a GELU (keys ``fc1``, ``fc2``)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """``(B, 3, S, S)`` → ``(B, C, S/16, S/16)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class ImageEncoder(nn.Module):
    """``(B, 3, 1024, 1024)`` → ``(B, 256, 64, 64)``."""

    pretrained_grid = 14

    def __init__(self, dim: int, heads: int, depth: int = 12) -> None:
        super().__init__()
        # the first position belongs to a class token that the model no longer has
        self.pos_embed = nn.Parameter(torch.zeros(1, self.pretrained_grid**2 + 1, dim))
        self.patch_embed = PatchEmbed(dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.neck = image_neck(dim)

    def positions(self, height: int, width: int) -> Tensor:
        """Learned positions enlarged to the grid: ``(1, C, height, width)``."""
        side = self.pretrained_grid
        table = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        return F.interpolate(table, (height, width), mode="bicubic", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)  # (B, C, h, w)
        height, width = x.shape[-2:]
        x = (x + self.positions(height, width)).flatten(2).transpose(1, 2)  # (B, hw, C)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.transpose(1, 2).unflatten(2, (height, width)))


class PromptEncoder(nn.Module):
    """Six labelled points → sparse ``(B, 6, dim)``; the dense embedding is zero."""

    def __init__(self, dim: int = 256, grid: int = 64, frame: int = 1024) -> None:
        super().__init__()
        self.dim, self.grid, self.frame = dim, (grid, grid), (frame, frame)
        self.pe_layer = RandomPositionEncoding(dim // 2)
        self.invalid_points = nn.Embedding(1, dim)
        self.point_embeddings = nn.Embedding(1, dim)
        self.bbox_top_left_embeddings = nn.Embedding(1, dim)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, dim)

    def image_pe(self) -> Tensor:
        """Positions of the image tokens: ``(1, dim, h, w)``."""
        return self.pe_layer.grid(*self.grid)

    def sparse(self, points: Tensor, labels: Tensor) -> Tensor:
        """``(B, N, 2)`` and ``(B, N)`` → ``(B, 6, dim)``; missing points are (−1, −1), label −1."""
        missing = MAX_POINTS - points.shape[1]
        if missing > 0:
            points = F.pad(points, (0, 0, 0, missing), value=-1.0)
            labels = F.pad(labels, (0, missing), value=PAD)
        points, labels = points[:, :MAX_POINTS], labels[:, :MAX_POINTS, None]
        sparse = self.pe_layer((points + 0.5) / self.frame[0])  # (B, 6, dim)
        kinds = {
            PAD: self.invalid_points,
            POSITIVE: self.point_embeddings,
            BOX_TOP_LEFT: self.bbox_top_left_embeddings,
            BOX_BOTTOM_RIGHT: self.bbox_bottom_right_embeddings,
        }
        for label, embedding in kinds.items():
            sparse = sparse + embedding.weight * (labels == label).to(sparse.dtype)
        return sparse

    def no_mask(self, batch: int) -> Tensor:
        """Zeros ``(B, dim, h, w)``: nothing is added to the image."""
        return self.invalid_points.weight.new_zeros(batch, self.dim, *self.grid)

    def forward(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``points`` (B, N, 2), ``labels`` (B, N), ``boxes`` (B, 4); masks raise ValueError."""
        if masks is not None:
            raise ValueError("EfficientSAM takes no mask prompt: give points or a box")
        pieces, kinds = boxes_first(points, labels, boxes)
        if not pieces:
            raise ValueError("EfficientSAM needs at least one point or a box")
        sparse = self.sparse(torch.cat(pieces, dim=1), torch.cat(kinds, dim=1))
        return sparse, self.no_mask(sparse.shape[0])


class Head(nn.Module):
    """Linear layers with GELU, then ``fc`` (keys ``layers.i.0``, ``fc``)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, depth: int) -> None:
        super().__init__()
        widths = [inputs] + [hidden] * depth
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.GELU()) for a, b in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)


class EfficientTwoWayBlock(TwoWayBlock):
    """Self-attention is residual in every block, and keeps the positions it adds."""

    def __init__(self, dim: int, heads: int, hidden: int, downsample: int, first: bool) -> None:
        super().__init__(dim, heads, hidden, downsample, first)
        self.mlp = Head(dim, hidden, dim, 1)

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        token_pe: Tensor,
        image_pe: Tensor,
        token_bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        if not self.first:
            tokens = tokens + token_pe
        tokens = self.norm1(tokens + self.self_attn(tokens, tokens, tokens, token_bias))
        return self.exchange(tokens, image, token_pe, image_pe, token_bias)


class EfficientMaskDecoder(MaskDecoder):
    """SAM's decoder with GELU heads and a GroupNorm over the whole map."""

    def __init__(self, dim: int = 256, masks: int = 4) -> None:
        nn.Module.__init__(self)
        self.masks, self.null_tokens = masks, False
        self.transformer = TwoWayTransformer(dim, depth=0)
        self.transformer.layers = nn.ModuleList(
            EfficientTwoWayBlock(dim, 8, 2048, 2, first=i == 0) for i in range(2)
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(masks, dim)
        self.final_output_upscaling_layers = nn.Sequential(
            nn.Sequential(
                nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
                nn.GroupNorm(1, dim // 4),
                nn.GELU(),
            ),
            nn.Sequential(
                nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2), nn.Identity(), nn.GELU()
            ),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Head(dim, dim, dim // 8, 2) for _ in range(masks)
        )
        self.iou_prediction_head = Head(dim, 256, masks, 2)

    def upscaled(self, image: Tensor) -> Tensor:
        return self.final_output_upscaling_layers(image)


def _model(dim: int, heads: int) -> PromptableModel:
    return PromptableModel(ImageEncoder(dim, heads), PromptEncoder(), EfficientMaskDecoder())


efficient_sam_ti = partial(_model, 192, 3)
efficient_sam_s = partial(_model, 384, 6)
