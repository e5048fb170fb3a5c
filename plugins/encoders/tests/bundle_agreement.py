"""A bundle through the host beside the torch module that it came from, on a fixture's prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_fixtures import fixture_picture

from samovar.decoding import SamDecoder
from samovar.embedding import Embedding
from samovar.faces import RegionFace, TwoFaces
from samovar.masks import PixelMask, WindowLogits
from samovar.models import Model
from samovar.prompts import Prompt, Prompts
from samovar.protocols import RuntimeInfo
from samovar_encoders.architectures import SamArchitecture
from samovar_encoders.predictor import Predictor
from samovar_encoders.registry import ModelRecord

FALLBACK = "mobile_sam"
"""Folder whose picture and prompts stand in for a model that has no fixture of its own."""


class TorchGraph:
    """A role's torch module where the host expects a graph."""

    info = RuntimeInfo("torch", torch.__version__, "cpu", "fp32", 1, "unknown")

    def __init__(self, architecture: SamArchitecture, role: str) -> None:
        names, outputs = architecture.names(role)
        self.module = architecture.role(role)
        ranks = [a.ndim for a in architecture.samples(role, 1, 2)]
        self.inputs = {n: (None,) * k for n, k in zip(names, ranks, strict=True)}
        self.outputs = dict.fromkeys(outputs, ())

    @torch.no_grad()
    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        arrays = [torch.from_numpy(np.array(feeds[name])) for name in self.inputs]
        made = dict(zip(self.outputs, self.module(*arrays), strict=True))
        return {name: made[name].numpy() for name in (outputs or made)}


def torch_decoder(model: Model, architecture: SamArchitecture) -> SamDecoder:
    """The host's decoder over torch in place of the graphs."""
    graphs = {role: TorchGraph(architecture, role) for role in architecture.roles[1:]}
    faces = TwoFaces(graphs["prompt_encoder"], graphs["mask_decoder"], model.bundle.taps)
    region = RegionFace(graphs["decoder_roi"], model.bundle.taps)
    return SamDecoder(model.bundle, faces, region if model.decoder.roi else None)


def fixture_prompts(folder: Path, record: ModelRecord) -> tuple[np.ndarray, list[Prompt]]:
    """The picture, and those of its prompts that the model takes."""
    fixture = np.load(folder / "fixtures_seed0.npz")
    prompts = []
    for number, tag in enumerate(("p1", "p2", "p3"), 1):
        box = points = labels = None
        if f"{tag}_box" in fixture.files:
            box = tuple(float(v) for v in fixture[f"{tag}_box"].ravel())
        if f"{tag}_points" in fixture.files:
            points = tuple(tuple(float(v) for v in p) for p in fixture[f"{tag}_points"])
            labels = tuple(int(v) for v in fixture[f"{tag}_labels"])
            if set(labels) - {0, 1}:  # EfficientSAM's own way to say a box
                box, points, labels = (*points[0], *points[1]), None, None
        prompt = Prompt(number, box=box, points=points or (), labels=labels or ())
        if not prompt.empty and prompt.kinds <= set(record.frame.kinds):
            prompts.append(prompt)
    return fixture_picture(fixture, record), prompts


def iou(a: PixelMask | np.ndarray, b: PixelMask | np.ndarray, shape: tuple[int, int]) -> float:
    first, second = (_full(m, shape) for m in (a, b))
    either = np.count_nonzero(first | second)
    return 1.0 if either == 0 else np.count_nonzero(first & second) / either


def _full(mask: PixelMask | np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if isinstance(mask, np.ndarray):
        return mask
    out = np.zeros(shape, dtype=bool)
    out[mask.region.slices] = mask.inside
    return out


def upstream_mask(predictor: Predictor, model: Model, prompt: Prompt) -> np.ndarray:
    """The mask of upstream's road from picture to picture, chosen by the bundle's rule."""
    answer = predictor.predict(
        points=np.array(prompt.points) if prompt.points else None,
        labels=np.array(prompt.labels) if prompt.points else None,
        box=np.array(prompt.box) if prompt.box else None,
        multimask=model.bundle.mask_selection.rule(prompt) not in ("first", "single"),
    )
    best = int(answer.quality.argmax())
    return answer.masks[best] > 0


def agreement(
    model: Model, architecture: SamArchitecture, picture: np.ndarray, prompts: list[Prompt]
) -> dict[str, list[float]]:
    """IoU of each prompt's mask: graphs beside torch, and beside upstream's own road."""
    shape = picture.shape[:2]
    [embedding] = model.encode([picture.transpose(2, 0, 1).astype(np.float32)])
    predictor = Predictor(architecture.module, architecture.record)
    predictor.set_image(picture)
    features = {n: a.numpy() for n, a in predictor.features.items()}
    theirs = Embedding(features, embedding.fit, "torch")
    asked = Prompts(tuple(prompts))
    ours = model.decoder.decode(embedding, asked)
    same = torch_decoder(model, architecture).decode(theirs, asked)
    return {
        "torch": [iou(a, b, shape) for a, b in zip(ours.masks, same.masks, strict=True)],
        "upstream": [
            iou(mask, upstream_mask(predictor, model, prompt), shape)
            for mask, prompt in zip(ours.masks, prompts, strict=True)
        ],
        "area": [float(_full(m, shape).mean()) for m in ours.masks],
    }


def region_agreement(
    full: Model, region: Model, picture: np.ndarray, sizes: tuple[int, ...] = (24, 50, 90)
) -> list[float]:
    """IoU of masks decoded over windows and in full, for boxes of some sizes in some places."""
    rows, columns = picture.shape[:2]
    centres = [(columns * x, rows * y) for x in (0.1, 0.45, 0.8) for y in (0.2, 0.7)]
    boxes = [(x - s / 2, y - s / 2, x + s / 2, y + s / 2) for s in sizes for x, y in centres]
    asked = Prompts(tuple(Prompt(i, box=box) for i, box in enumerate(boxes, 1)))
    [embedding] = full.encode([picture.transpose(2, 0, 1).astype(np.float32)])
    ours = region.decoder.decode(embedding, asked)
    assert all(isinstance(row, WindowLogits) for row in ours.low_res), "all were decoded so"
    windows = [row.window for row in ours.low_res]
    theirs = full.decoder.decode(embedding, asked).masks
    shape, found = (rows, columns), []
    for mine, whole, window in zip(ours.masks, theirs, windows, strict=True):
        x0, y0, x1, y1 = (max(0, round(v)) for v in window)
        inside = np.zeros(shape, dtype=bool)
        inside[y0:y1, x0:x1] = True  # a window says nothing of what lies outside
        found.append(iou(_full(mine, shape) & inside, _full(whole, shape) & inside, shape))
    return found
