"""HQ-SAM light: MobileSAM with a high-quality token and early features in the mask decoder.

Ke et al. 2023, "Segment anything in high quality", NeurIPS 2023 (arXiv 2306.01567).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .model import EMBEDDING, Features, PromptableModel
from .sam.layers import MLP, LayerNorm2d
from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import PromptEncoder
from .tiny_vit import TinyViT

EARLY = "early_features"
"""Tap: output of the encoder's second stage, ``(B, 160, 64, 64)``."""


class HQMaskDecoder(MaskDecoder):
    """SAM's decoder with one more mask token, whose mask is made of finer features."""

    def __init__(self, dim: int = 256, early_dim: int = 160) -> None:
        super().__init__(dim)
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = MLP(dim, dim, dim // 8, 3)
        self.compress_vit_feat = nn.Sequential(
            nn.ConvTranspose2d(early_dim, dim, 2, stride=2),
            LayerNorm2d(dim),
            nn.GELU(),
            nn.ConvTranspose2d(dim, dim // 8, 2, stride=2),
        )
        self.embedding_encoder = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
        )
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(dim // 8, dim // 4, 3, 1, 1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 8, 3, 1, 1),
        )

    def tokens(self, sparse: Tensor) -> Tensor:
        """IoU, four masks, the high-quality token, then the prompt's."""
        own = [self.iou_token.weight, self.mask_tokens.weight, self.hf_token.weight]
        return torch.cat([torch.cat(own).expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def fine(self, embedding: Tensor, early: Tensor) -> Tensor:
        """Features for the high-quality mask, once a picture: ``(B, dim/8, 4h, 4w)``."""
        return self.embedding_encoder(embedding) + self.compress_vit_feat(early)

    def forward(  # type: ignore[override]
        self, embedding: Tensor, early: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Four masks and their qualities as in SAM, and the high-quality correction."""
        tokens, image = self.attend(embedding, image_pe, sparse, dense)
        upscaled = self.upscaled(image)  # (B, dim/8, 4h, 4w)
        masks = self.masks_of(tokens[:, 1 : 1 + self.masks], upscaled)
        fine = self.embedding_maskfeature(upscaled) + self.fine(embedding, early)
        weights = self.hf_mlp(tokens[:, 1 + self.masks])[:, None]  # (B, 1, dim/8)
        correction = (weights @ fine.flatten(2)).unflatten(2, fine.shape[-2:])
        return masks, self.iou_prediction_head(tokens[:, 0]), correction


class HQSam(PromptableModel):
    """The correction is added to SAM's mask, or stands alone with ``hq_only``."""

    taps = (EARLY,)
    hq_only = False

    def encode(self, pictures: Tensor) -> Features:
        stages = self.image_encoder.features(pictures)
        return {EMBEDDING: self.image_encoder.neck(stages[-1]), EARLY: stages[1]}

    def decode(
        self, features: Features, sparse: Tensor, dense: Tensor, image_pe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        masks, quality, correction = self.mask_decoder(
            features[EMBEDDING],
            features[EARLY],
            self.prompt_encoder.image_pe() if image_pe is None else image_pe,
            sparse,
            dense,
        )
        return (correction.expand_as(masks) if self.hq_only else masks + correction), quality

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """One mask either way: of the ambiguous ones the best, or the single one."""
        if not multimask:
            return masks[:, :1], quality[:, :1]
        best = 1 + quality[:, 1:].argmax(dim=1)
        rows = torch.arange(masks.shape[0], device=masks.device)
        return masks[rows, best][:, None], quality[rows, best][:, None]

    def feature_shapes(self, grid: int) -> dict[str, tuple[int, ...]]:
        return {EMBEDDING: (256, grid, grid), EARLY: (160, grid, grid)}


def hq_sam_light() -> PromptableModel:
    """HQ-SAM on MobileSAM's TinyViT."""
    return HQSam(TinyViT(), PromptEncoder(), HQMaskDecoder())
