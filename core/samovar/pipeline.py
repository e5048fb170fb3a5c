"""The one road: open → views → encode → propose → decode → link → objects.

Slices and tiles differ in their plan (plans.py) and in how a step's prompts come about
(propagation.py, or the tile's own share); everything here is the same for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samovar.answers import (
    check_answer,
    check_kinds,
    in_picture,
    object_of,
    parts_of,
    propose,
)
from samovar.cache import EmbeddingCache, cache_key
from samovar.embedding import Embedding
from samovar.errors import UsageError
from samovar.executor import Progress, run
from samovar.image import Image
from samovar.job import Job as Job
from samovar.job import PipelineModel as PipelineModel
from samovar.link import Part, link
from samovar.masks import Masks
from samovar.objects import SegmentedObject
from samovar.plans import Step, extent, plan_slices, plan_tiles
from samovar.prompts import Prompts
from samovar.propagation import Propagation


@dataclass(frozen=True, eq=False)
class _Seen:
    """A step on its way through the stages."""

    step: Step
    picture: NDArray[np.float32]
    embedding: Embedding | None = None

    @property
    def nbytes(self) -> int:
        return self.picture.nbytes + (self.embedding.nbytes if self.embedding else 0)


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
        check_kinds(job.prompts, job.model.decoder)
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
        check_answer(masks, len(prompts), "the decoder")
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
        return propose(job, seen.step.view, seen.picture, seen.embedding, job.generator)
    prompts = ask(seen.step)
    if not prompts.objects:
        return []
    masks = job.model.decoder.decode(seen.embedding, prompts)
    check_answer(masks, len(prompts), "the decoder")
    return parts_of(seen.step.view, masks, learn(seen.step, masks), numbered=True)


def _by_prompt(
    image: Image, prompts: Prompts, parts: Sequence[Part]
) -> tuple[SegmentedObject, ...]:
    seen: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        seen[part.id].append(part)
    return tuple(
        object_of(
            image,
            p.id,
            seen[p.id],
            prompt=p,
            name=p.name,
            class_id=p.class_id,
            attributes=p.attributes,
        )
        for p in prompts
    )


def _by_place(image: Image, groups: Sequence[Sequence[Part]]) -> tuple[SegmentedObject, ...]:
    return tuple(object_of(image, i + 1, group) for i, group in enumerate(groups))


def _nothing(step: Step) -> Prompts:
    return Prompts()


def _keep_all(step: Step, masks: Masks) -> Sequence[int]:
    return range(len(masks))


def _always(step: Step) -> bool:
    return True
