"""ESP-MedSAM (De-LightSAM): a TinyViT with a domain token, self-prompting, one query a modality.

Xu et al. 2024, "ESP-MedSAM" (arXiv 2407.14153). The self-patch prompt generator turns the image
embedding into a coarse mask and that into a dense prompt; the query-decoupled decoder answers
with one mask a modality from seven queries. There is no quality head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import EMBEDDING, Features, PromptableModel
from .sam.layers import MLP, LayerNorm2d
from .sam.mask_decoder import upscaling
from .sam.prompt_encoder import PromptEncoder
from .sam.transformer import TwoWayTransformer, as_map, as_tokens
from .tiny_vit import BiasedAttention, Block, NormMLP, TinyViT

DOMAINS = 6


class DomainAttention(BiasedAttention):
    """One learned token, both key and value, joins every window's."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__(dim, heads, window)
        self.med_attention_biases = nn.Parameter(torch.zeros(1))
        self.deep_QKV_embeddings_med = nn.Parameter(torch.zeros(heads, 1, dim // heads))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads_of(x)
        extra = self.deep_QKV_embeddings_med.expand(x.shape[0], -1, -1, -1)  # (B, heads, 1, d)
        k, v = torch.cat([k, extra], dim=2), torch.cat([v, extra], dim=2)
        bias = self.bias()  # (heads, N, N)
        column = self.med_attention_biases.expand(*bias.shape[:2], 1)
        bias = torch.cat([bias, column], dim=2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(out.transpose(1, 2).flatten(2))


class DomainBlock(Block):
    """TinyViT's block with a second MLP beside the first."""

    attention = DomainAttention

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__(dim, heads, window)
        self.med_dah = NormMLP(dim, 4 * dim)

    def transform(self, x: Tensor) -> Tensor:
        return x + self.mlp(x) + self.med_dah(x)


class SemiTViT(TinyViT):
    """``(B, 3, 1024, 1024)`` → ``(B, 256, 64, 64)``."""

    block = DomainBlock


class QueryDecoder(nn.Module):
    """Queries attend to the image; one hypernetwork turns each into a mask."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(dim)
        self.output_upscaling = upscaling(dim)
        self.output_hypernetworks_mlps = nn.ModuleList([MLP(dim, dim, dim // 8, 3)])

    def forward(self, image: Tensor, image_pe: Tensor, queries: Tensor) -> Tensor:
        """``image`` (B, dim, h, w), ``queries`` (B, Q, dim) → mask logits (B, Q, 4h, 4w)."""
        height, width = image.shape[-2:]
        pe = as_tokens(image_pe).expand(image.shape[0], -1, -1)
        tokens, attended = self.transformer(as_tokens(image), pe, queries)
        upscaled = self.output_upscaling(as_map(attended, height, width))
        weights = self.output_hypernetworks_mlps[0](tokens)  # (B, Q, dim/8)
        return (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])


class EspMedSam(PromptableModel):
    """Prompt-free: ``prompts`` gives no sparse tokens, the dense prompt comes from the picture."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.SemiTViT = SemiTViT()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = QueryDecoder()
        self.patch_decoder = nn.Sequential(
            nn.Conv2d(256, 64, 2, stride=2), LayerNorm2d(64), nn.GELU(), nn.Conv2d(64, 1, 1)
        )
        self.dense_prompter = nn.Sequential(nn.Conv2d(1, 256, 1), LayerNorm2d(256), nn.GELU())
        self.mask_query = nn.Embedding(DOMAINS + 1, 256)

    def encode(self, pictures: Tensor) -> Features:
        return {EMBEDDING: self.SemiTViT(pictures)}

    def patch_map(self, embedding: Tensor) -> Tensor:
        """Coarse probability of foreground, ``(B, 1, h/2, w/2)``."""
        return self.patch_decoder(embedding).sigmoid()

    def dense_prompt(self, embedding: Tensor) -> Tensor:
        """``(B, 256, h, w)`` from the thresholded patch map."""
        coarse = (self.patch_map(embedding) >= 0.5).to(embedding.dtype)
        return self.dense_prompter(F.interpolate(coarse, scale_factor=2.0, mode="nearest"))

    def decode(self, features: Features, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """One mask a modality, ``(B, 6, 4h, 4w)``; quality is 1, for there is no quality head."""
        embedding = features[EMBEDDING]
        image = embedding + self.dense_prompt(embedding)
        queries = self.mask_query.weight.expand(image.shape[0], -1, -1)
        masks = self.mask_decoder(image, self.prompt_encoder.image_pe(), queries)[:, :DOMAINS]
        return masks, masks.new_ones(masks.shape[:2])

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        return masks, quality


def esp_medsam() -> PromptableModel:
    """ESP-MedSAM at 1024 pixels."""
    return EspMedSam()
