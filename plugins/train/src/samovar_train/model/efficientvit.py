"""An encoder like EfficientViT (Cai et al., arXiv:2205.14756): inverted bottlenecks, and linear
attention over the whole picture at strides 16 and 32.

Attention with ReLU in place of softmax costs as much a cell whatever the picture's size, since keys
and values are summed over all cells first. Queries, keys and values are also taken from 5x5
neighbourhoods (its multi-scale tokens). Sums and quotients stay in float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samovar_train.model.pyramid import Added, Layer, Pyramid, inverted, inverted_pyramid

EPSILON = 1e-4


class LinearAttention(nn.Module):
    """`(B, C, h, w)` → the same shape: each cell asks all others, at two scales."""

    def __init__(self, channels: int, width: int = 16):
        super().__init__()
        self.heads, self.width = channels // width, width
        three = 3 * channels
        self.qkv = nn.Conv2d(channels, three, 1, bias=False)
        self.near = nn.Conv2d(three, three, 5, padding=2, groups=three, bias=False)
        self.mix = nn.Conv2d(three, three, 1, groups=3 * self.heads, bias=False)
        self.out = Layer(2 * channels, channels)
        nn.init.zeros_(self.out.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        first = self.qkv(x)
        scales = (first, self.mix(self.near(first)))
        return self.out(torch.cat([self.attend(s) for s in scales], dim=1))

    def attend(self, qkv: Tensor) -> Tensor:
        """`(B, 3C, h, w)`, a third each for queries, keys and values → `(B, C, h, w)`."""
        h, w = int(qkv.shape[2]), int(qkv.shape[3])
        # sums over thousands of cells do not fit into bfloat16
        with torch.autocast("cpu", enabled=False):
            split = qkv.float().reshape(-1, 3, self.heads, self.width, h * w)
            q, k, v = F.relu(split[:, 0]), F.relu(split[:, 1]), split[:, 2]  # (B, heads, width, hw)
            told = v @ k.transpose(-2, -1)  # (B, heads, width, width)
            sums = k.sum(-1, keepdim=True).transpose(-2, -1)  # (B, heads, 1, width)
            mixed = (told @ q) / (sums @ q + EPSILON)
        return mixed.reshape(-1, self.heads * self.width, h, w)


class Block(nn.Sequential):
    """Attention over the picture, then an inverted bottleneck; each added to what it is given."""

    def __init__(self, channels: int, activation: str):
        super().__init__(
            Added(nn.Sequential(LinearAttention(channels))),
            Added(inverted(channels, channels, 1, activation)),
        )


def efficientvit(
    widths: tuple[int, int, int, int], depths: tuple[int, int, int, int], activation: str
) -> Pyramid:
    """`widths` channels and `depths` blocks at strides 4, 8, 16 and 32, the last two attending."""
    return inverted_pyramid(widths, depths, activation, Block, first=2)
