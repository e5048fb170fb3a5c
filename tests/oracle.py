"""A model that cannot be wrong: the picture's values are the labels, the answer is read off them.

For tests of everything around a model: geometry, plans, linking, formats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samovar.embedding import Embedding, Fit
from samovar.masks import Masks, PixelMask
from samovar.prompts import Prompt, Prompts


class OracleModel:
    """Objects are the pixels whose (8-bit) value equals that at the prompt's centre or point.

    ``decoded`` and ``encoded`` count what was asked for. A prompt whose centre is background
    takes the most frequent label inside its box.
    """

    weights_hash = "oracle"
    modalities = ("gray",)

    def __init__(self) -> None:
        self.decoder = self
        self.encoded = 0
        self.decoded = 0
        self.asked: list[Prompt] = []

    prompt_kinds = frozenset({"box", "point", "negative-point", "mask"})

    def describe(self) -> dict[str, str]:
        return {"name": "oracle", "weights_hash": "oracle"}

    def close(self) -> None:
        pass

    def encode(self, pictures: Sequence[np.ndarray]) -> list[Embedding]:
        self.encoded += len(pictures)
        return [
            Embedding(
                {"picture": p[None]},
                Fit(p.shape[1:], p.shape[1:], p.shape[1:], p.shape[1:]),
                "oracle",
            )
            for p in pictures
        ]

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        picture = np.rint(embedding.arrays["picture"][0, 0]).astype(int)
        self.decoded += len(prompts)
        self.asked.extend(prompts)
        masks = [PixelMask.of(self._mask(picture, p)) for p in prompts]
        found = np.array([not m.empty for m in masks], dtype=np.float32)
        low = np.zeros((len(masks), 4, 4), dtype=np.float32)
        return Masks(tuple(p.id for p in prompts), tuple(masks), found, low, found)

    def mask_prompt(self, mask: np.ndarray, embedding: Embedding) -> np.ndarray:
        return np.zeros((4, 4), dtype=np.float32)

    def _mask(self, picture: np.ndarray, prompt: Prompt) -> np.ndarray:
        label = 0
        inside = np.zeros(picture.shape, dtype=bool)
        for (x, y), on in zip(prompt.points, prompt.labels, strict=True):
            if on:
                label = picture[_index(y, picture.shape[0]), _index(x, picture.shape[1])]
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            rows = slice(max(0, int(np.ceil(y0 - 0.5))), max(0, int(np.ceil(y1 - 0.5))))
            columns = slice(max(0, int(np.ceil(x0 - 0.5))), max(0, int(np.ceil(x1 - 0.5))))
            inside[rows, columns] = True
            values = picture[rows, columns]
            values = values[values > 0]
            if label == 0 and values.size:
                label = int(np.bincount(values).argmax())
        else:
            inside[:] = True
        return (picture == label) & inside if label else np.zeros(picture.shape, dtype=bool)


def _index(value: float, size: int) -> int:
    return min(max(round(value), 0), size - 1)
