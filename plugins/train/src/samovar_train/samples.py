"""Sample pictures of a supervised run: what was asked, what was wanted, what was answered."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samovar_train.model.tiny import Tiny, normalise

CELL = 160
"""Rows and columns of each part of a sample picture."""
MOST = 6


@torch.no_grad()
def write_sample(file: Path, model: Tiny, batch: dict[str, Tensor]) -> None:
    """A row for the first prompt of each of the first pictures of a batch.

    From the left: the picture, what the decoder was asked about, the label there, the answer. That
    is the window of the region decoder; without regions it is the picture again.
    """
    still = copy.deepcopy(model).eval()
    pictures = batch["image"][:MOST]
    n, side = len(pictures), pictures.shape[-1]
    taps = still.encoder(normalise(pictures))
    if len(batch["windows"]):
        first = torch.arange(n) * (len(batch["windows"]) // len(batch["image"]))
        names = ("windows", "region_coords", "region_labels", "region_mask", "region_has_mask")
        logits, _ = still.decoder_roi(*taps, *(batch[name][first] for name in names))
        windows, target = batch["windows"][first], batch["region_target"][first]
    else:
        first = torch.arange(n) * (len(batch["target"]) // len(batch["image"]))
        names = ("point_coords", "point_labels", "mask_input", "has_mask_input")
        logits, _ = still.decode(taps, {name: batch[name][first] for name in names})
        windows = torch.tensor([[0.0, 0.0, side, side]]).expand(n, -1)
        target = batch["target"][first]
    rows = []
    for i in range(n):
        picture = Image.fromarray(pictures[i].permute(1, 2, 0).numpy())
        asked = picture.crop([round(float(v)) for v in windows[i]])  # type: ignore[arg-type]
        wanted = target[i].numpy() > 127
        found = logits[i, 0].numpy() > 0
        rows.append(np.concatenate([cell(picture), cell(asked), mask(wanted), mask(found)], 1))
    part = file.with_suffix(".part.png")
    Image.fromarray(np.concatenate(rows, 0)).save(part)
    part.replace(file)


def cell(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.resize((CELL, CELL)))


def mask(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize((CELL, CELL), Image.Resampling.BOX)
    return np.repeat(np.asarray(grey)[..., None], 3, -1)
