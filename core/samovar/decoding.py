"""Decoding: embedding and prompts in, masks in pixels of the picture out.

Objects with equally many tokens are asked together, in chunks that bound memory, and never padded
to each other's length: what is said about one object does not change the answer for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.embedding import Embedding
from samovar.errors import PluginError, PromptError
from samovar.faces import Asked, Face
from samovar.mask_frame import mask_logits, pixel_mask, stability
from samovar.masks import Masks, PixelMask
from samovar.prompt_tokens import Tokens, tokens_of
from samovar.prompts import Prompt, Prompts, describe
from samovar.selection import choose

MOST_AT_ONCE = 32
"""Objects a call of the graphs."""
MEMORY = 1 << 29
"""Bytes that the activations of one call may take, estimated as 16 embeddings an object."""


@dataclass(frozen=True, eq=False)
class _Answer:
    logits: NDArray[np.float32]
    quality: float
    stability: float


class SamDecoder:
    """A bundle's decoder: the Decoder protocol over its graphs.

    Args:
        bundle: says mask frame, mask selection, threshold and prompt kinds.
        face: its graphs (:class:`samovar.faces.TwoFaces` or :class:`samovar.faces.ClassicFace`).
    """

    def __init__(self, bundle: Bundle, face: Face) -> None:
        self._bundle, self._face = bundle, face
        stated = frozenset(bundle.prompt_kinds)
        self._kinds = face.kinds & (stated | {"sparse", "dense"})

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
        answers: list[_Answer | None] = [None] * len(prompts)
        for places, asked in self._batches(embedding, prompts.objects):
            logits, quality = self._face.answer(embedding, asked)
            for row, place in enumerate(places):
                prompt = prompts.objects[place]
                answers[place] = self._select(prompt, embedding, logits[row], quality[row])
        return self._masks(embedding, prompts, [a for a in answers if a is not None])

    def _batches(
        self, embedding: Embedding, objects: Sequence[Prompt]
    ) -> Iterator[tuple[list[int], Asked]]:
        coordinates = self._bundle.preparation.prompt_coordinates
        tokens = [self._fixed_length(p, tokens_of(p, embedding.fit, coordinates)) for p in objects]
        groups: dict[tuple[int, int, bool], list[int]] = {}
        for place, (prompt, own) in enumerate(zip(objects, tokens, strict=True)):
            learned = -1 if prompt.sparse is None else len(prompt.sparse)
            groups.setdefault((len(own), learned, _only_sparse(prompt)), []).append(place)
        size = self._face.batch or max(1, min(MOST_AT_ONCE, MEMORY // (16 * embedding.nbytes)))
        for (_, _, only_sparse), places in groups.items():
            for start in range(0, len(places), size):
                chunk = places[start : start + size]
                parts = [objects[i] for i in chunk], [tokens[i] for i in chunk]
                yield chunk, self._asked(*parts, only_sparse)

    def _asked(self, objects: list[Prompt], tokens: list[Tokens], only_sparse: bool) -> Asked:
        masks = np.zeros((len(objects), 1, *self.mask_size), dtype=np.float32)
        for row, prompt in enumerate(objects):
            if prompt.mask is not None:
                masks[row, 0] = prompt.mask
        learned = [p.sparse for p in objects if p.sparse is not None]
        return Asked(
            np.stack([t.coords for t in tokens]),
            np.stack([t.labels for t in tokens]),
            masks,
            np.array([p.mask is not None for p in objects], dtype=np.float32),
            np.stack(learned).astype(np.float32) if learned else None,
            only_sparse,
            tuple(p.dense for p in objects),
        )

    def _fixed_length(self, prompt: Prompt, tokens: Tokens) -> Tokens:
        wanted = self._face.tokens
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
        prompt: Prompt,
        embedding: Embedding,
        logits: NDArray[np.float32],
        quality: NDArray[np.float32],
    ) -> _Answer:
        """One of an object's ``(M, h, w)`` answers."""
        stable = stability(logits, embedding.fit, self._bundle.mask_threshold)
        best = choose(self._bundle.mask_selection.rule(prompt), quality, stable)
        if not (np.isfinite(logits[best]).all() and np.isfinite(quality[best])):
            raise PluginError(
                f"model {self._bundle.name!r} answered NaN or infinity for {describe(prompt)}: "
                "try --precision fp32, or report it to the model's author"
            )
        score = float(np.clip(quality[best], 0.0, 1.0))
        return _Answer(np.array(logits[best]), score, float(stable[best]))

    def _masks(self, embedding: Embedding, prompts: Prompts, answers: list[_Answer]) -> Masks:
        threshold = self._bundle.mask_threshold
        masks: list[PixelMask] = [pixel_mask(a.logits, embedding.fit, threshold) for a in answers]
        low_res = [a.logits for a in answers]
        return Masks(
            tuple(p.id for p in prompts),
            tuple(masks),
            np.array([a.quality for a in answers], dtype=np.float32),
            np.stack(low_res) if low_res else np.zeros((0, *self.mask_size), dtype=np.float32),
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
        if prompt.mask is not None and prompt.mask.shape != self.mask_size:
            raise PromptError(
                f"{who}: its mask prompt has shape {prompt.mask.shape}, the mask frame of model "
                f"{model} is {self.mask_size}: make it with Decoder.mask_prompt"
            )


def _only_sparse(prompt: Prompt) -> bool:
    return prompt.sparse is not None and prompt.box is None and not prompt.points
