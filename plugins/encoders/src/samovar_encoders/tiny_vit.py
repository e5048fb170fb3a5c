"""TinyViT image encoder of MobileSAM, TinySAM and LiteMedSAM.

Wu et al. 2022, "TinyViT" (arXiv 2207.10666); Zhang et al. 2023, "Faster Segment Anything"
(arXiv 2306.14289); Shu et al. 2023, "TinySAM" (arXiv 2312.13789). Three stages of convolution and
windowed attention come after a convolutional one; the last stage does not downsample, so that a
1024-pixel picture gives a 64 × 64 embedding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel, sam_model
from .sam.layers import image_neck
from .vit import unwindows, windows


class ConvNorm(nn.Sequential):
    """Convolution without bias and batch norm (keys ``c`` and ``bn``)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.add_module(
            "c",
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        )
        self.add_module("bn", nn.BatchNorm2d(outputs))


class PatchEmbed(nn.Module):
    """Two convolutions; strided 3×3 (MobileSAM: a quarter of the size) or 1×1 (LiteMedSAM)."""

    def __init__(self, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvNorm(3, dim // 2, kernel, stride),
            nn.GELU(),
            ConvNorm(dim // 2, dim, kernel, stride),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class InvertedBottleneck(nn.Module):
    """1×1 up, depthwise 3×3, 1×1 down; the last activation comes after the residual sum."""

    def __init__(self, dim: int, expand: int = 4) -> None:
        super().__init__()
        hidden = expand * dim
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return F.gelu(x + y)


class PatchMerging(nn.Module):
    """``(B, C, H, W)`` → wider channels, half the size when ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


def offset_index(size: int) -> tuple[Tensor, int]:
    """Index of |Δrow|, |Δcolumn| for each pair of a window's cells, numbered as first seen."""
    cells = [(r, c) for r in range(size) for c in range(size)]
    seen: dict[tuple[int, int], int] = {}
    index = [
        [seen.setdefault((abs(a[0] - b[0]), abs(a[1] - b[1])), len(seen)) for b in cells]
        for a in cells
    ]
    return torch.tensor(index, device="cpu"), len(seen)


class BiasedAttention(nn.Module):
    """Norm and self-attention over ``(B, N, C)`` windows with a learned bias an offset.

    q, k and v are interleaved by head: ``qkv`` reads ``(heads, [q | k | v])``.
    """

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        index, offsets = offset_index(window)
        self.attention_biases = nn.Parameter(torch.zeros(heads, offsets))
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.register_buffer("index", index, persistent=False)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, N, C)`` → q, k, v, each (B, heads, N, d)."""
        batch, count, dim = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, count, self.heads, 3 * dim // self.heads)
        # apart first: runtimes take each one's transposition into the products
        q, k, v = (part.transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        return q, k, v

    def bias(self) -> Tensor:
        """``(heads, N, N)``."""
        return self.attention_biases[:, self.index]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads_of(x)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias()[None])
        return self.proj(out.transpose(1, 2).flatten(2))


class NormMLP(nn.Module):
    """LayerNorm and two linear layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Windowed attention, a depthwise convolution, an MLP, on ``(B, H, W, C)``."""

    attention: type[BiasedAttention] = BiasedAttention

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = self.attention(dim, heads, window)
        self.mlp = NormMLP(dim, 4 * dim)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        parts, padded = windows(x, self.window)  # zeros; the norm inside turns them into its bias
        parts = self.attn(parts.flatten(1, 2)).unflatten(1, (self.window, self.window))
        x = x + unwindows(parts, self.window, padded, (x.shape[1], x.shape[2]))
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # no residual around it
        return self.transform(x)

    def transform(self, x: Tensor) -> Tensor:
        """The MLP with its residual, over a list of cells, which no runtime reorders."""
        cells = x.flatten(1, 2)  # (B, H·W, C)
        return (cells + self.mlp(cells)).unflatten(1, x.shape[1:3])


class Stage(nn.Module):
    """Blocks and the step to the next stage. ``(B, C, H, W)`` in and out."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if downsample is not None:
            self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.blocks[0], Block):
            x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
            for block in self.blocks:
                x = block(x)
            x = x.permute(0, 3, 1, 2)
        else:
            for block in self.blocks:
                x = block(x)
        return self.downsample(x) if hasattr(self, "downsample") else x


class TinyViT(nn.Module):
    """``(B, 3, S, S)`` → ``(B, 256, 64, 64)`` for S = 1024 (or 256 with ``full_stem``)."""

    dims = (64, 128, 160, 320)
    depths = (2, 2, 6, 2)
    heads = (2, 4, 5, 10)
    window_sizes = (7, 7, 14, 7)
    block: type[Block] = Block

    def __init__(self, full_stem: bool = False, classifier: bool = True) -> None:
        super().__init__()
        kernel, stride = (1, 1) if full_stem else (3, 2)
        self.patch_embed = PatchEmbed(self.dims[0], kernel, stride)
        self.layers = nn.ModuleList(self.stage(i) for i in range(4))
        if classifier:  # in the checkpoints, never used
            self.norm_head = nn.LayerNorm(self.dims[-1])
            self.head = nn.Linear(self.dims[-1], 1000)
        self.neck = image_neck(self.dims[-1])

    def stage(self, i: int) -> Stage:
        dim, depth = self.dims[i], self.depths[i]
        blocks: list[nn.Module] = [
            self.block(dim, self.heads[i], self.window_sizes[i]) if i else InvertedBottleneck(dim)
            for _ in range(depth)
        ]
        merging = PatchMerging(dim, self.dims[i + 1], stride=1 if i == 2 else 2) if i < 3 else None
        return Stage(blocks, merging)

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the four stages, each ``(B, C, H, W)``, already stepped to the next width."""
        x = self.patch_embed(x)  # (B, 64, S/4, S/4)
        outputs = []
        for layer in self.layers:
            x = layer(x)  # (B, 128, S/8, S/8), (B, 160, S/16, S/16), (B, 320, ·, ·) twice
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.features(x)[-1])


def mobile_sam() -> PromptableModel:
    """MobileSAM and TinySAM: 1024 pixels in, prompts in 1024."""
    return sam_model(TinyViT())


def lite_medsam() -> PromptableModel:
    """LiteMedSAM: 256 pixels in, prompts in 256; its stem keeps the full size."""
    encoder = TinyViT(full_stem=True, classifier=False)
    # 256² at the stem: the strides that are left are those of stages 0 and 1
    return sam_model(encoder, frame=256)
