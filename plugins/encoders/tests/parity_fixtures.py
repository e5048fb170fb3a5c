"""Compare a model with the recorded numbers of its upstream implementation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import deterministic
import numpy as np
import torch

from samovar_encoders import resampling
from samovar_encoders.model import EMBEDDING, PromptableModel
from samovar_encoders.predictor import Predictor
from samovar_encoders.registry import ModelRecord

PASS = {"input": 1e-6, "emb": 2e-5, "low_res": 2e-5, "iou": 5e-6, "mask": 2e-5, "area": 0.002}
"""Largest difference that counts as the same arithmetic (areas: relative)."""
FUSED = {**PASS, "emb": 1e-4, "low_res": 1e-4, "mask": 1e-4, "iou": 2.5e-5}
"""The same with another attention kernel."""
FAIL = {"input": 1e-6, "emb": 3e-4, "low_res": 3e-4, "iou": 7.5e-5, "mask": 3e-4, "area": 0.002}
"""Beyond this something is wrong; in between it deserves a look."""


@dataclass
class Comparison:
    """Largest differences by kind, in units of the recorded standard deviation where above 1."""

    differences: dict[str, float] = field(default_factory=dict)

    def add(self, kind: str, ours: np.ndarray, theirs: np.ndarray, scale: float = 1.0) -> None:
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        assert ours.shape == theirs.shape, (kind, ours.shape, theirs.shape)
        worst = float(np.abs(ours - theirs).max()) / max(scale, 1.0)
        self.differences[kind] = max(worst, self.differences.get(kind, 0.0))

    @property
    def verdict(self) -> str:
        """``pass``, ``look into it`` or ``fail``."""
        if any(not value <= FAIL[kind] for kind, value in self.differences.items()):
            return "fail"
        if any(value > FUSED[kind] for kind, value in self.differences.items()):
            return "look into it"
        return "pass"

    def __str__(self) -> str:
        numbers = ", ".join(f"{k} {v:.1e}" for k, v in self.differences.items())
        return f"{self.verdict}: {numbers}"


def layout(record: ModelRecord, folder: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of upstream's state dict, less those that the record leaves out."""
    entries = json.loads((folder / "layout.json").read_text())
    keys = entries.get("module_keys") or entries["keys"]
    left_out = record.optional_keys or ("\0",)
    return {key: tuple(shape) for key, shape, *_ in keys if not key.startswith(left_out)}


def squeeze(array: np.ndarray) -> np.ndarray:
    """Drop leading axes of size 1 while there are more than three."""
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    return array


def sampled(array: np.ndarray, shape: tuple[int, ...], theirs: np.ndarray) -> np.ndarray:
    """Sub-sample the last two axes as the fixture was, whatever its step."""
    array = squeeze(array)
    assert array.shape == tuple(shape), (array.shape, shape)
    rows, cols = (
        -(-full // part) for full, part in zip(shape[-2:], theirs.shape[-2:], strict=True)
    )
    return array[..., ::rows, ::cols]


def strided(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every n-th element along each axis, n as the shapes demand."""
    steps = (-(-full // part) for full, part in zip(array.shape, shape, strict=True))
    return array[tuple(slice(None, None, step) for step in steps)]


def compare_features(fixture: np.lib.npyio.NpzFile, predictor: Predictor, out: Comparison) -> None:
    pixels = predictor.prepared.pixels
    step = max(1, pixels.shape[-1] // 32)
    out.add("input", pixels[:, ::step, ::step], fixture["input_sub"])
    mean, std, _ = fixture["input_stats"]
    out.add("input", np.array([pixels.mean(dtype="f8"), pixels.std(dtype="f8")]), [mean, std])
    embedding = predictor.features[EMBEDDING].numpy()
    assert embedding.shape == tuple(fixture["emb_shape"])
    step = embedding.shape[-1] // fixture["emb_sub"].shape[-1]
    ours = embedding[0, ::8, ::step, ::step]
    out.add("emb", ours, fixture["emb_sub"], fixture["emb_stats"][1])
    mean, std, _ = fixture["emb_stats"]
    out.add("emb", np.array([embedding.mean(dtype="f8"), embedding.std(dtype="f8")]), [mean, std])


def compare_answer(
    fixture, tag: str, suffix: str, masks, quality, low_res, out: Comparison
) -> None:
    """``tag`` is the prompt (``p1``), ``suffix`` the kind of answer (``3``, ``1``, ``best``)."""
    for kind, ours in (("low_res", low_res), ("mask", masks)):
        name = f"{tag}_{kind}{suffix}"
        if name not in fixture.files:
            continue
        theirs, ours = fixture[name], squeeze(np.asarray(ours))
        if kind == "mask" and set(np.unique(theirs)) <= {0.0, 1.0}:  # thresholded upstream
            ours = (ours > 0).astype(np.float32)
        stats = fixture[f"{name}_stats"]
        out.add(kind, sampled(ours, fixture[f"{name}_shape"], theirs), theirs, stats[1])
        if f"{name}_area" in fixture.files:
            area = (ours > 0).sum(axis=(-2, -1))
            theirs_area = fixture[f"{name}_area"]
            out.add("area", area / np.maximum(theirs_area, 1), np.ones(len(theirs_area)))
    if f"{tag}_iou{suffix}" in fixture.files:
        out.add("iou", quality, fixture[f"{tag}_iou{suffix}"])


SUFFIXES = ("3", "1", "4", "_best", "_hq3", "_hq1", "_hqonly1")
"""Kinds of answers in the fixtures: three, one, all four, the best one, HQ-SAM's."""


def answer_for(predictor: Predictor, suffix: str, prompt: dict) -> tuple[np.ndarray, ...]:
    """Masks, qualities and low-resolution logits for one kind of answer."""
    predictor.model.hq_only = suffix == "_hqonly1"
    answer = predictor.predict(**prompt, multimask=suffix in ("3", "_best", "_hq3"))
    masks, quality, low_res = answer.masks, answer.quality, answer.low_res
    if suffix == "_best":
        best = slice(int(quality.argmax()), int(quality.argmax()) + 1)
        masks, quality, low_res = masks[best], quality[best], low_res[best]
    return masks, quality, low_res


def fixture_picture(fixture: np.lib.npyio.NpzFile, record: ModelRecord) -> np.ndarray:
    """The recorded picture; resized where upstream's answers are not over the picture itself."""
    height, width = (int(v) for v in fixture["image_hw"])
    picture = deterministic.picture(int(fixture["image_seed"]), height, width)
    if record.name == "esp-medsam":
        return resampling.opencv_linear(picture, (1024, 1024))
    if record.name != "samed":
        return picture
    green = resampling.pillow_bilinear(picture[..., 1], (512, 512))
    return np.repeat(green[..., None], 3, axis=2)


def compare(record: ModelRecord, model: PromptableModel, folder: Path) -> Comparison:
    """Run the fixture's picture and prompts through ``model``."""
    fixture, out = np.load(folder / "fixtures_seed0.npz"), Comparison()
    if record.dimensions == 3:
        return compare_volume(fixture, model, out)
    predictor = Predictor(model, record)
    predictor.set_image(fixture_picture(fixture, record))
    compare_features(fixture, predictor, out)
    for kind, key in (("hr0", "high_res_0"), ("hr1", "high_res_1")):
        if f"{kind}_sub" in fixture.files:
            theirs = fixture[f"{kind}_sub"]
            ours = strided(predictor.features[key].numpy()[0], theirs.shape)
            out.add("emb", ours, theirs, fixture[f"{kind}_stats"][1])
    for tag in ("p1", "p2", "p3"):
        if f"{tag}_points" not in fixture.files and f"{tag}_box" not in fixture.files:
            continue
        prompt = {
            "points": fixture[f"{tag}_points"] if f"{tag}_points" in fixture.files else None,
            "labels": fixture[f"{tag}_labels"] if f"{tag}_labels" in fixture.files else None,
            "box": fixture[f"{tag}_box"] if f"{tag}_box" in fixture.files else None,
        }
        for suffix in SUFFIXES:
            if f"{tag}_low_res{suffix}" in fixture.files:
                answer = answer_for(predictor, suffix, prompt)
                compare_answer(fixture, tag, suffix, *answer, out)
    if "auto_low_res9" in fixture.files:
        answer = predictor.predict()
        compare_answer(fixture, "auto", "9", answer.masks, answer.quality, answer.low_res, out)
    for domain in (0, 3, 5):
        if f"auto_low_res_domain{domain}" in fixture.files:
            answer = predictor.predict()
            one = slice(domain, domain + 1)
            arrays = answer.masks[one], answer.quality[one], answer.low_res[one]
            compare_answer(fixture, "auto", f"_domain{domain}", *arrays, out)
    assert "low_res" in out.differences, "the fixture held no answer that was compared"
    return out


@torch.no_grad()
def compare_volume(fixture, model: PromptableModel, out: Comparison) -> Comparison:
    """The 3-D models: points with an empty mask, with their own answer as mask, and with none."""
    from samovar_encoders.sam_med3d import normalise_volume

    volume = torch.from_numpy(deterministic.volume(int(fixture["image_seed"])))
    pixels = normalise_volume(volume)[None, None]
    out.add("input", pixels[0, 0, ::8, ::4, ::4].numpy(), fixture["input_sub"])
    features = model.encode(pixels)
    out.add("emb", features[EMBEDDING][0, ::8, ::2, ::2, ::2].numpy(), fixture["emb_sub"])
    for tag in ("p1", "p2"):
        points = torch.from_numpy(fixture[f"{tag}_points"]).float()[None]
        labels = torch.from_numpy(fixture[f"{tag}_labels"])[None]

        def answer(mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
            return model.decode(features, *model.prompt_encoder(points, labels, mask))  # noqa: B023

        first = answer(torch.zeros(1, 1, 32, 32, 32))
        answers = {"1": first, "1_iter2": answer(first[0][:, :1]), "1_nomask": answer(None)}
        for name, (masks, quality) in {"3": first, **answers}.items():
            several = name == "3"
            ours = masks[0, 1:, ::4, ::4, ::4] if several else masks[0, 0, :, ::4, ::4]
            theirs = fixture[f"{tag}_low_res{name}"]
            out.add("low_res", ours.numpy(), theirs, fixture[f"{tag}_low_res{name}_stats"][1])
            ours = quality[0, 1:] if several else quality[0, :1]
            out.add("iou", ours.numpy(), fixture[f"{tag}_iou{name}"])
    return out
