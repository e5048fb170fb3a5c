"""An encoder like TinyViT (Wu et al., arXiv:2207.10666): inverted bottlenecks at stride 4, then
transformer blocks that attend within windows.

A block is attention within windows of at most 8x8 cells, with a learnt bias for each offset, a
depthwise 3x3 convolution across their borders, and an MLP. Softmax and LayerNorm stay in float.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from samovar_train.model.pyramid import ACTIVATIONS, Layer, Pyramid, inverted_pyramid

WINDOW = 8


class WindowAttention(nn.Module):
    """`(B, h, w, C)` → the same shape: cells attend to those of their own window."""

    def __init__(self, channels: int, width: int = 32):
        super().__init__()
        self.heads = channels // width
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros(self.heads, (2 * WINDOW - 1) ** 2))

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, c = (int(n) for n in x.shape)
        sides = math.gcd(h, WINDOW), math.gcd(w, WINDOW)  # windows that fill the picture
        cells = sides[0] * sides[1]
        windows = x.reshape(-1, h // sides[0], sides[0], w // sides[1], sides[1], c)
        windows = windows.transpose(2, 3).reshape(-1, cells, c)  # (B windows, cells, C)
        qkv = self.qkv(self.norm(windows)).reshape(-1, cells, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B windows, heads, cells, width)
        scores = q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5
        scores = scores + self.bias[:, offsets(*sides)]
        mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(-1, cells, c)
        out = self.out(mixed).reshape(-1, h // sides[0], w // sides[1], *sides, c)
        return out.transpose(2, 3).reshape(-1, h, w, c)


def offsets(rows: int, columns: int) -> Tensor:
    """Which of the biases is meant by each pair of a window's cells: `(cells, cells)` int64."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    y, x = y.flatten(), x.flatten()
    dy, dx = y[:, None] - y[None] + WINDOW - 1, x[:, None] - x[None] + WINDOW - 1
    return dy * (2 * WINDOW - 1) + dx


class Block(nn.Module):
    """`(B, C, h, w)` → the same shape: windows, neighbours across their borders, channels."""

    def __init__(self, channels: int, activation: str):
        super().__init__()
        self.attention = WindowAttention(channels)
        self.local = Layer(channels, channels, 3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, 3 * channels)
        self.activation = ACTIVATIONS[activation]()
        self.fc2 = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        cells = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        cells = cells + self.attention(cells)
        x = self.local(cells.permute(0, 3, 1, 2))
        cells = x.permute(0, 2, 3, 1)
        cells = cells + self.fc2(self.activation(self.fc1(self.norm(cells))))
        return cells.permute(0, 3, 1, 2)


def tinyvit(
    widths: tuple[int, int, int, int], depths: tuple[int, int, int, int], activation: str
) -> Pyramid:
    """`widths` channels, `depths` blocks at strides 4, 8, 16, 32; all but the first attend."""
    return inverted_pyramid(widths, depths, activation, Block, first=1)
