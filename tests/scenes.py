"""Scenes whose colours are the numbers of their objects, and a model that reads them off.

For tests of tiles, seams, ledgers and schedulers: whatever is wrong with a result is then the
engine's doing. ``PLUGIN`` is the same model as a distribution, for whole commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from samovar.embedding import Embedding, Fit
from samovar.image import ArrayImage
from samovar.masks import Masks, PixelMask
from samovar.prompts import Prompt, Prompts


def coloured(labels: np.ndarray) -> np.ndarray:
    """``(rows, columns)`` object numbers → ``(3, rows, columns)`` uint8."""
    return np.stack([labels & 255, labels >> 8 & 255, labels >> 16]).astype(np.uint8)


def numbers(picture: np.ndarray) -> np.ndarray:
    """What :func:`coloured` was given."""
    r, g, b = np.rint(picture).astype(np.int64)
    return r + (g << 8) + (b << 16)


def scene(labels: np.ndarray, origin: tuple[int, int] | None = (0, 0)) -> ArrayImage:
    image = ArrayImage(coloured(labels).transpose(1, 2, 0), channels_last=True)
    image.origin = origin
    return image


class ColourModel:
    """A PipelineModel that is never wrong."""

    weights_hash = "colours"
    prompt_kinds = frozenset({"box", "point"})

    def __init__(self) -> None:
        self.decoder = self
        self.encoded = 0

    def describe(self) -> dict[str, Any]:
        return {"name": "colours", "weights_sha256": "colours"}

    def encode(self, pictures: Sequence[np.ndarray]) -> list[Embedding]:
        self.encoded += len(pictures)
        return [
            Embedding({"picture": p[None]}, Fit(p.shape[1:], p.shape[1:], p.shape[1:], p.shape[1:]),
                      "colours")
            for p in pictures
        ]  # fmt: skip

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        picture = numbers(embedding.arrays["picture"][0])
        masks = [PixelMask.of(self._mask(picture, p)) for p in prompts]
        found = np.array([not m.empty for m in masks], dtype=np.float32)
        low = np.zeros((len(masks), 4, 4), dtype=np.float32)
        return Masks(tuple(p.id for p in prompts), tuple(masks), found, low, found)

    def _mask(self, picture: np.ndarray, prompt: Prompt) -> np.ndarray:
        if prompt.points:
            x, y = prompt.points[0]
            return (picture == picture[round(y), round(x)]) & (picture > 0)
        x0, y0, x1, y1 = (round(v) for v in prompt.box)
        inside = picture[max(0, y0) : y1, max(0, x0) : x1]
        inside = inside[inside > 0]
        if not inside.size:
            return np.zeros(picture.shape, dtype=bool)
        return picture == np.bincount(inside).argmax()


class EveryColour:
    """A point on every object that a view shows."""

    def propose(self, view, embedding, prior, context):
        if context.round:
            return None
        picture = numbers(context.picture)
        values, first = np.unique(picture, return_index=True)
        places = [divmod(int(i), picture.shape[1]) for v, i in zip(values, first, strict=True) if v]
        points = [((x, y),) for y, x in places]
        found = [Prompt(i + 1, points=p, labels=(1,)) for i, p in enumerate(points)]
        return Prompts(tuple(found)) if found else None

    def select(self, masks):
        return range(len(masks))


def shapes(
    rng: np.random.Generator, rows: int, columns: int, largest: int, count: int
) -> np.ndarray:
    """Object numbers of a random scene: boxes, discs, rings, combs and strokes, which may touch."""
    labels = np.zeros((rows, columns), dtype=np.int64)
    for number in range(1, count + 1):
        h, w = rng.integers(1, largest + 1, 2)
        block = _one_piece(_shape(rng, min(h, rows), min(w, columns)))
        y, x = (
            rng.integers(0, rows - block.shape[0] + 1),
            rng.integers(0, columns - block.shape[1] + 1),
        )
        place = labels[y : y + block.shape[0], x : x + block.shape[1]]
        if not place[block].any():
            place[block] = number
    return labels


def _one_piece(block: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(block, np.ones((3, 3)))
    if count < 2:
        return block
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def _shape(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j] if min(h, w) > 1 else np.zeros((2, h, w))
    kind = rng.integers(5)
    if kind == 1:
        return y**2 + x**2 <= 1
    if kind == 2:
        return (y**2 + x**2 <= 1) & (y**2 + x**2 >= 0.5) if min(h, w) > 4 else np.ones((h, w), bool)
    if kind == 3 and min(h, w) > 4:
        comb = np.zeros((h, w), dtype=bool)
        comb[:, : max(1, w // 4)] = True
        comb[:: max(2, h // 4)] = True
        return comb if rng.integers(2) else comb[:, ::-1]
    if kind == 4:
        stroke = np.zeros((h, w), dtype=bool)
        along = np.linspace(0, 1, 2 * max(h, w))
        stroke[np.rint(along * (h - 1)).astype(int), np.rint(along * (w - 1)).astype(int)] = True
        return ndimage.binary_dilation(stroke, iterations=1)
    return np.ones((h, w), dtype=bool)


def truth(labels: np.ndarray) -> dict[tuple[tuple[int, ...], tuple[int, ...]], list[bytes]]:
    """Bounds and pixels of every object: what a perfect result has, no more and no less."""
    found: dict[Any, list[bytes]] = {}
    for number, block in enumerate(ndimage.find_objects(labels), start=1):
        if block is not None:
            inside = labels[block] == number
            key = tuple(s.start for s in block), tuple(s.stop for s in block)
            found.setdefault(key, []).append(inside.tobytes())
    return {k: sorted(v) for k, v in found.items()}


def result(items) -> dict[tuple[tuple[int, ...], tuple[int, ...]], list[bytes]]:
    """The same of what was found."""
    found: dict[Any, list[bytes]] = {}
    for item in items:
        found.setdefault((item.region.start, item.region.stop), []).append(item.mask.tobytes())
    return {k: sorted(v) for k, v in found.items()}


PLUGIN = '''
import os
import time

from samovar import hookimpl
from samovar.specs import DecoderSpec, EncoderSpec, PromptGeneratorSpec

PLUGIN_API = (1, 0)
SQUARE = (512, 512)


@hookimpl
def samovar_encoders():
    return [EncoderSpec(
        name="colours", target="samovar_colours:Encoder", decoder="colours", encode_size=SQUARE,
        prompt_frame=SQUARE, normalisation={"kind": "none"}, weights_licence="Apache-2.0",
        sha256="c0104", prompt_kinds=("box", "point"),
    )]


@hookimpl
def samovar_decoders():
    return [DecoderSpec(name="colours", target="samovar_colours:Decoder",
                        prompt_kinds=("box", "point"), weights_licence="Apache-2.0")]


@hookimpl
def samovar_prompt_generators():
    return [PromptGeneratorSpec(name="colours", target="samovar_colours:Generator")]


class Encoder:
    def encode(self, pictures):
        return {"image_embeddings": pictures}


def Decoder():
    from scenes import ColourModel

    class Reads(ColourModel):
        def decode(self, embedding, prompts):
            from samovar.embedding import Embedding

            rows, columns = embedding.fit.picture
            picture = embedding.arrays["image_embeddings"][:, :, :rows, :columns]
            return super().decode(Embedding({"picture": picture}, embedding.fit, ""), prompts)

        def mask_prompt(self, mask, embedding):
            raise NotImplementedError

    return Reads()


def Generator():
    from scenes import EveryColour

    class Troubled(EveryColour):
        """What COLOURS_… in the environment asks for: slowness, failure, sudden death."""

        def propose(self, view, embedding, prior, context):
            if not context.round:
                time.sleep(float(os.environ.get("COLOURS_SLEEP", 0)))
                if view.key == os.environ.get("COLOURS_FAIL"):
                    raise RuntimeError("the tea is cold")
                deadly = os.environ.get("COLOURS_KILL", "")
                if deadly and not os.path.exists(deadly) and view.region.start[0] > 300:
                    open(deadly, "w").close()
                    os._exit(9)
            return super().propose(view, embedding, prior, context)

    return Troubled()
'''
