"""Decoding: embedding and prompts in, masks in pixels of the picture out.

Objects with equally many tokens are asked together, in chunks that bound memory, and never padded
to each other's length: what is said about one object does not change the answer for another.
Objects whose box allows it are decoded over a window alone, where the model can; those that are
asked for by points alone are looked at once more over a window around the first answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samovar.bounds import grown
from samovar.bundle import Bundle
from samovar.embedding import Embedding, Fit
from samovar.errors import PluginError, PromptError
from samovar.faces import Asked, Face
from samovar.mask_frame import Window, mask_logits, pixel_mask, project, stability
from samovar.masks import LowRes, Masks, WindowLogits
from samovar.prompt_tokens import Tokens, tokens_of
from samovar.prompts import Prompt, Prompts, describe
from samovar.roi import RoiRule
from samovar.selection import choose

MOST_AT_ONCE = 24
"""Objects a call of the graphs: with many more, activations leave the processor's cache."""
MEMORY = 1 << 26
"""Bytes that the activations of one call may take, estimated as 16 embeddings an object."""


@dataclass(frozen=True, eq=False)
class _Asking:
    """One object on its way into a graph."""

    prompt: Prompt
    tokens: Tokens
    frame: NDArray[np.float32] | None = None
    """Its window in the prompt frame, None where it is decoded in full."""
    window: Window | None = None
    """The same in pixels of the picture."""

    @property
    def group(self) -> tuple[object, ...]:
        """Equal for objects that can be asked together."""
        learned = -1 if self.prompt.sparse is None else len(self.prompt.sparse)
        return len(self.tokens), learned, _only_sparse(self.prompt), self.window is not None


@dataclass(frozen=True, eq=False)
class _Answer:
    logits: NDArray[np.float32]
    window: Window | None
    quality: float
    stability: float


class SamDecoder:
    """A bundle's decoder: the Decoder protocol over its graphs.

    Args:
        bundle: says mask frame, mask selection, threshold and prompt kinds.
        face: its graphs (:class:`samovar.faces.TwoFaces` or :class:`samovar.faces.ClassicFace`).
        region: its ``decoder_roi``, where the bundle's ``roi`` allows it; None: never.
    """

    def __init__(self, bundle: Bundle, face: Face, region: Face | None = None) -> None:
        self._bundle, self._face, self._region = bundle, face, region
        self._roi = bundle.roi if region is not None else None
        stated = frozenset(bundle.prompt_kinds)
        self._kinds = face.kinds & (stated | {"sparse", "dense"})

    @property
    def roi(self) -> RoiRule | None:
        """How objects are decoded over windows; None where all of them are decoded in full."""
        return self._roi

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """What its graphs take; ``sparse`` and ``dense`` only with two faces."""
        return self._kinds

    @property
    def mask_size(self) -> tuple[int, int]:
        """Rows and columns of the mask frame."""
        return self._bundle.mask_size

    def mask_prompt(
        self, mask: NDArray[np.bool_] | NDArray[np.float32], embedding: Embedding
    ) -> NDArray[np.float32]:
        """A mask ``(rows, columns)`` over the view's picture → logits ``(h, w)``.

        See :func:`samovar.mask_frame.mask_logits`: antialiased by area, ±6.

        Raises:
            PromptError: the mask does not have the picture's shape.
        """
        if mask.shape != embedding.fit.picture:
            raise PromptError(
                f"a mask of {mask.shape} was given for a picture of {embedding.fit.picture}: "
                "draw it on the same pixels"
            )
        return mask_logits(mask, embedding.fit, self.mask_size)

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        """One mask a prompt, in their order; masks are not clipped, filled or filtered.

        Args:
            embedding: of the view; it is never written to.
            prompts: 2-D, in index coordinates of the view's picture.

        Raises:
            PromptError: a prompt that this decoder does not understand.
            PluginError: the graphs fail, or answer with NaN.
        """
        for prompt in prompts:
            self._check(prompt)
        asked = [self._asking(prompt, embedding) for prompt in prompts]
        answers = self._answers(embedding, asked)
        closer = {
            place: one
            for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
            if (one := self._closer(prompt, answer, embedding)) is not None
        }
        if closer:
            second = self._answers(embedding, list(closer.values()))
            for place, answer in zip(closer, second, strict=True):
                answers[place] = answer
        return self._masks(embedding, prompts, answers)

    def _answers(self, embedding: Embedding, asked: Sequence[_Asking]) -> list[_Answer]:
        """Of every object, in their order."""
        answers: list[_Answer | None] = [None] * len(asked)
        for places in self._batches(embedding, asked):
            chunk = [asked[place] for place in places]
            face = self._face if chunk[0].window is None else self._region
            assert face is not None
            logits, quality = face.answer(embedding, self._asked(chunk, embedding))
            for row, place in enumerate(places):
                answers[place] = self._select(asked[place], embedding, logits[row], quality[row])
        return [answer for answer in answers if answer is not None]

    def _closer(self, prompt: Prompt, answer: _Answer, embedding: Embedding) -> _Asking | None:
        """The same object over a window around its first answer, where that is worth asking."""
        if self._roi is None or not self._roi.refines or prompt.box or not prompt.points:
            return None
        mask = pixel_mask(answer.logits, embedding.fit, self._bundle.mask_threshold, answer.window)
        if mask.empty:
            return None
        box = grown(mask.region.start, mask.region.stop, None)
        asked = self._asking(replace(prompt, box=box, mask=answer.logits), embedding)
        return asked if asked.window is not None else None

    def _asking(self, prompt: Prompt, embedding: Embedding) -> _Asking:
        fit = embedding.fit
        tokens = tokens_of(prompt, fit, self._bundle.preparation.prompt_coordinates)
        frame = None if self._roi is None else self._roi.window(prompt, tokens, fit)
        if frame is None or self._region is None or not prompt.kinds <= self._region.kinds:
            return _Asking(prompt, self._fixed_length(prompt, tokens, self._face.tokens))
        most = self._region.tokens
        if most is not None and len(tokens) > most:
            return _Asking(prompt, self._fixed_length(prompt, tokens, self._face.tokens))
        x, y = fit.content_scale
        x0, y0, x1, y1 = (float(v) for v in frame)
        window = (x0 / x, y0 / y, x1 / x, y1 / y)
        return _Asking(prompt, self._fixed_length(prompt, tokens, most), frame, window)

    def _batches(self, embedding: Embedding, asked: Sequence[_Asking]) -> Iterator[list[int]]:
        """Places of objects that are asked together."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, one in enumerate(asked):
            groups.setdefault(one.group, []).append(place)
        most = max(1, min(MOST_AT_ONCE, MEMORY // (16 * embedding.nbytes)))
        for places in groups.values():
            if asked[places[0]].window is None:
                size = self._face.batch or most
            else:
                assert self._region is not None
                size = self._region.batch or MOST_AT_ONCE
            for start in range(0, len(places), size):
                yield places[start : start + size]

    def _asked(self, chunk: Sequence[_Asking], embedding: Embedding) -> Asked:
        windowed = chunk[0].window is not None
        size = self._roi.mask_size if windowed and self._roi else self.mask_size
        masks = np.zeros((len(chunk), 1, *size), dtype=np.float32)
        for row, one in enumerate(chunk):
            if one.prompt.mask is not None:
                masks[row, 0] = _prior(one.prompt.mask, embedding.fit, one.window, size)
        objects = [one.prompt for one in chunk]
        learned = [p.sparse for p in objects if p.sparse is not None]
        return Asked(
            np.stack([one.tokens.coords for one in chunk]),
            np.stack([one.tokens.labels for one in chunk]),
            masks,
            np.array([p.mask is not None for p in objects], dtype=np.float32),
            np.stack(learned).astype(np.float32) if learned else None,
            _only_sparse(objects[0]),
            tuple(p.dense for p in objects),
            np.stack([one.frame for one in chunk if one.frame is not None]) if windowed else None,
        )

    def _fixed_length(self, prompt: Prompt, tokens: Tokens, wanted: int | None) -> Tokens:
        if wanted is None:
            return tokens
        if len(tokens) > wanted:
            raise PromptError(
                f"{describe(prompt)}: model {self._bundle.name!r} takes at most {wanted} tokens "
                "(a point is one, a box two): give fewer points"
            )
        return tokens.padded(wanted)

    def _select(
        self,
        asked: _Asking,
        embedding: Embedding,
        logits: NDArray[np.float32],
        quality: NDArray[np.float32],
    ) -> _Answer:
        """One of an object's ``(M, h, w)`` answers."""
        prompt, threshold = asked.prompt, self._bundle.mask_threshold
        stable = stability(logits, embedding.fit, threshold, window=asked.window)
        best = choose(self._bundle.mask_selection.rule(prompt), quality, stable)
        if not (np.isfinite(logits[best]).all() and np.isfinite(quality[best])):
            raise PluginError(
                f"model {self._bundle.name!r} answered NaN or infinity for {describe(prompt)}: "
                "try --precision fp32, or report it to the model's author"
            )
        score = float(np.clip(quality[best], 0.0, 1.0))
        return _Answer(np.array(logits[best]), asked.window, score, float(stable[best]))

    def _masks(self, embedding: Embedding, prompts: Prompts, answers: list[_Answer]) -> Masks:
        threshold = self._bundle.mask_threshold
        low_res: NDArray[np.float32] | tuple[LowRes, ...]
        if any(a.window is not None for a in answers):
            low_res = tuple(
                a.logits if a.window is None else WindowLogits(a.logits, a.window) for a in answers
            )
        elif answers:
            low_res = np.stack([a.logits for a in answers])
        else:
            low_res = np.zeros((0, *self.mask_size), dtype=np.float32)
        return Masks(
            tuple(p.id for p in prompts),
            tuple(pixel_mask(a.logits, embedding.fit, threshold, a.window) for a in answers),
            np.array([a.quality for a in answers], dtype=np.float32),
            low_res,
            np.array([a.stability for a in answers], dtype=np.float32),
        )

    def _check(self, prompt: Prompt) -> None:
        who, model = describe(prompt), repr(self._bundle.name)
        if prompt.empty:
            raise PromptError(f"{who} says nothing: give it a box, a point or a mask")
        unknown = prompt.kinds - self._kinds
        if unknown:
            raise PromptError(
                f"{who}: model {model} does not take {', '.join(sorted(unknown))}; "
                f"it takes {', '.join(sorted(self._kinds))}"
            )
        most = self._bundle.max_points
        if most is not None and len(prompt.points) > most:
            raise PromptError(
                f"{who} has {len(prompt.points)} points, model {model} takes at most {most}: "
                "give fewer points"
            )
        given = None if isinstance(prompt.mask, WindowLogits) else prompt.mask
        if given is not None and given.shape != self.mask_size:
            raise PromptError(
                f"{who}: its mask prompt has shape {given.shape}, the mask frame of model "
                f"{model} is {self.mask_size}: make it with Decoder.mask_prompt"
            )


def _prior(
    mask: LowRes, fit: Fit, window: Window | None, size: tuple[int, int]
) -> NDArray[np.float32]:
    """A mask prompt over the part of the picture that is asked about."""
    if isinstance(mask, WindowLogits):
        if mask.window == window and mask.shape == size:
            return mask.values
        return project(mask.values, fit, mask.window, window, size)
    return mask if window is None else project(mask, fit, None, window, size)


def _only_sparse(prompt: Prompt) -> bool:
    return prompt.sparse is not None and prompt.box is None and not prompt.points
