"""Mask decoder of Segment Anything (Kirillov et al. 2023, arXiv 2304.02643, appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import MLP, LayerNorm2d
from .transformer import TwoWayTransformer, as_map, as_tokens

NULL_TOKEN = 1e4
"""A sparse token whose first number is this is nobody: nothing attends to it.

Exported graphs batch prompts of different lengths with it, where a system's own rule for padding
differs from the host's.
"""


def without_null_tokens(sparse: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, N, dim)`` → the tokens with nobody's zeroed, and their attention bias ``(B, N)``."""
    nobody = sparse[..., :1] >= NULL_TOKEN  # (B, N, 1)
    bias = torch.where(nobody[..., 0], -1e9, 0.0)
    return torch.where(nobody, torch.zeros_like(sparse), sparse), bias


def upscaling(
    dim: int,
    convolution: type[nn.Module] = nn.ConvTranspose2d,
    norm: type[nn.Module] = LayerNorm2d,
) -> nn.Sequential:
    """An image map of ``dim`` channels → four times its size and an eighth of its channels."""
    return nn.Sequential(
        convolution(dim, dim // 4, 2, stride=2),
        norm(dim // 4),
        nn.GELU(),
        convolution(dim // 4, dim // 8, 2, stride=2),
        nn.GELU(),
    )


class MaskDecoder(nn.Module):
    """Image embedding + prompt embeddings → mask logits at four times the grid, and qualities.

    Token 0 of the masks is the single-mask answer, tokens 1… are the ambiguous ones
    (part, whole, …). Always all of them are returned; which to keep is the caller's rule.
    """

    def __init__(self, dim: int = 256, masks: int = 4, iou_hidden: int = 256) -> None:
        super().__init__()
        self.masks = masks
        self.null_tokens = False
        self.transformer = TwoWayTransformer(dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(masks, dim)
        self.output_upscaling = upscaling(dim)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim, dim // 8, 3) for _ in range(masks)
        )
        self.iou_prediction_head = MLP(dim, iou_hidden, masks, 3)

    def tokens(self, sparse: Tensor) -> Tensor:
        """Output tokens before the prompt's: ``(B, 1 + masks + N, dim)``."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (1 + masks, dim)
        return torch.cat([own.expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def attend(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``(B, N, dim)`` and image map ``(B, dim, h, w)`` after the transformer."""
        image = embedding + dense  # (B, dim, h, w); one embedding broadcasts over prompts
        size = image.shape[2:]
        pe = as_tokens(image_pe).expand(image.shape[0], -1, -1)
        bias = None
        if self.null_tokens:
            sparse, bias = without_null_tokens(sparse)
        tokens = self.tokens(sparse)
        if bias is not None:
            own = bias.new_zeros(bias.shape[0], tokens.shape[1] - bias.shape[1])
            bias = torch.cat([own, bias], dim=1)  # (B, all tokens)
        tokens, attended = self.transformer(as_tokens(image), pe, tokens, bias)
        return tokens, as_map(attended, *size)

    def upscaled(self, image: Tensor) -> Tensor:
        """``(B, dim, h, w)`` → ``(B, dim/8, 4h, 4w)``."""
        return self.output_upscaling(image)

    def masks_of(self, tokens: Tensor, upscaled: Tensor) -> Tensor:
        """Mask tokens ``(B, masks, dim)`` dotted with ``(B, dim/8, 4h, 4w)``."""
        weights = torch.stack(
            [mlp(tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )  # (B, masks, dim/8)
        return (weights @ upscaled.flatten(2)).reshape(tokens.shape[0], -1, *upscaled.shape[2:])

    def forward(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns mask logits ``(B, masks, 4h, 4w)`` and predicted IoU ``(B, masks)``.

        ``embedding`` (1 or B, dim, h, w), ``image_pe`` (1, dim, h, w), ``sparse`` (B, N, dim),
        ``dense`` (1 or B, dim, h, w).
        """
        tokens, image = self.attend(embedding, image_pe, sparse, dense)
        masks = self.masks_of(tokens[:, 1 : 1 + self.masks], self.upscaled(image))
        return masks, self.iou_prediction_head(tokens[:, 0])
