"""SAM-Med3D and FastSAM3D at work, without torch: clicks in a volume → objects.

As upstream's own evaluation asks (Wang et al. 2023, arXiv 2310.15161; Shen et al. 2024, arXiv
2403.09827): a window of 128³ cells of 1.5 mm around the object, its values above zero brought to
zero mean and unit deviation, one click after the other, each with the answer so far as the mask.
Upstream takes no boxes: a box lays the window and asks by a click at its middle.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError, PluginError, PromptError
from samovar.image import Image
from samovar.prompts import Prompt, Prompts, describe
from samovar.protocols import Graph, SegmenterAnswer, SegmenterContext

from .volume_window import Window, lattices

CELL_MM = 1.5
SIDE = 128
MASK_SIDE = 32
HOUNSFIELD = (-1000.0, 1000.0)
"""Limits of a CT's values."""
CUT = "reaches_window_end"
"""Column of objects that reach the end of their window."""

_log = logging.getLogger(__name__)


class VolumeSegmenter:
    """The :class:`samovar.protocols.Segmenter` of both models, over their two graphs."""

    def __init__(self, graphs: Mapping[str, Graph], settings: Mapping[str, Any]) -> None:
        self._encoder, self._decoder = graphs["encoder"], graphs["decoder"]

    def segment(
        self, image: Image, prompts: Prompts | None, context: SegmenterContext
    ) -> Iterator[SegmenterAnswer]:
        """One object after the other; objects of one window share its encoding.

        Raises:
            InputError: a volume without millimetres, of several channels, or without values above
                zero where a prompt is.
            PromptError: points that no window holds together.
        """
        assert prompts is not None
        source = image.info.source
        if image.channels != 1:
            raise InputError(
                f"{source}: has {image.channels} channels, this model takes volumes of one: "
                "give one channel"
            )
        laid = lattices(image.grid, CELL_MM, source)
        last: tuple[Window, NDArray[np.float32]] | None = None
        for done, prompt in enumerate(prompts):
            context.check()
            window = Window.around(laid, _extent(prompt), SIDE)
            if last is None or last[0] != window:
                last = None  # let the one before go
                cube = normalised(clamped(window.read(image), context), source, prompt)
                last = window, self.encode(cube)
            logits, quality = self.answer(last[1], window, prompt)
            mask = window.lay(logits, image.grid)
            cut = window.cuts(mask)
            if cut:
                _log.warning(
                    "%s reaches the end of the window of %g mm that this model sees: what lies "
                    "beyond is missing", describe(prompt), SIDE * CELL_MM,
                )  # fmt: skip
            yield SegmenterAnswer(
                prompt.id, mask, quality, steadiness(logits), attributes={CUT: cut}
            )
            context.progress(done + 1, len(prompts))

    def encode(self, cube: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(128, 128, 128)`` normalised → ``(1, 384, 8, 8, 8)``."""
        return self._encoder.run({"image": cube[None, None]})["image_embeddings"]

    def answer(
        self, embedding: NDArray[np.float32], window: Window, prompt: Prompt
    ) -> tuple[NDArray[np.float32], float]:
        """Logits ``(32, 32, 32)`` over the window, and predicted IoU, after the last click.

        Raises:
            PromptError: a positive point that the window does not hold.
            PluginError: the model answers NaN.
        """
        if prompt.mask is not None:
            raise PromptError(
                f"{describe(prompt)}: a mask for a volume is given as its pixels (Prompt.painted), "
                "not as a decoder's logits"
            )
        logits, quality = window.coarse(prompt.painted, MASK_SIDE), 0.0
        for cell, label in _clicks(prompt, window):
            logits, quality = self.decode(embedding, [cell], [label], logits)
        if not (np.isfinite(logits).all() and np.isfinite(quality)):
            raise PluginError(f"the model answered NaN or infinity for {describe(prompt)}")
        return logits, quality

    def decode(
        self,
        embedding: NDArray[np.float32],
        cells: Sequence[Sequence[float]],
        labels: Sequence[int],
        mask: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], float]:
        """One question: clicks together, and a mask ``(32, 32, 32)`` of logits (zeros: none)."""
        out = self._decoder.run(
            {
                "image_embeddings": embedding,
                "point_coords": np.array([cells], dtype=np.float32),
                "point_labels": np.array([labels], dtype=np.int64),
                "mask_input": np.ascontiguousarray(mask, dtype=np.float32)[None, None],
            }
        )
        return out["low_res_masks"][0, 0], float(out["iou_predictions"][0, 0])


def clamped(cube: NDArray[np.float32], context: SegmenterContext) -> NDArray[np.float32]:
    """A CT's values within −1000…1000; others as they are."""
    return np.clip(cube, *HOUNSFIELD) if context.intensity.modality == "ct" else cube


def normalised(
    cube: NDArray[np.float32], source: str = "", prompt: Prompt | None = None
) -> NDArray[np.float32]:
    """Zero mean and unit (unbiased) deviation of the values above zero, applied to all.

    Raises:
        InputError: there are none, or they are all alike.
    """
    inside = cube[cube > 0]
    mean = inside.mean(dtype=np.float64) if inside.size > 1 else 0.0
    deviation = inside.std(dtype=np.float64, ddof=1) if inside.size > 1 else 0.0
    if not deviation > 0:
        who = f" around {describe(prompt)}" if prompt is not None else ""
        raise InputError(
            f"{source}: nothing{who} is above zero, or all of it is alike, and this model looks "
            "at such values alone: check the prompt and the volume's values"
        )
    return np.asarray((cube - np.float32(mean)) / np.float32(deviation), dtype=np.float32)


def steadiness(logits: NDArray[np.float32]) -> float:
    """IoU of the masks at one logit above and below the threshold."""
    wide = np.count_nonzero(logits > -1)
    return np.count_nonzero(logits > 1) / wide if wide else 1.0


def _extent(prompt: Prompt) -> tuple[float, ...]:
    """The index box that the window is laid around: the box, else points and what is painted."""
    if prompt.boxes:
        corners = [(b[:3], b[3:]) for b in prompt.boxes]
    else:
        positive = [p for p, on in zip(prompt.points, prompt.labels, strict=True) if on]
        corners = [(p, tuple(v + 1 for v in p)) for p in positive]
        corners += [(m.region.start[::-1], m.region.stop[::-1]) for m in prompt.painted]
    low = np.min([c[0] for c in corners], axis=0)
    high = np.max([c[1] for c in corners], axis=0)
    return (*map(float, low), *map(float, high))


def _clicks(prompt: Prompt, window: Window) -> list[tuple[tuple[int, ...], int]]:
    """Cells and labels, positive ones first; the middle of the box where none is positive.

    Negative points outside the window say nothing about it and are left out.
    """
    found = [(window.cell_of(p), on) for p, on in zip(prompt.points, prompt.labels, strict=True)]
    if not any(on for _, on in found):
        box = _extent(prompt)
        middle = tuple((a + b - 1) / 2 for a, b in zip(box[:3], box[3:], strict=True))
        found.append((window.cell_of(middle), 1))
    for cell, on in found:
        if on and not window.holds(cell):
            raise PromptError(
                f"{describe(prompt)}: its points, or its box and its points, lie too far apart "
                f"for the {SIDE * CELL_MM:g} mm that this model sees: ask for its parts apart"
            )
    return sorted((c for c in found if window.holds(c[0])), key=lambda c: -c[1])
