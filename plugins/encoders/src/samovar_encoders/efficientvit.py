"""EfficientViT-SAM image encoders L0–L2, XL0 and XL1; also MedficientSAM's and DAFT's.

Cai et al. 2023, "EfficientViT: lightweight multi-scale attention for high-resolution dense
prediction" (arXiv 2205.14756); Zhang et al. 2024, "EfficientViT-SAM" (arXiv 2402.05008).
Convolutional stages, then stages of linear attention; a neck adds three scales on a 64 × 64 grid.
Every norm of the whole model, decoder included, has eps 1e-6; the encoder's GELU is the tanh one.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import PromptableModel, sam_model
from .sam.layers import LayerNorm2d


class Conv(nn.Module):
    """Convolution, optional batch norm, optional GELU (keys ``conv``, ``norm``)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        bias: bool = False,
        act: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias
        )
        if norm:
            self.norm = nn.BatchNorm2d(outputs)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if hasattr(self, "norm"):
            x = self.norm(x)
        return F.gelu(x, approximate="tanh") if self.act else x


class ResBlock(nn.Module):
    """Two 3×3 convolutions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = Conv(dim, dim, act=True)
        self.conv2 = Conv(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class FusedMBConv(nn.Module):
    """3×3 convolution to ``expand`` times the width and 1×1 back."""

    def __init__(self, inputs: int, outputs: int, expand: int, stride: int = 1) -> None:
        super().__init__()
        self.spatial_conv = Conv(inputs, inputs * expand, 3, stride, act=True)
        self.point_conv = Conv(inputs * expand, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.spatial_conv(x))


class MBConv(nn.Module):
    """1×1 up, depthwise 3×3, 1×1 down; only the last has a norm, the others a bias."""

    def __init__(self, inputs: int, outputs: int, expand: int, stride: int = 1) -> None:
        super().__init__()
        hidden = inputs * expand
        plain = partial(Conv, norm=False, bias=True, act=True)
        self.inverted_conv = plain(inputs, hidden, 1)
        self.depth_conv = plain(hidden, hidden, 3, stride, groups=hidden)
        self.point_conv = Conv(hidden, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class LinearAttention(nn.Module):
    """ReLU linear attention at two scales, heads of 32 channels."""

    head = 32
    eps = 1e-15

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.qkv = Conv(dim, 3 * dim, 1, norm=False)
        depthwise = nn.Conv2d(
            3 * dim, 3 * dim, kernel, padding=kernel // 2, groups=3 * dim, bias=False
        )
        pointwise = nn.Conv2d(3 * dim, 3 * dim, 1, groups=3 * dim // self.head, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(depthwise, pointwise)])
        self.proj = Conv(2 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        qkv = self.qkv(x)
        both = torch.cat([qkv, self.aggreg[0](qkv)], dim=1)  # (B, 6·dim, H, W)
        both = both.reshape(batch, -1, 3 * self.head, height * width).float()
        q, k, v = both.chunk(3, dim=2)  # each (B, 2·heads, 32, HW)
        q, k = F.relu(q), F.relu(k)
        if height * width > self.head:  # linear in HW
            ones = torch.ones_like(v[:, :, :1])
            summed = torch.cat([v, ones], dim=2) @ k.transpose(-1, -2)  # (B, 2·heads, 33, 32)
            out = summed @ q  # (B, 2·heads, 33, HW)
            out = out[:, :, :-1] / (out[:, :, -1:] + self.eps)
        else:
            weights = k.transpose(-1, -2) @ q  # (B, 2·heads, HW keys, HW queries)
            out = v @ (weights / (weights.sum(dim=2, keepdim=True) + self.eps))
        return self.proj(out.reshape(batch, -1, height, width))


class Residual(nn.Module):
    """``x + main(x)`` (key ``main``); without ``shortcut`` just ``main(x)``."""

    def __init__(self, main: nn.Module, shortcut: bool = True) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x) if self.shortcut else self.main(x)


class AttentionBlock(nn.Module):
    """Linear attention for context, then an MBConv for what is near."""

    def __init__(self, dim: int, expand: int, kernel: int) -> None:
        super().__init__()
        self.context_module = Residual(LinearAttention(dim, kernel))
        self.local_module = Residual(MBConv(dim, dim, expand))

    def forward(self, x: Tensor) -> Tensor:
        return self.local_module(self.context_module(x))


class Ops(nn.Module):
    """Modules one after the other (key ``op_list``)."""

    def __init__(self, ops: list[nn.Module]) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(ops)

    def forward(self, x: Tensor) -> Tensor:
        for op in self.op_list:
            x = op(x)
        return x


class Bicubic(nn.Module):
    """Enlarge to a ``size`` × ``size`` grid."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (self.size, self.size):
            return x
        return F.interpolate(x, (self.size, self.size), mode="bicubic", align_corners=False)


class Backbone(nn.Module):
    """Stages of halving size; ``kinds`` says what each is made of."""

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        kinds: tuple[str, ...],
        expands: tuple[int, ...],
        kernel: int,
    ) -> None:
        super().__init__()
        first: list[nn.Module] = [Conv(3, widths[0], 3, 2, act=True)]
        first += [Residual(ResBlock(widths[0])) for _ in range(depths[0])]
        stages = [Ops(first)]
        for i in range(1, len(widths)):
            before, dim, kind, expand = widths[i - 1], widths[i], kinds[i], expands[i]
            down: nn.Module
            if kind == "fused":
                down = FusedMBConv(before, dim, 4 * expand, stride=2)
                body = [Residual(FusedMBConv(dim, dim, expand)) for _ in range(depths[i])]
            else:
                down = MBConv(before, dim, 4 * expand, stride=2)
                body = [
                    AttentionBlock(dim, expand, kernel)
                    if kind == "attention"
                    else Residual(MBConv(dim, dim, expand))
                    for _ in range(depths[i])
                ]
            stages.append(Ops([Residual(down, shortcut=False), *body]))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


class Neck(nn.Module):
    """Three scales, deepest first, on one grid, summed, refined."""

    def __init__(self, widths: tuple[int, ...], depth: int, expand: int, grid: int = 64) -> None:
        super().__init__()
        self.input_ops = nn.ModuleList(Ops([Conv(w, 256, 1), Bicubic(grid)]) for w in widths)
        self.middle = Ops([Residual(FusedMBConv(256, 256, expand)) for _ in range(depth)])
        self.output_ops = nn.ModuleList([Ops([Conv(256, 256, 1, norm=False, bias=True)])])

    def forward(self, scales: list[Tensor]) -> Tensor:
        total = self.input_ops[0](scales[0])
        for op, scale in zip(self.input_ops[1:], scales[1:], strict=True):
            total = total + op(scale)
        return self.output_ops[0](self.middle(total))  # (B, 256, 64, 64)


class EfficientViT(nn.Module):
    """``(B, 3, S, S)`` → ``(B, 256, 64, 64)``, S = 512 (L), 1024 (XL) or 256 (DAFT)."""

    def __init__(self, backbone: Backbone, neck: Neck) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, neck
        self.norm = LayerNorm2d(256)

    def forward(self, x: Tensor) -> Tensor:
        deepest_first = self.backbone(x)[:-4:-1]
        return self.norm(self.neck(deepest_first))


def _set_norm_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | LayerNorm2d):
            module.eps = eps


def _model(backbone: Backbone, neck: Neck, frame: int) -> PromptableModel:
    model = sam_model(EfficientViT(backbone, neck), frame=frame)
    _set_norm_eps(model, 1e-6)
    return model


def _large(depths: tuple[int, ...], neck: int, frame: int = 1024) -> PromptableModel:
    kinds = ("res", "fused", "fused", "mb", "attention")
    backbone = Backbone((32, 64, 128, 256, 512), depths, kinds, (1, 4, 4, 4, 6), kernel=5)
    return _model(backbone, Neck((512, 256, 128), neck, expand=1), frame)


def _extra_large(depths: tuple[int, ...], neck: int) -> PromptableModel:
    kinds = ("res", "fused", "fused", "fused", "attention", "attention")
    widths = (32, 64, 128, 256, 512, 1024)
    backbone = Backbone(widths, depths, kinds, (1, 4, 4, 4, 4, 6), kernel=3)
    return _model(backbone, Neck((1024, 512, 256), neck, expand=4), 1024)


_L0: tuple[tuple[int, ...], int] = ((1, 1, 1, 4, 4), 4)
_L1: tuple[tuple[int, ...], int] = ((1, 1, 1, 6, 6), 8)
_L2: tuple[tuple[int, ...], int] = ((1, 2, 2, 8, 8), 12)

efficientvit_sam_l0 = partial(_large, *_L0)
efficientvit_sam_l1 = partial(_large, *_L1)
efficientvit_sam_l2 = partial(_large, *_L2)
efficientvit_sam_xl0 = partial(_extra_large, (0, 1, 1, 2, 3, 3), 6)
efficientvit_sam_xl1 = partial(_extra_large, (1, 2, 2, 4, 6, 6), 12)
medficientsam_l0 = partial(_large, *_L0, frame=512)
medficientsam_l1 = partial(_large, *_L1, frame=512)
medficientsam_l2 = partial(_large, *_L2, frame=512)
daft_l0 = partial(_large, *_L0, frame=256)
