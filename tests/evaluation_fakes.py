"""A model without weights and sets without files of others, for the tests of evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samovar.embedding import Embedding, Fit
from samovar.masks import Masks, PixelMask
from samovar.prompts import Prompt, Prompts


class BoxDecoder:
    """Answers the box itself; a square around points; with a mask prompt, all that is bright."""

    prompt_kinds = frozenset({"box", "point", "negative-point", "mask"})

    def __init__(self) -> None:
        self.calls: list[Prompts] = []

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        self.calls.append(prompts)
        picture = embedding.arrays["picture"]
        masks = tuple(PixelMask.of(self._answer(p, picture)) for p in prompts)
        n = len(masks)
        return Masks(
            tuple(p.id for p in prompts),
            masks,
            np.linspace(0.9, 0.5, n, dtype=np.float32),
            np.zeros((n, 4, 4), np.float32),
            np.ones(n, np.float32),
        )

    def _answer(self, prompt: Prompt, picture: NDArray[np.float32]) -> NDArray[np.bool_]:
        bright = picture[0] > 100
        if prompt.mask is not None:
            return bright
        answer = np.zeros(bright.shape, dtype=bool)
        if prompt.box is not None:
            x0, y0, x1, y1 = (round(v) for v in prompt.box)
        else:
            x, y = (round(v) for v in prompt.points[0])
            x0, y0, x1, y1 = max(0, x - 5), max(0, y - 5), x + 6, y + 6
        answer[y0:y1, x0:x1] = True
        return answer


class BoxModel:
    """What evaluation uses of a model."""

    def __init__(self) -> None:
        self.decoder = BoxDecoder()
        self.encoded = 0
        self.closed = False

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]:
        self.encoded += len(pictures)
        return [
            Embedding({"picture": p}, Fit(p.shape[1:], p.shape[1:], p.shape[1:], p.shape[1:]), "f")
            for p in pictures
        ]

    def describe(self) -> dict[str, str]:
        return {"name": "box"}

    def close(self) -> None:
        self.closed = True


def write_set(
    folder: Path,
    labels: Sequence[NDArray[np.integer]],
    classes: dict[str, str] | None = None,
) -> Path:
    """A set of pictures whose labelled pixels are bright; stems 001, 002, …"""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(labels, start=1):
        picture = np.where(array > 0, 200, 30).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{i:03}.png")
        Image.fromarray(array.astype(np.uint8)).save(folder / "masks" / f"{i:03}.png")
    names = classes if classes is not None else {"0": "background", "1": "thing"}
    (folder / "classes.json").write_text(json.dumps(names))
    return folder


def rectangle(shape: tuple[int, int], *windows: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Labels 1 in windows ``y0, x0, y1, x1``."""
    labels = np.zeros(shape, np.uint8)
    for y0, x0, y1, x1 in windows:
        labels[y0:y1, x0:x1] = 1
    return labels
