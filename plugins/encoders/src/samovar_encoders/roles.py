"""The graphs of a bundle as torch modules: encoder, prompt encoder, mask decoder, region decoder.

Inputs and outputs are what the host feeds: labelled points (a box is its two corners, a padding
point stands where there is no box), a mask with a flag, one embedding for all prompts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import EMBEDDING, Features, PromptableModel
from .model_record import ModelRecord
from .sam.mask_decoder import NULL_TOKEN
from .sam.prompt_encoder import BOX_TOP_LEFT, PAD
from .segmenter_roles import (
    SEGMENTER_ROLES,
    ClassDecoderRole,
    VolumeDecoderRole,
    decoder_inputs,
    segmenter_samples,
)

ROLES = ("encoder", "prompt_encoder", "mask_decoder", "decoder_roi")


ANSWERS = ["low_res_masks", "iou_predictions"]


def roles_of(record: ModelRecord) -> tuple[str, ...]:
    """The graphs of a model; one that can be no bundle has its encoder alone."""
    if record.can_be_bundle:
        return ROLES
    return SEGMENTER_ROLES if record.segmenter else ROLES[:1]


class EncoderRole(nn.Module):
    """``image`` (B, 3, S, S) → ``image_embeddings`` and the taps."""

    def __init__(self, model: PromptableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode(image)
        return tuple(features[name] for name in (EMBEDDING, *self.model.taps))


class PromptRole(nn.Module):
    """Labelled points and a mask → ``sparse_embeddings`` (N, P', C), ``dense_embeddings``."""

    def __init__(self, model: PromptableModel, record: ModelRecord) -> None:
        super().__init__()
        self.model, self.rule = model, record.frame

    def sparse(self, coords: Tensor, labels: Tensor) -> Tensor:
        encoder = self.model.prompt_encoder
        if self.rule.whole_boxes:
            corner = (labels >= BOX_TOP_LEFT)[..., None]
            coords = torch.where(corner, coords.floor(), coords)
        if self.rule.padding == "six":
            coords = torch.where((labels == PAD)[..., None], -1.0, coords)
            coords = F.pad(coords, (0, 0, 0, 6), value=-1.0)[:, :6]
            labels = F.pad(labels, (0, 6), value=PAD)[:, :6]
            return encoder.sparse(coords, labels)
        if self.rule.padding == "always":  # the host pads only where there is no box
            coords = F.pad(coords, (0, 0, 0, 1))
            labels = F.pad(labels, (0, 1), value=PAD)
        sparse = encoder.sparse(coords, labels)
        if self.rule.padding == "no-box":
            return sparse
        nobody = labels == PAD
        if self.rule.padding == "always":  # the first padding point is meant, a second is not
            first = torch.cat([torch.zeros_like(nobody[:, :1]), nobody[:, :-1]], dim=1)
            nobody = nobody & first
        return torch.where(nobody[..., None], NULL_TOKEN, sparse)

    def forward(
        self,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor | None = None,
        has_mask_input: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        sparse = self.sparse(point_coords, point_labels)
        encoder = self.model.prompt_encoder
        batch = point_coords.shape[0]
        if mask_input is None or has_mask_input is None:
            dense = encoder.no_mask(1).expand(batch, -1, -1, -1)
            return sparse, dense + torch.zeros_like(sparse[:, :1, :1, None])
        given = has_mask_input[:, :, None, None] > 0.5  # (N, 1, 1, 1)
        return sparse, torch.where(given, encoder.dense(mask_input), encoder.no_mask(1))


class DecoderRole(nn.Module):
    """Embedding, taps, sparse and dense → ``low_res_masks`` (N, M, h, w), ``iou_predictions``.

    The first mask is the one that upstream gives without ``multimask_output``.
    """

    def __init__(self, model: PromptableModel, record: ModelRecord) -> None:
        super().__init__()
        self.model = model
        self.null_tokens = record.frame.padding in ("always", "never")

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor]:
        *features, sparse, dense = arrays
        names = (EMBEDDING, *self.model.taps)
        return self.answer(dict(zip(names, features, strict=True)), sparse, dense)

    def answer(
        self, features: Features, sparse: Tensor, dense: Tensor, image_pe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As ``PromptableModel.decode``, with this model's rule for padding."""
        self.model.mask_decoder.null_tokens = self.null_tokens
        masks, quality = self.model.decode(features, sparse, dense, image_pe)
        self.model.mask_decoder.null_tokens = False
        return self.model.single_first(masks, quality)


class RegionRole(nn.Module):
    """The decoder over a square of encoder cells around each prompt's box.

    Only those cells and the tokens attend to each other; positions are those in the whole picture.
    ``windows`` (N, 4) lie on the cells, edges in the prompt frame. Masks, given and answered, cover
    the windows at four times the cells.
    """

    def __init__(self, model: PromptableModel, record: ModelRecord) -> None:
        super().__init__()
        self.model, self.record = model, record
        self.prompts = [PromptRole(model, record)]  # in a list: its weights are the model's
        self.decoder = [DecoderRole(model, record)]

    def crop(self, array: Tensor, starts: Tensor) -> Tensor:
        """``(1, C, h, w)`` at any multiple of the grid → ``(N, C, t, t)``; starts (N, 2) x, y."""
        _, channels, height, width = array.shape
        times = height // self.record.grid
        steps = torch.arange(times * self.record.region_tokens)
        rows = times * starts[:, 1:] + steps  # (N, t)
        columns = times * starts[:, :1] + steps
        places = rows[:, :, None] * width + columns[:, None, :]  # (N, t, t)
        flat = array.reshape(channels, height * width)
        return flat[:, places].permute(1, 0, 2, 3)

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor]:
        names = (EMBEDDING, *self.model.taps)
        features, (windows, coords, labels, *mask) = arrays[: len(names)], arrays[len(names) :]
        starts = torch.round(windows[:, :2] / self.record.stride).to(torch.int64)
        cut = {n: self.crop(a, starts) for n, a in zip(names, features, strict=True)}
        encoder, side = self.model.prompt_encoder, self.record.region_tokens
        sparse = self.prompts[0].sparse(coords, labels)
        dense = encoder.no_mask(1)[:, :, :side, :side]  # the same everywhere
        if mask:
            given = mask[1][:, :, None, None] > 0.5  # (N, 1, 1, 1)
            dense = torch.where(given, encoder.dense(mask[0]), dense)
        return self.decoder[0].answer(cut, sparse, dense, self.crop(encoder.image_pe(), starts))


def role_module(model: PromptableModel, record: ModelRecord, role: str) -> nn.Module:
    """The torch module of one graph."""
    if role == "encoder":
        return EncoderRole(model).eval()
    if role == "prompt_encoder":
        return PromptRole(model, record).eval()
    if role == "decoder_roi":
        return RegionRole(model, record).eval()
    if role == "decoder":
        return (VolumeDecoderRole if record.frame.kinds else ClassDecoderRole)(model).eval()
    return DecoderRole(model, record).eval()


def names_of(model: PromptableModel, record: ModelRecord, role: str) -> tuple[list[str], list[str]]:
    """Names of a graph's inputs and outputs."""
    features = [EMBEDDING, *model.taps]
    if role == "encoder":
        return ["image"], features
    embeddings = ["sparse_embeddings", "dense_embeddings"]
    if role == "prompt_encoder":
        return _asked(record), embeddings
    if role == "decoder_roi":
        return [*features, "windows", *_asked(record)], ANSWERS
    if role == "decoder":
        return decoder_inputs(record), ANSWERS
    return [*features, *embeddings], ANSWERS


def _asked(record: ModelRecord) -> list[str]:
    masks = ["mask_input", "has_mask_input"] if "mask" in record.frame.kinds else []
    return ["point_coords", "point_labels", *masks]


def sample_inputs(
    model: PromptableModel, record: ModelRecord, role: str, prompts: int, points: int, seed: int = 0
) -> tuple[Tensor, ...]:
    """Random inputs of one graph: boxes and points, every second prompt with a mask."""
    g = torch.Generator().manual_seed(seed)
    if record.segmenter:
        return segmenter_samples(record, role, prompts, points, g)
    size, grid, frame = record.encode_size, record.grid, record.frame.size
    if role == "encoder":
        return (torch.randn(1, 3, size, size, generator=g),)
    coords = torch.rand(prompts, points, 2, generator=g) * frame
    labels = torch.randint(0, 2, (prompts, points), generator=g)
    labels[::2, -2:] = torch.tensor([2, 3])  # half of them boxes
    labels[1::2, -1] = PAD  # the others closed by a padding point
    side = 4 * (record.region_tokens if role == "decoder_roi" else grid)
    mask = torch.randn(prompts, 1, side, side, generator=g) * 4
    given = (torch.arange(prompts) % 2).float()[:, None]
    asked = (coords, labels, mask, given)[: len(_asked(record))]
    if role == "prompt_encoder":
        return asked
    shapes = model.feature_shapes(grid)
    features = tuple(torch.randn(1, *shape, generator=g) for shape in shapes.values())
    if role == "decoder_roi":
        free = grid - record.region_tokens
        starts = torch.randint(0, free + 1, (prompts, 2), generator=g)
        windows = torch.cat([starts, starts + record.region_tokens], dim=1).float() * record.stride
        return (*features, windows, *asked)
    with torch.no_grad():
        embeddings = PromptRole(model, record)(*asked)
    return (*features, *embeddings)
