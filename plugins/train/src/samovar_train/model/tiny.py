"""`tiny` put together: what is trained, and what is exported in four graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samovar_train.model.choice import Choice
from samovar_train.model.decoder import MaskDecoder
from samovar_train.model.prompt import PromptEncoder
from samovar_train.model.region import RegionDecoder

FRAME = 512
MEAN = (123.675, 116.28, 103.53)  # of 0-255 RGB (ImageNet)
STD = (58.395, 57.12, 57.375)


class Tiny(nn.Module):
    """Encoder, prompt encoder, mask decoder and region decoder; no state between calls.

    `choice` is the encoder's; by default the bundled model's.
    """

    def __init__(self, choice: Choice | None = None) -> None:
        super().__init__()
        self.choice = choice or Choice(frame=FRAME)
        self.encoder = self.choice.build()
        self.prompt_encoder = PromptEncoder(frame=self.choice.frame)
        self.mask_decoder = MaskDecoder(self.prompt_encoder.position)
        self.decoder_roi = RegionDecoder()

    def decode(
        self, taps: tuple[Tensor, Tensor, Tensor], prompts: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Embedding and taps (first axis 1 or N), N prompts → `(N, 4, H/4, W/4)`, quality."""
        sparse, dense = self.prompt_encoder(
            prompts["point_coords"],
            prompts["point_labels"],
            prompts["mask_input"],
            prompts["has_mask_input"],
        )
        return self.mask_decoder(*taps, sparse, dense)


def normalise(image: Tensor) -> Tensor:
    """`(B, 3, H, W)` uint8 or float 0-255 RGB → float32, zero mean and unit deviation."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (image.float() - mean) / std
