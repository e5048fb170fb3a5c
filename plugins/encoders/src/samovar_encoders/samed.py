"""SAMed: LoRA on the queries and values of SAM's ViT-B, prompt-free, one mask a class.

Zhang and Liu 2023, "Customized Segment Anything Model for medical image segmentation"
(arXiv 2304.13785). 512 pixels; the decoder's nine mask tokens are background and eight organs.
It is loaded from two files, the trained matrices and SAM's own checkpoint; :func:`from_official`
brings their keys and shapes to those of here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .model import PromptableModel
from .sam.layers import upscale
from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import PromptEncoder
from .vit import ImageEncoder

GRID, WINDOW = 32, 14


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
    encoder = ImageEncoder(grid=GRID)
    for block in encoder.blocks:
        block.attn.qkv = LoraQkv(block.attn.qkv, rank)
    prompts = PromptEncoder(grid=(GRID, GRID), frame=(512, 512))
    return Samed(encoder, prompts, MaskDecoder(masks=classes + 1))


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file that SAMed is loaded from → keys and shapes of :func:`samed`.

    The LoRA file has ``w_a_000`` …: matrix A of block 0's query, and the prompt encoder and mask
    decoder. SAM's own checkpoint has the rest, for 1024 pixels: absolute positions, and the
    relative ones of the global blocks, are interpolated to the grid of 512, as upstream does.
    """
    renamed = {}
    for key, tensor in state.items():
        if match := re.fullmatch(r"w_([ab])_(\d+)", key):
            half, number = match[1], int(match[2])
            which = "v" if number % 2 else "q"
            key = f"image_encoder.blocks.{number // 2}.attn.qkv.linear_{half}_{which}.weight"
        elif match := re.fullmatch(r"(.*\.attn\.qkv)\.(weight|bias)", key):
            key = f"{match[1]}.qkv.{match[2]}"
        elif key.endswith("image_encoder.pos_embed"):
            tensor = _resized(tensor.permute(0, 3, 1, 2), (GRID, GRID)).permute(0, 2, 3, 1)
        elif "rel_pos" in key and len(tensor) > 2 * WINDOW:
            tensor = _resized(tensor[None, None], (2 * GRID - 1, tensor.shape[1]))[0, 0]
        renamed[key] = tensor
    return renamed


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, C, h, w)``; the same where it has that size already."""
    return maps if maps.shape[-2:] == size else upscale(maps, size)
