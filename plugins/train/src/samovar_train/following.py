"""Following, as it is trained: a region's own answer becomes the prior of the next question.

Propagation asks a slice with the mask of the slice before and with a box around that mask. Here
the "slice before" is the answer just given, zoomed and shifted as if the object had changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from samovar_train.data.sampling import FOLLOW_MARGIN, NOTHING
from samovar_train.model.region import window_of

ZOOM = 0.12
"""Deviation of the logarithm of what an object's width and height change by."""
SHIFT = 0.05
"""Deviation of its shift, in shares of its sides."""


@dataclass(frozen=True, eq=False)
class Followed:
    """What the next question takes over, for n objects."""

    windows: Tensor
    """`(n, 4)` in the prompt frame."""
    coords: Tensor
    """`(n, 2, 2)` corners of the boxes."""
    labels: Tensor
    """`(n, 2)`: 2 and 3."""
    prior: Tensor
    """`(n, 1, g, g)` logits over the new windows."""
    target: Tensor
    """`(n, 1, g, g)` coverage over the new windows, 0 beyond the old ones."""


def carried_on(
    logits: Tensor, target: Tensor, windows: Tensor, generator: torch.Generator
) -> Followed:
    """From answers and coverage `(n, 1, g, g)` over `windows` `(n, 4)` to the next question.

    An empty answer is followed with its whole window as its bounds.
    """
    n = len(windows)
    low, size = windows[:, :2], windows[:, 2:] - windows[:, :2]
    threshold = -torch.rand((n, 1, 1), generator=generator)
    first, last = bounds(logits[:, 0] > threshold)  # (n, 2) x, y in shares of the window
    middle, sides = low + size * (first + last) / 2, size * (last - first)
    zoom = torch.exp(ZOOM * torch.randn((n, 2), generator=generator))
    shift = SHIFT * torch.randn((n, 2), generator=generator) * sides
    margin = FOLLOW_MARGIN * (sides * zoom).amax(1, keepdim=True)
    reach = sides * zoom / 2 + margin
    boxes = torch.cat([middle + shift - reach, middle + shift + reach], 1)
    new = window_of(boxes)
    cells = logits.shape[-1]
    at = (torch.arange(cells) + 0.5) / cells  # centres, in shares of the new window
    place = new[:, :2, None] + (new[:, 2:] - new[:, :2])[:, :, None] * at  # (n, 2, g) in the frame
    before = middle[:, :, None] + (place - (middle + shift)[:, :, None]) / zoom[:, :, None]
    prior = look(logits - NOTHING, before, low, size) + NOTHING
    return Followed(
        new,
        boxes.view(n, 2, 2),
        torch.tensor([2.0, 3.0]).expand(n, 2),
        prior,
        look(target, place, low, size),
    )


def bounds(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of masks `(n, g, g)` in shares of their sides: low and high x, y, each `(n, 2)`."""
    cells = inside.shape[-1]
    first, last = [], []
    for axis in (1, 2):  # columns, then rows
        shown = inside.any(axis).float()  # (n, g)
        empty = shown.sum(1) == 0
        low, high = shown.argmax(1), cells - shown.flip(1).argmax(1)
        first.append(torch.where(empty, 0, low) / cells)
        last.append(torch.where(empty, cells, high) / cells)
    return torch.stack(first, 1), torch.stack(last, 1)


def look(values: Tensor, place: Tensor, low: Tensor, size: Tensor) -> Tensor:
    """Bilinear samples of `(n, 1, g, g)` over windows, at x and y `(n, 2, m)` of the frame.

    Beyond the windows they fall to 0.
    """
    inside = 2 * (place - low[:, :, None]) / size[:, :, None] - 1
    x, y = inside[:, 0, None, :], inside[:, 1, :, None]
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1)  # (n, m, m, 2)
    return F.grid_sample(values, grid, align_corners=False)
