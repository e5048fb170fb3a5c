"""SAMed: LoRA on the queries and values of SAM's ViT-B, prompt-free, one mask a class.

Zhang and Liu 2023, "Customized Segment Anything Model for medical image segmentation"
(arXiv 2304.13785). 512 pixels; the decoder's nine mask tokens are background and eight organs.
A checkpoint holds the LoRA matrices as ``w_a_000`` …; :func:`from_lora_file` names them as here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .model import PromptableModel
from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import PromptEncoder
from .vit import ImageEncoder


class LoraQkv(nn.Module):
    """``qkv`` with low-rank additions to its query and value thirds."""

    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        dim = qkv.in_features
        self.qkv = qkv
        self.linear_a_q = nn.Linear(dim, rank, bias=False)
        self.linear_b_q = nn.Linear(rank, dim, bias=False)
        self.linear_a_v = nn.Linear(dim, rank, bias=False)
        self.linear_b_v = nn.Linear(rank, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = q + self.linear_b_q(self.linear_a_q(x))
        v = v + self.linear_b_v(self.linear_a_v(x))
        return torch.cat([q, k, v], dim=-1)


class Samed(PromptableModel):
    """Answers with the logits of every class; the mask is the arg max over them."""

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        return masks, quality


def samed(classes: int = 8, rank: int = 4) -> PromptableModel:
    """``classes`` beside the background; 512 pixels, grid 32."""
    encoder = ImageEncoder(grid=32)
    for block in encoder.blocks:
        block.attn.qkv = LoraQkv(block.attn.qkv, rank)
    prompts = PromptEncoder(grid=(32, 32), frame=(512, 512))
    return Samed(encoder, prompts, MaskDecoder(masks=classes + 1))


def from_lora_file(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of upstream's LoRA file → keys of :func:`samed` (``w_a_000`` is block 0's query)."""
    renamed = {}
    for key, tensor in state.items():
        match = re.fullmatch(r"w_([ab])_(\d+)", key)
        if match:
            half, number = match[1], int(match[2])
            which = "v" if number % 2 else "q"
            key = f"image_encoder.blocks.{number // 2}.attn.qkv.linear_{half}_{which}.weight"
        renamed[key] = tensor
    return renamed
