"""What both models are shown: pictures of a pack, objects in them, and prompts in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from samovar.embedding import Fit
from samovar.resize import Preparation
from samovar_train.data.packing import Item, Pack

SIDE = 64
"""Masks of two models are compared on this many rows and columns over the picture."""


@dataclass(frozen=True, eq=False)
class Example:
    """One picture and N objects in it."""

    key: str
    picture: NDArray[np.uint8]
    truth: Tensor
    """`(N, 1, SIDE, SIDE)` coverage in 0-1, over the picture."""
    boxes: Tensor
    """`(N, 4)` x0, y0, x1, y1 in pixel edges of the picture."""

    @property
    def extent(self) -> Tensor:
        """Columns and rows of the picture."""
        return torch.tensor([self.picture.shape[1], self.picture.shape[0]], dtype=torch.float32)


class Examples:
    """Pictures of a pack in a seeded order: example `i` of a seed is always the same."""

    def __init__(self, pack: Pack, seed: int, objects: int):
        self.pack, self.seed, self.objects = pack, seed, objects

    def __getitem__(self, i: int) -> Example:
        rng = np.random.default_rng([self.seed, 17, i])
        item = self.pack[int(rng.integers(len(self.pack)))]
        order = rng.permutation(len(item.objects))[: self.objects]
        return example(item, [int(o) + 1 for o in order])


def example(item: Item, numbers: list[int]) -> Example:
    """The numbered objects of a pack's picture."""
    labels = torch.from_numpy(np.asarray(item.labels).astype(np.int32))
    masks = torch.stack([(labels == n).float()[None] for n in numbers])
    truth = F.interpolate(masks, (SIDE, SIDE), mode="area")
    bounds = [item.objects[n - 1][2:] for n in numbers]
    boxes = torch.tensor([[x0, y0, x1, y1] for y0, x0, y1, x1 in bounds], dtype=torch.float32)
    return Example(f"{item.source}/{item.stem}", np.asarray(item.image), truth, boxes)


@dataclass(frozen=True, eq=False)
class Asked:
    """Prompts of N objects in pixels of the picture: boxes, or points, or both."""

    boxes: Tensor | None = None
    points: Tensor | None = None
    """`(N, P, 2)`"""
    labels: Tensor | None = None
    """`(N, P)`: 1 positive, 0 negative."""

    def tokens(self, fit: Fit, preparation: Preparation) -> tuple[Tensor, Tensor]:
        """As a model is asked: coords `(N, T, 2)` in its prompt frame, and labels `(N, T)`.

        A box is its two corners (labels 2 and 3). Where there is none a padding token (-1) stands
        behind the points, as the host puts it.
        """
        scale = torch.tensor(fit.scale)
        parts: list[tuple[Tensor, Tensor]] = []
        if self.points is not None and self.labels is not None:
            # a "scaled" model takes the index of a pixel, not its edge
            shift = 0.5 * scale if preparation.prompt_coordinates == "scaled" else 0.0
            parts.append((self.points * scale - shift, self.labels))
        if self.boxes is None:
            n = len(parts[0][0])
            parts.append((torch.zeros(n, 1, 2), torch.full((n, 1), -1.0)))
        else:
            corners = self.boxes.reshape(-1, 2, 2) * scale
            parts.append((corners, torch.tensor([[2.0, 3.0]]).expand(len(corners), 2)))
        return torch.cat([c for c, _ in parts], 1), torch.cat([k for _, k in parts], 1)

    def with_points(self, points: Tensor, labels: Tensor) -> Asked:
        """And one further point an object, `(N, 1, 2)` and `(N, 1)`."""
        if self.points is None or self.labels is None:
            return Asked(self.boxes, points, labels)
        return Asked(
            self.boxes, torch.cat([self.points, points], 1), torch.cat([self.labels, labels], 1)
        )


def over_picture(logits: Tensor, fit: Fit) -> Tensor:
    """Mask logits over a model's square `(N, M, h, w)` → over the picture `(N, M, SIDE, SIDE)`."""
    h, w = logits.shape[-2:]
    rows, columns = (
        content(n, c, e) for n, c, e in zip((h, w), fit.content, fit.encode, strict=True)
    )
    return F.interpolate(
        logits[:, :, :rows, :columns], (SIDE, SIDE), mode="bilinear", align_corners=False
    )


def content(cells: int, content: int, encode: int) -> int:
    """Cells of an axis that the picture covers, at least 1."""
    return max(1, round(cells * content / encode))


def random_points(truth: Tensor, generator: torch.Generator, extent: Tensor) -> Tensor:
    """A point inside each mask `(N, 1, SIDE, SIDE)`: `(N, 1, 2)` x, y in pixels."""
    weight = truth.flatten(1) + 1e-6
    index = torch.multinomial(weight, 1, generator=generator)  # (N, 1)
    cells = torch.stack([index % SIDE, index // SIDE], dim=-1).float() + 0.5
    return cells / SIDE * extent
