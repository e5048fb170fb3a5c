"""The graphs of models that a segmenter runs: encoder, and all that follows it in one.

SAM-Med3D and FastSAM3D: ``encoder``: ``image`` (1, 1, 128, 128, 128) → ``image_embeddings``
(1, 384, 8, 8, 8). ``decoder``: embedding, ``point_coords`` (N, P, 3) in cells of the cube and its
axis order, ``point_labels`` (N, P), ``mask_input`` (N, 1, 32, 32, 32) logits, zeros for none →
all masks ``low_res_masks`` (N, 4, 32, 32, 32), ``iou_predictions`` (N, 4), the single answer first.

SAMed: ``encoder``: ``image`` (1, 3, 512, 512) → ``image_embeddings`` (1, 256, 32, 32).
``decoder``: embedding → ``low_res_masks`` (1, 9, 128, 128), one a class, ``iou_predictions``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .model import EMBEDDING, PromptableModel
from .model_record import ModelRecord

SEGMENTER_ROLES = ("encoder", "decoder")


def decoder_inputs(record: ModelRecord) -> list[str]:
    """Names of what the decoder takes."""
    asked = ["point_coords", "point_labels", "mask_input"] if record.frame.kinds else []
    return [EMBEDDING, *asked]


class VolumeDecoderRole(nn.Module):
    """Clicks and a mask → masks, for one embedding and any number of prompts."""

    def __init__(self, model: PromptableModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        sparse, dense = self.model.prompt_encoder(coords, labels, mask)
        return self.model.decode({EMBEDDING: embedding}, sparse, dense)


class ClassDecoderRole(nn.Module):
    """The mask of every class, asked for by nothing."""

    def __init__(self, model: PromptableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.decode({EMBEDDING: embedding}, *self.model.prompts())


def segmenter_samples(
    record: ModelRecord, role: str, prompts: int, points: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Random inputs of one graph: every second prompt with an empty mask."""
    size, grid = record.encode_size, record.grid
    if record.dimensions == 2:
        shape = (3, size, size) if role == "encoder" else (256, grid, grid)
        return (torch.randn(1, *shape, generator=generator),)
    if role == "encoder":
        return (torch.randn(1, 1, size, size, size, generator=generator),)
    embedding = torch.randn(1, 384, grid, grid, grid, generator=generator)
    coords = torch.randint(0, size, (prompts, points, 3), generator=generator).float()
    labels = torch.randint(0, 2, (prompts, points), generator=generator)
    mask = torch.randn(prompts, 1, *(4 * grid,) * 3, generator=generator) * 4
    mask[::2] = 0
    return embedding, coords, labels, mask
