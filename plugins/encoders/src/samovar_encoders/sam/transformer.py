"""Two-way transformer of Segment Anything: tokens attend to the image and the image to tokens."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import TransformerMLP


class Attention(nn.Module):
    """Multi-head attention whose inner width is ``dim // downsample``."""

    def __init__(
        self, dim: int, heads: int, downsample: int = 1, key_dim: int | None = None
    ) -> None:
        super().__init__()
        inner = dim // downsample
        key_dim = key_dim or dim
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(key_dim, inner)
        self.v_proj = nn.Linear(key_dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def split(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` → ``(B, heads, N, C / heads)``."""
        batch, count, width = x.shape
        return x.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """``q`` (B, N, dim), ``k`` and ``v`` (B, M, dim), ``bias`` (B, M) → (B, N, dim)."""
        q, k, v = (
            self.split(self.q_proj(q)),
            self.split(self.k_proj(k)),
            self.split(self.v_proj(v)),
        )
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, heads, N, M)
        if bias is not None:
            logits = logits + bias[:, None, None]
        out = (logits.softmax(dim=-1) @ v).transpose(1, 2)  # (B, N, h, C/h)
        return self.out_proj(out.flatten(2))


class TwoWayBlock(nn.Module):
    """Self-attention of tokens, tokens → image, MLP, image → tokens."""

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        downsample: int,
        first: bool,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, downsample)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = TransformerMLP(dim, hidden, activation)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, downsample)
        self.first = first

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        token_pe: Tensor,
        image_pe: Tensor,
        token_bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``tokens`` (B, N, dim), ``image`` (B, HW, dim) and their positions.

        ``token_bias`` (B, N) is added to the logits of whoever attends to a token.
        """
        if self.first:  # the tokens are their own positions: no sum, no residual
            tokens = self.self_attn(tokens, tokens, tokens, token_bias)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens, token_bias)
        return self.exchange(self.norm1(tokens), image, token_pe, image_pe, token_bias)

    def exchange(
        self,
        tokens: Tensor,
        image: Tensor,
        token_pe: Tensor,
        image_pe: Tensor,
        token_bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """What follows the tokens' own attention: tokens → image, MLP, image → tokens."""
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(
            image + image_pe, tokens + token_pe, tokens, token_bias
        )
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """``depth`` two-way blocks and a last attention from tokens to the image."""

    def __init__(
        self,
        dim: int = 256,
        depth: int = 2,
        heads: int = 8,
        hidden: int = 2048,
        downsample: int = 2,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(dim, heads, hidden, downsample, first=i == 0, activation=activation)
            for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(dim, heads, downsample)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(
        self, image: Tensor, image_pe: Tensor, tokens: Tensor, token_bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``image``, ``image_pe`` (B, HW, dim), ``tokens`` (B, N, dim) → tokens, image."""
        queries = tokens
        for layer in self.layers:
            queries, image = layer(queries, image, tokens, image_pe, token_bias)
        attended = self.final_attn_token_to_image(queries + tokens, image + image_pe, image)
        return self.norm_final_attn(queries + attended), image


def as_tokens(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` → ``(B, HW, C)``, or the same of a volume."""
    return x.flatten(2).transpose(1, 2)


def as_map(tokens: Tensor, *size: int) -> Tensor:
    """``(B, HW, C)`` → ``(B, C, H, W)``, or the same of a volume."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *size)
