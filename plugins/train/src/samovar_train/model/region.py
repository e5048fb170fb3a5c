"""The region decoder of `tiny`: a mask at its own box's resolution, from the cells around it.

Features are sampled on a fixed grid over a *window*, the box and a margin, so that an object fills
the same part of that grid whatever its size and shape (as RoIAlign does for Mask R-CNN, He et al.
2017, arXiv:1703.06870). In that frame a box says nothing but its size; boxes that are not tight,
points and previous masks are drawn, as in the prompt encoder. One attention over the window's cells
(Vaswani et al. 2017, arXiv:1706.03762), convolutions upwards (Ronneberger et al. 2015,
arXiv:1505.04597).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samovar_train.model.decoder import Attention

GRID = 48
"""Rows and columns of a region's mask."""
MARGIN = 0.2
"""Share of a box's sides by which its window is wider, on each side."""
CELLS = GRID // 4
SIGMAS = (1.5, 6.0)  # of the Gaussians drawn at points, cells of the mask
DRAWN = 11


def window_of(boxes: Tensor, margin: float = MARGIN) -> Tensor:
    """Boxes `(..., 4)` x0, y0, x1, y1 → their windows, same frame; at least a pixel wide."""
    low, high = boxes[..., :2], boxes[..., 2:]
    size = (high - low).clamp(min=1.0)
    centre = (low + high) / 2
    half = size * (0.5 + margin)
    return torch.cat([centre - half, centre + half], dim=-1)


def sample(feature: Tensor, windows: Tensor, cells: int, stride: int) -> Tensor:
    """Bilinear samples of a feature map at the centres of a window's cells.

    `feature` `(B, C, h, w)`, `windows` `(B * K, 4)` in pixels of the frame, those of one image
    being neighbours → `(B * K, C, cells, cells)`. Positions outside the map take its border.
    """
    b, c, h, w = feature.shape
    n = windows.shape[0]
    at = (torch.arange(cells, dtype=torch.float32, device=windows.device) + 0.5) / cells
    low, size = windows[:, :2, None], (windows[:, 2:] - windows[:, :2])[:, :, None]
    places = (low + size * at) / stride - 0.5  # (N, 2, cells)
    x, y = places[:, 0].clamp(0, w - 1), places[:, 1].clamp(0, h - 1)
    x0, y0 = x.floor().clamp(max=w - 2), y.floor().clamp(max=h - 2)
    # all channels of a weight stand in a row: runtimes multiply long rows several times faster
    fx = (x - x0)[:, None, :, None].expand(-1, -1, -1, c)  # (N, 1, cells, C)
    fy = (y - y0)[:, :, None, None]
    row = y0.long()
    if b > 1:
        image = torch.div(torch.arange(n, device=windows.device) * b, n, rounding_mode="floor")
        row = row + image[:, None] * h
    first = row[:, :, None] * w + x0.long()[:, None, :]
    rows = feature.float().permute(0, 2, 3, 1).reshape(b * h * w, c)
    corner = [F.embedding(first + step, rows) for step in (0, 1, w, w + 1)]  # (N, cells, cells, C)
    upper = corner[0] * (1 - fx) + corner[1] * fx
    lower = corner[2] * (1 - fx) + corner[3] * fx
    return (upper * (1 - fy) + lower * fy).permute(0, 3, 1, 2)


def draw(windows: Tensor, coords: Tensor, labels: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
    """Prompts drawn over their windows: `(N, 11, GRID, GRID)`, float32.

    Arguments as of :class:`RegionDecoder`.
    """
    low, size = windows[:, None, :2], windows[:, None, 2:] - windows[:, None, :2]
    at = (coords - low) / size * GRID  # (N, P, 2) in cells of the window
    kinds = torch.stack([(labels == k).float() for k in range(4)], dim=-1)  # (N, P, 4)
    start = (at * kinds[..., 2:3]).sum(1)  # (N, 2) x0, y0 of the box
    stop = (at * kinds[..., 3:4]).sum(1)
    has_box = kinds[..., 3].sum(1).clamp(0, 1)[:, None, None]
    edges = torch.arange(GRID, dtype=torch.float32, device=windows.device)
    x0, y0, x1, y1 = start[:, :1], start[:, 1:], stop[:, :1], stop[:, 1:]
    cover_x = (torch.minimum(x1, edges + 1) - torch.maximum(x0, edges)).clamp(0, 1)  # (N, G)
    cover_y = (torch.minimum(y1, edges + 1) - torch.maximum(y0, edges)).clamp(0, 1)
    u = ((2 * edges + 1 - x0 - x1) / (x1 - x0).clamp(min=0.5)).clamp(-2, 2)
    v = ((2 * edges + 1 - y0 - y1) / (y1 - y0).clamp(min=0.5)).clamp(-2, 2)
    inside = cover_y[:, :, None] * cover_x[:, None, :]  # (N, G, G)
    zero = torch.zeros_like(inside)
    radius = (u * u)[:, None, :] + (v * v)[:, :, None]
    drawn = [inside, u[:, None, :] * has_box + zero, v[:, :, None] * has_box + zero]
    drawn.append((1 - radius).clamp(-1, 1) * has_box)  # the inscribed ellipse
    dx = at[..., :1] - (edges + 0.5)  # (N, P, G)
    dy = at[..., 1:] - (edges + 0.5)
    for sigma in SIGMAS:
        gx = torch.exp(-dx * dx / (2 * sigma * sigma))
        gy = torch.exp(-dy * dy / (2 * sigma * sigma))
        for kind in (1, 0):  # positive, negative
            drawn.append(((gy * kinds[..., kind : kind + 1]).transpose(1, 2) @ gx).clamp(max=1))
    given = has_mask[:, :, None]
    logits = mask[:, 0] * given
    drawn += [torch.tanh(logits / 2), torch.tanh(logits / 8), given + zero]
    return torch.stack(drawn, dim=1)


class SelfAttention(nn.Module):
    """A window's cells attend to each other; pre-norm, residual, with a small MLP."""

    def __init__(self, dim: int, heads: int = 4):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, dim // 2, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, cells: Tensor, position: Tensor) -> Tensor:
        x = self.norm1(cells)
        cells = cells + self.attention(x + position, x + position, x)
        return cells + self.mlp(self.norm2(cells))


class RegionDecoder(nn.Module):
    """Embedding, taps and prompts of N windows → one mask a window and its quality.

    Inputs, float32:

    - `image_embeddings` `(B, embed, h, w)`, `features_s8` `(B, tap8, 2h, 2w)`, `features_s4`
      `(B, tap4, 4h, 4w)`; N is a multiple of B, an image's windows are neighbours
    - `windows` `(N, 4)` x0, y0, x1, y1 in the prompt frame (see :func:`window_of`)
    - `point_coords` `(N, P, 2)`, `point_labels` `(N, P)` as the prompt encoder's, with a box
    - `mask_input` `(N, 1, GRID, GRID)` logits over the window, `has_mask_input` `(N, 1)`

    Returns `low_res_masks` `(N, 1, GRID, GRID)` logits over the window, and `iou_predictions`
    `(N, 1)` in [0, 1].
    """

    def __init__(self, embed: int = 128, tap8: int = 32, tap4: int = 16, dim: int = 96):
        super().__init__()
        self.project = nn.Conv2d(embed, dim, 1)
        self.draw8 = nn.Conv2d(DRAWN, 24, 3, 2, 1)
        self.draw16 = nn.Conv2d(24, dim, 3, 2, 1)
        self.size = nn.Linear(3, dim)
        self.position = nn.Parameter(torch.randn(1, CELLS * CELLS, dim) * 0.2)
        self.near = nn.Conv2d(dim, dim // 2, 3, 1, 1)
        self.far = nn.Conv2d(dim // 2, dim // 2, 3, 1, 2, dilation=2)
        self.expand = nn.Conv2d(dim // 2, dim, 1)
        self.attention = SelfAttention(dim)
        self.up8 = nn.ConvTranspose2d(dim, 32, 2, 2)
        self.skip8 = nn.Conv2d(tap8 + 24, 32, 1)
        self.mix8 = nn.Conv2d(32, 32, 3, 1, 1)
        self.up4 = nn.ConvTranspose2d(32, 16, 2, 2)
        self.skip4 = nn.Conv2d(tap4 + DRAWN, 16, 1)
        self.mix4 = nn.Conv2d(16, 16, 3, 1, 1)
        self.mask = nn.Conv2d(16, 1, 3, 1, 1)
        self.quality = nn.Sequential(nn.Linear(2 * dim + 32 + 6, dim), nn.ReLU(), nn.Linear(dim, 1))

    def forward(
        self,
        image_embeddings: Tensor,
        features_s8: Tensor,
        features_s4: Tensor,
        windows: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", enabled=False):  # positions do not fit into bfloat16
            drawn = draw(windows, point_coords, point_labels, mask_input, has_mask_input)
            s16 = sample(image_embeddings, windows, CELLS, 16)
            s8 = sample(features_s8, windows, 2 * CELLS, 8)
            s4 = sample(features_s4, windows, GRID, 4)
            extent = ((windows[:, 2:] - windows[:, :2]) / 64).clamp(min=1e-3).log()  # (N, 2)
            extent = torch.cat([extent, (extent[:, :1] - extent[:, 1:]).abs()], dim=1)
        d8 = F.relu(self.draw8(drawn))  # (N, 24, G/2, G/2)
        x = self.project(s16) + self.draw16(d8) + self.size(extent)[:, :, None, None]
        y = F.relu(self.near(F.relu(x)))
        x = x + self.expand(F.relu(y + self.far(y)))  # (N, dim, G/4, G/4)
        cells = self.attention(x.flatten(2).transpose(1, 2), self.position)
        x = cells.transpose(1, 2).reshape(x.shape)
        up = F.relu(self.up8(x) + self.skip8(torch.cat([s8, d8], 1)))  # (N, 32, G/2, G/2)
        up8 = F.relu(up + self.mix8(up))
        up = F.relu(self.up4(up8) + self.skip4(torch.cat([s4, drawn], 1)))  # (N, 16, G, G)
        up = F.relu(up + self.mix4(up))
        logits = self.draw_mask(up)
        return logits, self.judge(cells, up8, logits, extent)

    def draw_mask(self, up: Tensor) -> Tensor:
        """`mask` of `(N, 16, G, G)`, channel by channel and summed: `(N, 1, G, G)`.

        A convolution to a single channel is padded to a whole vector of them by runtimes.
        """
        apart = F.conv2d(up, self.mask.weight.transpose(0, 1), None, 1, 1, groups=up.shape[1])
        return apart.sum(1, keepdim=True) + self.mask.bias[:, None, None]

    def judge(self, cells: Tensor, up8: Tensor, logits: Tensor, extent: Tensor) -> Tensor:
        """Expected IoU `(N, 1)`, told from the features and from how sure the mask itself is."""
        likely = torch.sigmoid(logits.detach().float())  # (N, 1, G, G)
        area = likely.mean((2, 3))  # (N, 1)
        unsure = (likely * (1 - likely)).mean((2, 3)) / (area + 1e-3)
        sure = F.relu(likely - 0.5).mean((2, 3)) * 2 / (area + 1e-3)
        weight = F.avg_pool2d(likely, 2)  # (N, 1, G/2, G/2)
        held = (up8 * weight).mean((2, 3)) / (weight.mean((2, 3)) + 1e-3)  # (N, 32)
        seen = torch.cat([cells.mean(1), cells.amax(1)], dim=1)  # (N, 2 dim)
        told = torch.cat([seen, held, extent, area, unsure, sure], dim=1)
        return torch.sigmoid(self.quality(told))
