"""Looking at views: read, encode and hand over, one step after the other, a little ahead.

An embedding that the cache holds is neither read nor made again. A step that may turn out to be
idle (the object may have ended before) is not encoded before it is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samovar.cache import cache_key
from samovar.embedding import Embedding
from samovar.executor import Progress, run
from samovar.job import Job
from samovar.plans import Step

Needed = Callable[[Step], bool]


@dataclass(frozen=True, eq=False)
class Seen:
    """A step on its way through the stages."""

    step: Step
    picture: NDArray[np.float32] | None = None
    """None until somebody needs it: with a cached embedding only a prompt generator does."""
    embedding: Embedding | None = None

    @property
    def nbytes(self) -> int:
        picture = 0 if self.picture is None else self.picture.nbytes
        return picture + (self.embedding.nbytes if self.embedding else 0)


def look(
    job: Job,
    steps: Sequence[Step],
    needed: Needed,
    finish: Callable[[Seen], None],
    describe: Callable[[Step], str] | None = None,
) -> None:
    """Read and encode ahead of ``finish``, which sees the steps in plan order.

    Args:
        needed: asked before a step is read, and again before it is finished; steps that are not
            needed never reach ``finish``.
        describe: a step in words, for the progress; default: the key of its view.

    Raises:
        Cancelled: the token was set. Whatever reading, the model or ``finish`` raises otherwise.
    """
    places = {id(step): i + 1 for i, step in enumerate(steps)}

    def read(step: Step) -> Seen | None:
        if not needed(step):
            return None
        return read_step(job, step) if step.certain else Seen(step)

    def encode(seen: Seen) -> Seen:
        return encode_step(job, seen) if seen.step.certain else seen

    def last(seen: Seen) -> None:
        step = seen.step
        if not needed(step):
            return
        if not step.certain:
            unread = read_step(job, step)
            if unread is None:
                return
            seen = encode_step(job, unread)
        finish(seen)
        if job.progress is not None:
            text = step.view.key if describe is None else describe(step)
            job.progress(Progress(places[id(step)], len(steps), text))

    run(steps, (read, encode), last, cancel=job.cancel)


def read_step(job: Job, step: Step) -> Seen | None:
    """A step's picture, or its cached embedding; None where there is no data to look at."""
    view = step.view
    if step.objects is None:
        valid = job.image.valid(view.region)
        if valid is not None and not valid.any():
            return None
    elif job.cache is not None:
        known = job.cache.get(_key(job, step))
        if known is not None:
            return Seen(step, embedding=known)
    block = job.image.read(view.region, size=view.size)
    return Seen(step, job.intensity.apply(view.squeeze(block)))


def encode_step(job: Job, seen: Seen) -> Seen:
    """The step with its embedding, made once for every object and every later question."""
    if seen.embedding is not None:
        return seen
    key = _key(job, seen.step)
    embedding = job.cache.get(key) if job.cache is not None else None
    if embedding is None:
        assert seen.picture is not None
        embedding = job.model.encode([seen.picture])[0]
        if job.cache is not None:
            job.cache.put(key, embedding)
    return replace(seen, embedding=embedding)


def _key(job: Job, step: Step) -> str:
    return cache_key(job.model.weights_hash, job.image, job.intensity, step.view)
