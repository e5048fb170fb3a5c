"""Answers: what a model says about one view, as parts of objects in image coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Embedding
from samovar.errors import PluginError, PromptError
from samovar.grid import Region
from samovar.image import Image
from samovar.job import Job
from samovar.link import Part, merge
from samovar.masks import Masks, PixelMask
from samovar.objects import SegmentedObject
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Context, Decoder, PromptGenerator
from samovar.view import View

MAX_ROUNDS = 16
"""A generator that asks more often than this about one view is stopped with an error."""


def answer(
    job: Job,
    view: View,
    picture: NDArray[np.float32],
    embedding: Embedding,
    prompts: Prompts | None,
) -> list[Part]:
    """What the model says about one view.

    Args:
        picture: ``(3, rows, columns)`` of the view.
        prompts: in index coordinates of the picture; None where the job's generator proposes.

    Raises:
        PluginError: the model or the generator breaks its contract.
    """
    if prompts is None:
        assert job.generator is not None
        return propose(job, view, picture, embedding, job.generator)
    if not prompts.objects:
        return []
    masks = job.model.decoder.decode(embedding, prompts)
    check_answer(masks, len(prompts), "the decoder")
    return parts_of(view, masks, range(len(masks)), prompts, numbered=True)


def propose(
    job: Job,
    view: View,
    picture: NDArray[np.float32],
    embedding: Embedding,
    generator: PromptGenerator,
) -> list[Part]:
    """Rounds of propose → decode → select on one view, until the generator has no more to ask."""
    prior: Masks | None = None
    parts: list[Part] = []
    context = Context(picture, job.image, job.intensity.modality)
    for number in range(MAX_ROUNDS + 1):
        if job.cancel is not None:
            job.cancel.check()
        prompts = generator.propose(view, embedding, prior, replace(context, round=number))
        if prompts is None:
            return parts
        if number == MAX_ROUNDS:
            break
        prior = job.model.decoder.decode(embedding, prompts)
        check_answer(prior, len(prompts), "the decoder")
        parts += parts_of(view, prior, generator.select(prior), prompts, numbered=False)
    raise PluginError(
        f"the prompt generator asked more than {MAX_ROUNDS} times about view {view.key}: "
        "its propose() must return None when it is done"
    )


def in_picture(prompt: Prompt, view: View) -> Prompt:
    """A 2-D prompt of the image, in index coordinates of the view's picture."""
    return replace(
        prompt,
        box=None if prompt.box is None else view.box_to_picture(prompt.box),
        points=tuple(view.point_to_picture(p) for p in prompt.points),
    )


def parts_of(
    view: View, masks: Masks, keep: Sequence[int], prompts: Prompts, *, numbered: bool
) -> list[Part]:
    """The masks at positions ``keep``, in image coordinates, with the classes of their prompts."""
    return [
        Part(
            view,
            to_image(masks.masks[i], view),
            float(masks.quality[i]),
            float(masks.stability[i]),
            masks.ids[i] if numbered else 0,
            prompts.objects[i].class_id,
        )
        for i in keep
    ]


def to_image(mask: PixelMask, view: View) -> PixelMask:
    """A mask over a view's picture, in image coordinates (nearest pixel where it was coarser)."""
    if mask.empty:
        zero = (0,) * (len(view.region.start))
        return PixelMask(Region(zero, zero), np.zeros(zero, dtype=bool))
    if view.size is not None and view.size != view.shape:
        mask = _refine(mask, view)
    inside = mask.inside if view.axis is None else np.expand_dims(mask.inside, view.axis)
    return PixelMask(view.expand(mask.region), inside)


def _refine(mask: PixelMask, view: View) -> PixelMask:
    picks, start, stop = [], [], []
    for a, b, coarse, fine in zip(
        mask.region.start, mask.region.stop, view.picture_shape, view.shape, strict=True
    ):
        source = np.minimum(((np.arange(fine) + 0.5) * coarse / fine).astype(np.intp), coarse - 1)
        hits = np.flatnonzero((source >= a) & (source < b))
        picks.append(source[hits] - a)
        start.append(int(hits[0]))
        stop.append(int(hits[-1]) + 1)
    return PixelMask(Region(tuple(start), tuple(stop)), mask.inside[np.ix_(*picks)])


def object_of(image: Image, id: int, parts: Sequence[Part], **fields: Any) -> SegmentedObject:
    filled = [p for p in parts if not p.mask.empty]
    if not filled:
        zero = (0,) * image.grid.ndim
        empty = SegmentedObject(id, Region(zero, zero), b"", **fields)
        return replace(empty, measures=image.measure(empty))
    weights = np.array([np.count_nonzero(p.mask.inside) for p in filled], dtype=np.float64)
    score = float(np.average([p.quality for p in filled], weights=weights))
    steady = float(np.average([p.quality * p.stability for p in filled], weights=weights))
    found = SegmentedObject.from_mask(
        id,
        merge([p.mask for p in filled]),
        score=score,
        uncertainty=1.0 - steady,
        views=tuple(p.view.key for p in filled),
        **fields,
    )
    return replace(found, measures=image.measure(found))


def check_kinds(prompts: Prompts, decoder: Decoder) -> None:
    unknown = prompts.kinds - decoder.prompt_kinds
    if unknown:
        raise PromptError(
            f"this model does not take {', '.join(sorted(unknown))} prompts; "
            f"it takes {', '.join(sorted(decoder.prompt_kinds))}"
        )


def check_answer(masks: Masks, wanted: int, who: str) -> None:
    if len(masks) != wanted:
        raise PluginError(f"{who} answered {len(masks)} masks to {wanted} prompts")
    if not np.isfinite(masks.quality).all():
        raise PluginError(f"{who} gave a quality that is not a number")
