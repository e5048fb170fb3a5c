"""SAM 2's image model: pyramid neck, prompt order, and a mask decoder with high-resolution skips.

Ravi et al. 2024, "SAM 2: segment anything in images and videos" (arXiv 2408.00714). The memory
parts of the checkpoint are for video and are left out. Trunks are in :mod:`.hiera` and
:mod:`.edgetam`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import EMBEDDING, Features, PromptableModel
from .sam.layers import MLP
from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import PAD, PromptEncoder, boxes_first
from .sam.transformer import TwoWayTransformer

FINE, FINEST = "high_res_1", "high_res_0"
"""Taps: ``(B, 64, 128, 128)`` and ``(B, 32, 256, 256)``."""


class Lateral(nn.Module):
    """1×1 convolution (key ``conv``)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PyramidNeck(nn.Module):
    """Four scales to 256 channels; the deepest is added to the one before it."""

    def __init__(self, widths: tuple[int, ...], dim: int = 256) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(width, dim) for width in reversed(widths))

    def forward(self, scales: list[Tensor]) -> list[Tensor]:
        """Finest first, strides 4 … 32 → strides 4, 8, 16."""
        finest, fine, middle, deepest = (
            conv(scale) for conv, scale in zip(reversed(self.convs), scales, strict=True)
        )
        return [finest, fine, middle + F.interpolate(deepest, scale_factor=2.0, mode="nearest")]


class ImageEncoder(nn.Module):
    """Trunk and neck: ``(B, 3, 1024, 1024)`` → maps of 256², 128², 64², 256 channels each."""

    def __init__(self, trunk: nn.Module, neck: PyramidNeck) -> None:
        super().__init__()
        self.trunk, self.neck = trunk, neck

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.neck(self.trunk(x))


class Sam2PromptEncoder(PromptEncoder):
    """SAM's, but a box's corners come first and a padding point always closes the list."""

    def gather(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        pieces, kinds = boxes_first(points, labels, boxes)
        if not pieces:
            return None
        pieces.append(torch.zeros_like(pieces[0][:, :1]))
        kinds.append(torch.full_like(kinds[0][:, :1], PAD))
        return torch.cat(pieces, dim=1), torch.cat(kinds, dim=1)


class Sam2MaskDecoder(MaskDecoder):
    """SAM's decoder with an object-score token and skips from the encoder's finer scales."""

    def __init__(self, dim: int = 256, masks: int = 4) -> None:
        super().__init__(dim, masks)
        self.transformer = TwoWayTransformer(dim)
        for layer in self.transformer.layers:
            layer.mlp = MLP(dim, 2048, dim, 2)
        self.obj_score_token = nn.Embedding(1, dim)
        self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)
        self.iou_prediction_head = MLP(dim, 256, masks, 3, sigmoid=True)
        self.pred_obj_score_head = MLP(dim, dim, 1, 3)

    def tokens(self, sparse: Tensor) -> Tensor:
        """Object score, IoU, masks, then the prompt's."""
        own = [self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight]
        return torch.cat([torch.cat(own).expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def forward(  # type: ignore[override]
        self,
        embedding: Tensor,
        finest: Tensor,
        fine: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mask logits ``(B, masks, 4h, 4w)``, IoU ``(B, masks)``, object logit ``(B, 1)``."""
        tokens, image = self.attend(embedding, image_pe, sparse, dense)
        up1, norm, act1, up2, act2 = self.output_upscaling
        upscaled = act1(norm(up1(image) + fine))  # (B, dim/4, 2h, 2w)
        upscaled = act2(up2(upscaled) + finest)  # (B, dim/8, 4h, 4w)
        masks = self.masks_of(tokens[:, 2 : 2 + self.masks], upscaled)
        return masks, self.iou_prediction_head(tokens[:, 1]), self.pred_obj_score_head(tokens[:, 0])


class Sam2(PromptableModel):
    """SAM 2 as a promptable image model (keys ``sam_prompt_encoder``, ``sam_mask_decoder``)."""

    taps = (FINEST, FINE)
    stability_margin, stability_threshold = 0.05, 0.98

    def __init__(self, image_encoder: ImageEncoder) -> None:
        nn.Module.__init__(self)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, 256))
        self.image_encoder = image_encoder
        self.sam_prompt_encoder = Sam2PromptEncoder()
        self.sam_mask_decoder = Sam2MaskDecoder()

    @property
    def prompt_encoder(self) -> PromptEncoder:
        return self.sam_prompt_encoder

    @property
    def mask_decoder(self) -> Sam2MaskDecoder:
        return self.sam_mask_decoder

    def encode(self, pictures: Tensor) -> Features:
        finest, fine, embedding = self.image_encoder(pictures)
        return {
            EMBEDDING: embedding + self.no_mem_embed.reshape(1, -1, 1, 1),  # no memory of a video
            FINEST: self.mask_decoder.conv_s0(finest),
            FINE: self.mask_decoder.conv_s1(fine),
        }

    def decode(
        self, features: Features, sparse: Tensor, dense: Tensor, image_pe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        masks, quality, _ = self.mask_decoder(
            features[EMBEDDING],
            features[FINEST],
            features[FINE],
            self.prompt_encoder.image_pe() if image_pe is None else image_pe,
            sparse,
            dense,
        )
        return masks, quality

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """Without ``multimask``: the single mask if it is stable, else the best ambiguous one."""
        if multimask:
            return masks[:, 1:], quality[:, 1:]
        single = masks[:, 0].flatten(1)
        inner = (single > self.stability_margin).sum(1).float()
        outer = (single > -self.stability_margin).sum(1).float()
        stable = torch.where(outer > 0, inner / outer, 1.0) >= self.stability_threshold
        best = 1 + quality[:, 1:].argmax(dim=1)
        chosen = torch.where(stable, torch.zeros_like(best), best)
        rows = torch.arange(masks.shape[0], device=masks.device)
        return masks[rows, chosen][:, None], quality[rows, chosen][:, None]

    def single_first(self, masks: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        single, its_quality = self.select(masks, quality, multimask=False)
        return torch.cat([single, masks[:, 1:]], 1), torch.cat([its_quality, quality[:, 1:]], 1)

    def feature_shapes(self, grid: int) -> dict[str, tuple[int, ...]]:
        return {
            EMBEDDING: (256, grid, grid),
            FINEST: (32, 4 * grid, 4 * grid),
            FINE: (64, 2 * grid, 2 * grid),
        }
