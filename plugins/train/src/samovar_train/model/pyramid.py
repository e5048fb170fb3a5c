"""What the encoders that were compared have in common: a pyramid of four stages and its neck.

Each makes features at strides 4, 8, 16 and 32 in its own way (:mod:`samovar_train.model.repvit`,
:mod:`~samovar_train.model.efficientvit`, :mod:`~samovar_train.model.tinyvit`); what becomes of them
is the same as in :mod:`samovar_train.model.encoder`, so that a comparison compares the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from samovar_train.model.encoder import ConvBN

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
}


class Layer(ConvBN):
    """Convolution, perhaps depthwise, BatchNorm and an activation (`""`: none); it folds."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "",
    ):
        super().__init__(cin, cout, kernel, stride, relu=False)
        if groups > 1:
            self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        if activation:
            self.add_module("activation", ACTIVATIONS[activation]())


class Added(nn.Module):
    """`x + body(x)`; the last norm of the body starts at zero."""

    def __init__(self, body: nn.Sequential):
        super().__init__()
        self.body = body
        last = body[-1]
        if isinstance(last, Layer):
            nn.init.zeros_(last.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def inverted(cin: int, cout: int, stride: int, activation: str, expand: int = 4) -> nn.Sequential:
    """An inverted bottleneck (MobileNetV2, arXiv:1801.04381): wide, depthwise, narrow."""
    wide = cin * expand
    return nn.Sequential(
        Layer(cin, wide, 1, activation=activation),
        Layer(wide, wide, 3, stride, groups=wide, activation=activation),
        Layer(wide, cout, 1),
    )


class Context(nn.Module):
    """Adds what the whole picture looks like: x + W act(V mean(x))."""

    def __init__(self, channels: int, activation: str):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 2, 1)
        self.activation = ACTIVATIONS[activation]()
        self.excite = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x + self.excite(self.activation(self.squeeze(pooled)))


class Pyramid(nn.Module):
    """`(B, 3, H, W)` float32, normalised → embedding and taps, as `Encoder` returns them.

    `stages` make features of `widths` channels at strides 4, 8, 16 and 32, one from the other.

    - `image_embeddings` `(B, embed, H/16, W/16)`
    - `features_s8` `(B, tap8, H/8, W/8)`
    - `features_s4` `(B, tap4, H/4, W/4)`
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        widths: tuple[int, int, int, int],
        activation: str,
        embed: int = 128,
        tap8: int = 32,
        tap4: int = 16,
    ):
        super().__init__()
        w4, w8, w16, w32 = widths
        self.stages = nn.ModuleList(stages)
        self.context = Context(w32, activation)
        self.top = Layer(w32, embed)
        self.lateral = Layer(w16, embed)
        self.activation = ACTIVATIONS[activation]()
        self.fuse = Added(nn.Sequential(Layer(embed, embed, 3, groups=embed), Layer(embed, embed)))
        self.neck = nn.Conv2d(embed, embed, 1)
        self.tap8 = nn.Conv2d(w8, tap8, 1)
        self.tap4 = nn.Conv2d(w4, tap4, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s4 = self.stages[0](image)  # (B, w4, H/4, W/4)
        s8 = self.stages[1](s4)  # (B, w8, H/8, W/8)
        s16 = self.stages[2](s8)  # (B, w16, H/16, W/16)
        s32 = self.context(self.stages[3](s16))  # (B, w32, H/32, W/32)
        top = F.interpolate(self.top(s32), scale_factor=2.0, mode="nearest")
        s16 = self.fuse(self.activation(self.lateral(s16) + top))  # (B, embed, H/16, W/16)
        return self.neck(s16), self.tap8(s8), self.tap4(s4)


def inverted_pyramid(
    widths: tuple[int, int, int, int],
    depths: tuple[int, int, int, int],
    activation: str,
    block: Callable[[int, str], nn.Module],
    first: int,
) -> Pyramid:
    """Stages that begin with inverted bottlenecks; from stage `first` on they consist of `block`s,
    before it of inverted bottlenecks."""
    stages = []
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        start = stem(width, activation) if i == 0 else inverted(widths[i - 1], width, 2, activation)
        blocks = [
            block(width, activation) if i >= first else Added(inverted(width, width, 1, activation))
            for _ in range(depth)
        ]
        stages.append(nn.Sequential(start, *blocks))
    return Pyramid(stages, widths, activation)


def stem(width: int, activation: str) -> nn.Sequential:
    """Two strided convolutions: `(B, 3, H, W)` → `(B, width, H/4, W/4)`."""
    half = width // 2
    return nn.Sequential(
        Layer(3, half, 3, 2, activation=activation),
        Layer(half, width, 3, 2, activation=activation),
    )
