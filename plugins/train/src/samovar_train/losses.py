"""What training minimises: Dice and cross entropy of the masks, and the error of their quality."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ENTROPY_SHARE = 0.4
"""Weight of the cross entropy. At 1 an uncertain outline is drawn too tight for the best Dice."""


@cache
def dice_loss() -> Any:
    """MONAI's soft Dice loss on logits, one value a channel; imported on first use."""
    from monai.losses import DiceLoss

    return DiceLoss(sigmoid=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Loss of every mask: `(N, M, h, w)` logits and `(N, 1, h, w)` coverage in 0-1 → `(N, M)`.

    Soft Dice (Milletari et al. 2016, arXiv:1606.04797) plus cross entropy, the latter divided by
    the object's own size (at least 60 cells), so that small objects weigh as much as large ones.
    """
    wanted = target.expand_as(logits)
    dice = dice_loss()(logits, wanted).flatten(1)  # (N, M)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum((2, 3))
    size = (2.0 * target.sum((2, 3))).clamp(min=60.0)  # (N, 1)
    return dice + ENTROPY_SHARE * entropy / size


@torch.no_grad()
def overlap(logits: Tensor, target: Tensor) -> Tensor:
    """Actual IoU of thresholded masks at the logits' grid: `(N, M)`."""
    found, wanted = logits > 0, (target > 0.5).expand_as(logits)
    both = (found & wanted).sum((2, 3)).float()
    either = (found | wanted).sum((2, 3)).float()
    return (both + 1e-3) / (either + 1e-3)


def prompt_loss(
    logits: Tensor, quality: Tensor, target: Tensor, single: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Loss of N prompts.

    `logits` `(N, 4, h, w)`, `quality` `(N, 4)`, `target` `(N, 1, h, w)`, `single` `(N,)` bool.
    Mask 0 learns every prompt; where a single point is all there is, the best of masks 1 to 3
    learns too (Kirillov et al. 2023). Also returns figures for the log.
    """
    first = mask_loss(logits[:, :1], target)  # (N, 1)
    iou = overlap(logits[:, :1], target)
    error = (quality[:, :1] - iou).square()
    total = first.mean() + error.mean()
    figures = {
        "mask": float(first.detach().mean()),
        "iou": float(iou.mean()),
        "quality": float(error.detach().mean()),
    }
    if bool(single.any()):
        others, wanted = logits[single, 1:], target[single]
        losses = mask_loss(others, wanted)  # (n, 3)
        share = single.float().mean()
        best = losses.min(dim=1).values
        errors = (quality[single, 1:] - overlap(others, wanted)).square()
        total = total + share * (best.mean() + 0.05 * losses.mean() + errors.mean())
    return total, figures


def region_loss(logits: Tensor, quality: Tensor, target: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss of N region masks: `logits` and `target` `(N, 1, g, g)`, `quality` `(N, 1)`."""
    mask = mask_loss(logits, target).mean()
    iou = overlap(logits, target)
    error = (quality - iou).square().mean()
    return mask + error, {
        "region": float(mask.detach()),
        "iou_region": float(iou.mean()),
        "quality_region": float(error.detach()),
    }
