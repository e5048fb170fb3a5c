"""The image encoder of `tiny`: a residual convolutional pyramid, ReLU and BatchNorm only.

Dense 3x3 convolutions with ReLU and foldable BatchNorm quantise to int8 without surprises and are
the fastest kind of layer on CPUs. Residual blocks after He et al. 2016 (arXiv:1512.03385), the
top-down path after Lin et al. 2017 (arXiv:1612.03144), the pooled context after ParseNet
(arXiv:1506.04579).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBN(nn.Sequential):
    """Convolution, BatchNorm and optionally ReLU; the BatchNorm folds into `conv` on export."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, relu: bool = True):
        super().__init__()
        self.add_module("conv", nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False))
        self.add_module("bn", nn.BatchNorm2d(cout, momentum=0.05))
        if relu:
            self.add_module("relu", nn.ReLU(inplace=True))


class Residual(nn.Module):
    """`relu(x + body(x))` with a body of `depth` 3x3 convolutions."""

    def __init__(self, channels: int, depth: int = 2):
        super().__init__()
        self.body = nn.Sequential(
            *[ConvBN(channels, channels, relu=i < depth - 1) for i in range(depth)]
        )
        nn.init.zeros_(self.body[-1].bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class PooledContext(nn.Module):
    """Adds what the whole picture looks like: relu(x + W relu(V mean(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 2, 1)
        self.excite = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return F.relu(x + self.excite(F.relu(self.squeeze(pooled))))


class Encoder(nn.Module):
    """`(B, 3, H, W)` float32, normalised → embedding and taps.

    H and W are multiples of 32; the bundle uses 512. Returns, in this order:

    - `image_embeddings` `(B, embed, H/16, W/16)`
    - `features_s8` `(B, tap8, H/8, W/8)`
    - `features_s4` `(B, tap4, H/4, W/4)`
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int, int] = (16, 32, 64, 128, 192),
        embed: int = 128,
        tap8: int = 32,
        tap4: int = 16,
    ):
        super().__init__()
        w2, w4, w8, w16, w32 = widths
        self.stem = nn.Sequential(ConvBN(3, w2, stride=2), ConvBN(w2, w4, stride=2))
        self.stage4 = Residual(w4, depth=1)
        self.down8 = ConvBN(w4, w8, stride=2)
        self.stage8 = Residual(w8)
        self.down16 = ConvBN(w8, w16, stride=2)
        self.stage16 = Residual(w16)
        self.down32 = ConvBN(w16, w32, stride=2)
        self.stage32 = Residual(w32)
        self.context = PooledContext(w32)
        self.top = ConvBN(w32, embed, kernel=1, relu=False)
        self.lateral = ConvBN(w16, embed, kernel=1, relu=False)
        self.fuse = Residual(embed, depth=1)
        self.neck = nn.Conv2d(embed, embed, 1)
        self.tap8 = nn.Conv2d(w8, tap8, 1)
        self.tap4 = nn.Conv2d(w4, tap4, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s4 = self.stage4(self.stem(image))  # (B, w4, H/4, W/4)
        s8 = self.stage8(self.down8(s4))  # (B, w8, H/8, W/8)
        s16 = self.stage16(self.down16(s8))  # (B, w16, H/16, W/16)
        s32 = self.context(self.stage32(self.down32(s16)))  # (B, w32, H/32, W/32)
        top = F.interpolate(self.top(s32), scale_factor=2.0, mode="nearest")
        s16 = self.fuse(F.relu(self.lateral(s16) + top))  # (B, embed, H/16, W/16)
        return self.neck(s16), self.tap8(s8), self.tap4(s4)


def count_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of the Conv2d, ConvTranspose2d and Linear layers in one call."""
    total = 0

    def hook(layer: nn.Module, _args: object, out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):
            per_out = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
            per_out //= layer.stride[0] * layer.stride[1] * layer.groups
        elif isinstance(layer, nn.Conv2d):
            per_out = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
            per_out //= layer.groups
        else:
            per_out = layer.in_features  # type: ignore[assignment,union-attr]
        total += out.numel() * int(per_out)

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    handles = [m.register_forward_hook(hook) for m in module.modules() if isinstance(m, kinds)]
    training = module.training
    module.eval()
    with torch.no_grad():
        module(*inputs)
    module.train(training)
    for handle in handles:
        handle.remove()
    return total
