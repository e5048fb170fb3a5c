"""The graphs of the 3-D models: encoder, and prompt encoder and mask decoder in one.

``encoder``: ``image`` (1, 1, 128, 128, 128) → ``image_embeddings`` (1, 384, 8, 8, 8).
``decoder``: embedding, ``point_coords`` (N, P, 3) in cells of the cube and its axis order,
``point_labels`` (N, P), ``mask_input`` (N, 1, 32, 32, 32) logits, zeros for none → all masks
``low_res_masks`` (N, 4, 32, 32, 32) and ``iou_predictions`` (N, 4), the single answer first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .model import EMBEDDING, PromptableModel
from .model_record import ModelRecord

VOLUME_ROLES = ("encoder", "decoder")
DECODER_INPUTS = (EMBEDDING, "point_coords", "point_labels", "mask_input")


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


def volume_samples(
    record: ModelRecord, role: str, prompts: int, points: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Random inputs of one graph: every second prompt with an empty mask."""
    size, grid = record.encode_size, record.grid
    if role == "encoder":
        return (torch.randn(1, 1, size, size, size, generator=generator),)
    embedding = torch.randn(1, 384, grid, grid, grid, generator=generator)
    coords = torch.randint(0, size, (prompts, points, 3), generator=generator).float()
    labels = torch.randint(0, 2, (prompts, points), generator=generator)
    mask = torch.randn(prompts, 1, *(4 * grid,) * 3, generator=generator) * 4
    mask[::2] = 0
    return embedding, coords, labels, mask
