"""The mask decoder of `tiny`: SAM's two-way transformer (arXiv:2304.02643), narrow, with taps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samovar_train.model.prompt import FourierPosition, dense_position

MASKS = 4  # token 0: the mask of an unambiguous prompt; 1 to 3: readings of a single point


class Attention(nn.Module):
    """Multi-head attention with a narrower inner width."""

    def __init__(self, dim: int, inner: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.out = nn.Linear(inner, dim)

    def split(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        return x.reshape(n, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = self.q(q)
        q = q * (q.shape[-1] // self.heads) ** -0.5  # here it is cheaper than on the scores
        q, k, v = self.split(q), self.split(self.k(k)), self.split(self.v(v))
        mixed = (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v  # (N, heads, L, width)
        mixed = mixed.transpose(1, 2).flatten(2)
        return self.out(mixed)


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, then the image attends to the tokens."""

    def __init__(self, dim: int, inner: int, heads: int, hidden: int):
        super().__init__()
        self.self_attention = Attention(dim, dim, heads)
        self.to_image = Attention(dim, inner, heads)
        self.to_tokens = Attention(dim, inner, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, tpe: Tensor, ipe: Tensor):
        q = tokens + tpe
        tokens = self.norm1(tokens + self.self_attention(q, q, tokens))
        tokens = self.norm2(tokens + self.to_image(tokens + tpe, image + ipe, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.to_tokens(image + ipe, tokens + tpe, tokens))
        return tokens, image


class Neighbourhood(nn.Module):
    """Residual bottleneck at stride 16: each prompt's own picture, seen by convolutions.

    Attention tells which cells are alike; what is inside and connected is a matter of neighbours.
    The last layer starts at zero, so that the block can join a trained decoder.
    """

    def __init__(self, dim: int, inner: int = 64):
        super().__init__()
        self.reduce = nn.Conv2d(dim, inner, 1)
        self.near = nn.Conv2d(inner, inner, 3, 1, 1)
        self.far = nn.Conv2d(inner, inner, 3, 1, 2, dilation=2)
        self.expand = nn.Conv2d(inner, dim, 1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.near(F.relu(self.reduce(x))))
        return x + self.expand(F.relu(y + self.far(y)))


class MaskDecoder(nn.Module):
    """Embedding, taps and prompt embeddings → masks and their predicted quality.

    Inputs, float32 (a first axis of 1 is broadcast over the N prompts):

    - `image_embeddings` `(1 or N, dim, h, w)`, `features_s8` `(1 or N, tap8, 2h, 2w)`,
      `features_s4` `(1 or N, tap4, 4h, 4w)`
    - `sparse_embeddings` `(N, P, dim)`, `dense_embeddings` `(N, dim, h, w)`

    Returns `low_res_masks` `(N, 4, 4h, 4w)` logits and `iou_predictions` `(N, 4)` in [0, 1].
    """

    def __init__(self, position: FourierPosition, dim: int = 128, tap8: int = 32, tap4: int = 16):
        super().__init__()
        heads, inner = 4, dim // 2
        self.dim = dim
        self.iou_token = nn.Parameter(torch.randn(1, dim) * 0.5)
        self.mask_tokens = nn.Parameter(torch.randn(MASKS, dim) * 0.5)
        self.blocks = nn.ModuleList([TwoWayBlock(dim, inner, heads, 2 * dim) for _ in range(2)])
        self.final = Attention(dim, inner, heads)
        self.norm = nn.LayerNorm(dim)
        self.neighbourhood = Neighbourhood(dim)
        self.up8 = nn.ConvTranspose2d(dim, tap8, 2, 2)
        self.mix8 = nn.Conv2d(tap8, tap8, 3, 1, 1)
        self.up4 = nn.ConvTranspose2d(tap8, tap4, 2, 2)
        self.fine = nn.ConvTranspose2d(dim, tap4, 4, 4)  # the prompt at stride 4
        self.mix4 = nn.Conv2d(tap4, tap4, 3, 1, 1)
        self.hyper = nn.ModuleList([self.head(dim, tap4 + 1) for _ in range(MASKS)])
        self.quality = self.head(dim, MASKS)
        self.register_buffer("image_position", dense_position(position, 32, 32).clone())

    @staticmethod
    def head(dim: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out))

    def forward(
        self,
        image_embeddings: Tensor,
        features_s8: Tensor,
        features_s4: Tensor,
        sparse_embeddings: Tensor,
        dense_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        source = image_embeddings + dense_embeddings  # (N, dim, h, w)
        n, _, h, w = source.shape
        image = source.flatten(2).transpose(1, 2)  # (N, hw, dim)
        ipe = self.image_position[:, :, :h, :w].flatten(2).transpose(1, 2)  # (1, hw, dim)
        own = torch.cat([self.iou_token, self.mask_tokens])  # (1 + MASKS, dim)
        tpe = torch.cat([own[None].expand(n, -1, -1), sparse_embeddings], dim=1)
        tokens = tpe
        for block in self.blocks:
            tokens, image = block(tokens, image, tpe, ipe)
        tokens = self.norm(tokens + self.final(tokens + tpe, image + ipe, image))
        fused = image.transpose(1, 2).reshape(n, self.dim, h, w)
        fused = self.neighbourhood(fused)
        up = F.relu(self.up8(fused) + features_s8)  # (N, tap8, 2h, 2w)
        up = F.relu(up + self.mix8(up))
        fine = self.fine(dense_embeddings)  # (N, tap4, 4h, 4w)
        up = F.relu(self.up4(up) + fine + features_s4)  # (N, tap4, 4h, 4w)
        up = F.relu(up + self.mix4(up))
        weights = torch.stack([f(tokens[:, 1 + i]) for i, f in enumerate(self.hyper)], dim=1)
        masks = (weights[:, :, :-1] @ up.flatten(2)) + weights[:, :, -1:]  # (N, MASKS, 16hw)
        quality = torch.sigmoid(self.quality(tokens[:, 0]))
        return masks.reshape(n, MASKS, 4 * h, 4 * w), quality
