"""Encode a picture once, predict masks for prompts in its own pixels. The torch reference road.

Mirrors the ``set_image`` / ``predict`` split of segment-anything's predictor, for every system of
the registry by its rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .model import Features, PromptableModel
from .model_record import ModelRecord
from .preprocess import Prepared, box_to_frame, content_size, prepare, to_frame
from .sam.layers import upscale


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers to one prompt."""

    masks: NDArray[np.float32]
    """Logits over the picture, ``(M, rows, columns)``; a mask is where they are positive."""
    quality: NDArray[np.float32]
    """Predicted quality, ``(M,)``; the IoU with the true mask as the model sees it."""
    low_res: NDArray[np.float32]
    """Logits of the decoder, ``(M, h, w)``."""


class Predictor:
    """Holds one model and the features of one picture."""

    def __init__(self, model: PromptableModel, record: ModelRecord) -> None:
        self.model, self.record = model.eval(), record
        self.prepared: Prepared | None = None
        self.features: Features = {}

    @torch.no_grad()
    def set_image(self, picture: NDArray[np.uint8]) -> None:
        """``(rows, columns, 3)`` uint8 RGB."""
        rules = self.record
        self.prepared = prepare(picture, rules.encode_size, rules.resize, rules.normalise)
        self.features = self.model.encode(torch.from_numpy(self.prepared.pixels)[None])

    @torch.no_grad()
    def predict(
        self,
        points: NDArray[np.generic] | None = None,
        labels: NDArray[np.generic] | None = None,
        box: NDArray[np.generic] | None = None,
        mask: NDArray[np.float32] | None = None,
        multimask: bool = True,
    ) -> Prediction:
        """One prompt: ``points`` (N, 2) x, y and ``labels`` (N,), ``box`` x0 y0 x1 y1, in pixels.

        ``mask`` is a previous ``low_res`` (1, h, w). Raises ValueError before ``set_image``.
        """
        if self.prepared is None:
            raise ValueError("no picture yet: call set_image first")
        original, rules = self.prepared.original, self.record
        xy = corners = None
        if points is not None:
            framed = to_frame(points, original, rules.frame, rules.resize)
            xy = torch.from_numpy(framed)[None]
        if box is not None:
            framed = box_to_frame(box, original, rules.frame, rules.resize)
            corners = torch.from_numpy(np.asarray(framed, np.float32))[None]
        kinds = None if labels is None else torch.from_numpy(np.asarray(labels))[None]
        previous = None if mask is None else torch.from_numpy(mask)[None]
        sparse, dense = self.model.prompts(xy, kinds, corners, previous)
        masks, quality = self.model.decode(self.features, sparse, dense)
        masks, quality = self.model.select(masks, quality, multimask)
        full = self.to_picture(masks)
        if rules.output.clamp:
            masks = masks.clamp(-rules.output.clamp, rules.output.clamp)
        return Prediction(full[0].numpy(), quality[0].numpy(), masks[0].numpy())

    def to_picture(self, masks: Tensor) -> Tensor:
        """Low-resolution logits ``(B, M, h, w)`` → ``(B, M, rows, columns)``."""
        assert self.prepared is not None
        rules, original = self.record, self.prepared.original
        if rules.output.crop == "low-res":
            size = masks.shape[-1]
            rows, cols = (int(size * side / max(original)) for side in original)
            masks = masks[..., :rows, :cols]
        if rules.output.via_frame:
            side = rules.frame.size
            rows, cols = content_size(original, side, rules.resize)
            masks = upscale(masks, (side, side))[..., :rows, :cols]
        return upscale(masks, original, rules.output.kernel)
