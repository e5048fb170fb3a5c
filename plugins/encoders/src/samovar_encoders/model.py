"""A promptable model: image encoder, prompt encoder and mask decoder under upstream's names."""

from __future__ import annotations

from torch import Tensor, nn

from .sam.mask_decoder import MaskDecoder
from .sam.prompt_encoder import PromptEncoder

EMBEDDING = "image_embeddings"
"""Name of the array that every encoder returns; other names are taps."""

Features = dict[str, Tensor]


class PromptableModel(nn.Module):
    """Encode a picture once, then decode any number of prompts.

    Subclasses override the three steps; their names and arrays are what is exported:
    ``encode`` is the role ``encoder``, ``prompts`` is ``prompt_encoder``, ``decode`` is
    ``mask_decoder``.
    """

    taps: tuple[str, ...] = ()
    """Names of further arrays that ``encode`` returns and ``decode`` needs."""

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def encode(self, pictures: Tensor) -> Features:
        """``(B, 3, S, S)`` normalised → ``image_embeddings`` (B, 256, h, w) and the taps."""
        return {EMBEDDING: self.image_encoder(pictures)}

    def prompts(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Prompts in the prompt frame → sparse (B, N, 256) and dense (B, 256, h, w)."""
        return self.prompt_encoder(points, labels, boxes, masks)

    def decode(
        self, features: Features, sparse: Tensor, dense: Tensor, image_pe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """All mask logits (B, M, 4h, 4w) and qualities (B, M), single-mask answer first.

        ``image_pe`` (1 or B, 256, h, w) are the positions of the embedding's cells, where it is not
        that of a whole picture.
        """
        if image_pe is None:
            image_pe = self.prompt_encoder.image_pe()
        return self.mask_decoder(features[EMBEDDING], image_pe, sparse, dense)

    def select(self, masks: Tensor, quality: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """The ambiguous answers (masks 1…) or the single one (mask 0)."""
        keep = slice(1, None) if multimask else slice(0, 1)
        return masks[:, keep], quality[:, keep]

    def single_first(self, masks: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """All masks, the answer to an unambiguous prompt in the first place."""
        return masks, quality

    def feature_shapes(self, grid: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays that ``encode`` returns, without the batch."""
        return {EMBEDDING: (256, grid, grid)}

    def forward(self, pictures: Tensor) -> Features:
        return self.encode(pictures)


def sam_model(image_encoder: nn.Module, grid: int = 64, frame: int = 1024) -> PromptableModel:
    """Segment Anything with any image encoder of a ``grid`` × ``grid`` × 256 embedding."""
    prompt_encoder = PromptEncoder(grid=(grid, grid), frame=(frame, frame))
    return PromptableModel(image_encoder, prompt_encoder, MaskDecoder())
