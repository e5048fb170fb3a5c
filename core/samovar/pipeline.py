"""The one road: open → views → encode → propose → decode → link → objects.

Slices and tiles differ in their plan (plans.py) and in how a step's prompts come about
(propagation.py, or the tile's own share); everything here is the same for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samovar.cache import EmbeddingCache, cache_key
from samovar.embedding import Embedding
from samovar.errors import PluginError, PromptError, UsageError
from samovar.executor import CancelToken, Progress, ProgressCallback, run
from samovar.grid import Region
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.link import Part, link, merge
from samovar.masks import Masks, PixelMask
from samovar.objects import SegmentedObject
from samovar.plans import Step, extent, plan_slices, plan_tiles
from samovar.prompts import Prompt, Prompts
from samovar.propagation import Propagation
from samovar.protocols import Context, Decoder, PromptGenerator
from samovar.view import View

MAX_ROUNDS = 16
"""A generator that asks more often than this about one view is stopped with an error."""


class PipelineModel(Protocol):
    """What the pipeline needs of a model (``samovar.models.Model`` has it)."""

    @property
    def decoder(self) -> Decoder: ...

    @property
    def weights_hash(self) -> str: ...

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]: ...

    def describe(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class _Seen:
    """A step on its way through the stages."""

    step: Step
    picture: NDArray[np.float32]
    embedding: Embedding | None = None

    @property
    def nbytes(self) -> int:
        return self.picture.nbytes + (self.embedding.nbytes if self.embedding else 0)


@dataclass(frozen=True, eq=False)
class Job:
    """All that one segmentation is about."""

    image: Image
    model: PipelineModel
    intensity: Intensity
    prompts: Prompts | None = None
    """In index coordinates, checked; None with a generator."""
    generator: PromptGenerator | None = None
    cache: EmbeddingCache | None = None
    cancel: CancelToken | None = None
    progress: ProgressCallback | None = None


def segment_image(job: Job) -> tuple[SegmentedObject, ...]:
    """Objects of one image, in the order of the prompts, or by place where a generator proposed.

    Prompted objects that were not found are there, empty. Masks leave the decoder unclipped,
    unfilled and unfiltered.

    Raises:
        UsageError: neither prompts nor a generator, or a prompt kind that the model does not take.
        Cancelled: the token was set.
        PluginError: a model or generator failed.
    """
    if job.prompts is None and job.generator is None:
        raise UsageError("nothing to look for: give a box, a point, a prompt file or --auto")
    if job.prompts is not None:
        _check_kinds(job.prompts, job.model.decoder)
    if job.cache is None:
        job = replace(job, cache=EmbeddingCache(disk=0))
    parts: list[Part] = []
    steps, ask, learn, needed = _plan(job)
    run_steps(job, steps, needed, lambda seen: parts.extend(_answer(job, seen, ask, learn)))
    if job.prompts is None:
        return _by_place(job.image, link(parts))
    return _by_prompt(job.image, job.prompts, parts)


Ask = Callable[[Step], Prompts]
Learn = Callable[[Step, Masks], Sequence[int]]
Needed = Callable[[Step], bool]


def _plan(job: Job) -> tuple[list[Step], Ask, Learn, Needed]:
    grid = job.image.grid
    if grid.ndim == 3:
        axis = grid.slice_axis()
        if job.prompts is None:
            return plan_slices(grid, None, axis), _nothing, _keep_all, _always
        prompts = job.prompts.by_id()
        extents = {id: extent(p, grid, axis) for id, p in prompts.items()}
        follow = Propagation(
            grid, axis, prompts, extents, uses_mask="mask" in job.model.decoder.prompt_kinds
        )
        _find_anchors(job, follow)
        return plan_slices(grid, follow.extents, axis), follow.ask, follow.learn, follow.needed
    if job.prompts is None:
        return plan_tiles(grid, None), _nothing, _keep_all, _always
    prompts = job.prompts.by_id()
    steps = plan_tiles(grid, list(prompts.values()))

    def ask(step: Step) -> Prompts:
        return Prompts(tuple(in_picture(prompts[i], step.view) for i in step.objects or ()))

    return steps, ask, _keep_all, _always


def _find_anchors(job: Job, follow: Propagation) -> None:
    def probe(seen: _Seen) -> None:
        assert seen.embedding is not None
        prompts = follow.ask(seen.step)
        masks = job.model.decoder.decode(seen.embedding, prompts)
        _check_answer(masks, len(prompts), "the decoder")
        follow.weigh(seen.step, masks)

    run_steps(replace(job, progress=None), follow.probes(), _always, probe)
    follow.settle()


def run_steps(
    job: Job, steps: Sequence[Step], needed: Needed, finish: Callable[[_Seen], None]
) -> None:
    """Read and encode ahead of ``finish``, which sees the steps in plan order."""
    places = {id(step): i + 1 for i, step in enumerate(steps)}

    def read(step: Step) -> _Seen | None:
        if not needed(step):
            return None
        view = step.view
        if step.objects is None:
            valid = job.image.valid(view.region)
            if valid is not None and not valid.any():
                return None
        block = job.image.read(view.region, size=view.size)
        return _Seen(step, job.intensity.apply(view.squeeze(block)))

    def encode(seen: _Seen) -> _Seen:
        key = cache_key(job.model.weights_hash, job.image, job.intensity, seen.step.view)
        embedding = job.cache.get(key) if job.cache is not None else None
        if embedding is None:
            embedding = job.model.encode([seen.picture])[0]
            if job.cache is not None:
                job.cache.put(key, embedding)
        return replace(seen, embedding=embedding)

    def tick(seen: _Seen) -> None:
        finish(seen)
        if job.progress is not None:
            job.progress(Progress(places[id(seen.step)], len(steps), seen.step.view.key))

    run(steps, (read, encode), tick, cancel=job.cancel)


def _answer(job: Job, seen: _Seen, ask: Ask, learn: Learn) -> list[Part]:
    assert seen.embedding is not None
    if job.generator is not None and seen.step.objects is None:
        return _propose(job, seen, seen.embedding, job.generator)
    prompts = ask(seen.step)
    if not prompts.objects:
        return []
    masks = job.model.decoder.decode(seen.embedding, prompts)
    _check_answer(masks, len(prompts), "the decoder")
    return _parts(seen.step.view, masks, learn(seen.step, masks), numbered=True)


def _propose(
    job: Job, seen: _Seen, embedding: Embedding, generator: PromptGenerator
) -> list[Part]:
    """Rounds of propose → decode → select on one view, until the generator has no more to ask."""
    view, prior = seen.step.view, None
    parts: list[Part] = []
    context = Context(seen.picture, job.image, job.intensity.modality)
    for number in range(MAX_ROUNDS + 1):
        if job.cancel is not None:
            job.cancel.check()
        prompts = generator.propose(view, embedding, prior, replace(context, round=number))
        if prompts is None:
            return parts
        if number == MAX_ROUNDS:
            break
        prior = job.model.decoder.decode(embedding, prompts)
        _check_answer(prior, len(prompts), "the decoder")
        parts += _parts(view, prior, generator.select(prior), numbered=False)
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


def _parts(view: View, masks: Masks, keep: Sequence[int], *, numbered: bool) -> list[Part]:
    return [
        Part(
            view,
            to_image(masks.masks[i], view),
            float(masks.quality[i]),
            float(masks.stability[i]),
            masks.ids[i] if numbered else 0,
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


def _by_prompt(
    image: Image, prompts: Prompts, parts: Sequence[Part]
) -> tuple[SegmentedObject, ...]:
    seen: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        seen[part.id].append(part)
    return tuple(
        _object(image, p.id, seen[p.id], prompt=p, name=p.name, class_id=p.class_id,
                attributes=p.attributes)
        for p in prompts
    )


def _by_place(image: Image, groups: Sequence[Sequence[Part]]) -> tuple[SegmentedObject, ...]:
    return tuple(_object(image, i + 1, group) for i, group in enumerate(groups))


def _object(image: Image, id: int, parts: Sequence[Part], **fields: Any) -> SegmentedObject:
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


def _check_kinds(prompts: Prompts, decoder: Decoder) -> None:
    unknown = prompts.kinds - decoder.prompt_kinds
    if unknown:
        raise PromptError(
            f"this model does not take {', '.join(sorted(unknown))} prompts; "
            f"it takes {', '.join(sorted(decoder.prompt_kinds))}"
        )


def _check_answer(masks: Masks, wanted: int, who: str) -> None:
    if len(masks) != wanted:
        raise PluginError(f"{who} answered {len(masks)} masks to {wanted} prompts")
    if not np.isfinite(masks.quality).all():
        raise PluginError(f"{who} gave a quality that is not a number")


def _nothing(step: Step) -> Prompts:
    return Prompts()


def _keep_all(step: Step, masks: Masks) -> Sequence[int]:
    return range(len(masks))


def _always(step: Step) -> bool:
    return True
