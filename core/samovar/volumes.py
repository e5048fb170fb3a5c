"""Prompted objects of a volume: followed along one axis, or along all three and put to the vote.

The vote: a voxel belongs to an object when two of the three axes say so. The first axis is the
one of the prompts; what is found there bounds the object along the two others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.errors import Cancelled
from samovar.job import Job
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.prompts import Prompt, Prompts
from samovar.volume_session import VolumeSession

_MARGIN = 1
"""Voxels by which the box of the first axis's answer grows for the others."""


def segment_volume(job: Job) -> tuple[SegmentedObject, ...]:
    """Objects of a volume in the order of its prompts; empty where nothing was found.

    Raises:
        Cancelled: the token was set, or the user interrupted; ``finished`` holds the objects that
            were finished by then, of a vote those on which all three axes have voted.
    """
    following = job.following if job.following is not None else Following()
    return _vote_of(job, following) if following.consensus else _followed(job)


def _vote_of(job: Job, following: Following) -> tuple[SegmentedObject, ...]:
    main = following.array_axis(job.image.grid)
    votes: dict[int, list[SegmentedObject]] = {}
    try:
        votes = {o.id: [o] for o in _followed(job)}
        asked = Prompts(tuple(_bounded(o, job) for (o,) in votes.values() if not o.empty))
        for axis in (a for a in range(3) if a != main and len(asked)):
            way = replace(following, axis="zyx"[axis], extent="box", consensus=False)
            for item in _followed(replace(job, prompts=asked, following=way)):
                votes[item.id].append(item)
    except Cancelled as stopped:
        last = [o for o in stopped.finished if len(votes.get(o.id, ())) == 2]
        stopped.finished = tuple(_voted(job, [*votes[o.id], o]) for o in last)
        raise
    return tuple(_voted(job, given) for given in votes.values())


def _followed(job: Job) -> tuple[SegmentedObject, ...]:
    cache = EmbeddingCache()
    if job.cache is None:
        job = replace(job, cache=cache)
    session = VolumeSession(job, remember=False)
    try:
        session.update()
    except (KeyboardInterrupt, Cancelled) as stopped:
        cancelled = Cancelled("cancelled: finished objects were kept")
        cancelled.finished = session.objects(session.finished())
        raise cancelled from stopped
    finally:
        cache.clear()
    return session.objects()


def _bounded(item: SegmentedObject, job: Job) -> Prompt:
    """The same object by the box of what was found, and the points that lie in it."""
    assert item.prompt is not None
    start = [max(0, v - _MARGIN) for v in item.region.start[::-1]]
    stop = [
        min(n, v + _MARGIN)
        for v, n in zip(item.region.stop[::-1], job.image.grid.shape[::-1], strict=True)
    ]
    return replace(
        item.prompt, box=(*map(float, start), *map(float, stop)), key_boxes=(), painted=()
    )


def _voted(job: Job, votes: Sequence[SegmentedObject]) -> SegmentedObject:
    """What most of three answers agree on; how far they agree is the certainty."""
    first, filled = votes[0], [v for v in votes if not v.empty]
    if len(filled) < 2:
        return first
    region = filled[0].region
    for vote in filled[1:]:
        region = region.union(vote.region)
    count = np.zeros(region.shape, dtype=np.uint8)
    for vote in filled:
        count[vote.region.within(region)] += vote.mask
    inside = count >= 2
    mask = PixelMask.of(inside, region.start)
    agreed = float(inside.sum() / max(1, np.count_nonzero(count)))
    score = float(np.mean([v.score for v in filled]))
    found = SegmentedObject.from_mask(
        first.id, mask, name=first.name, class_id=first.class_id, score=score,
        uncertainty=1.0 - agreed, prompt=first.prompt, attributes=first.attributes,
        views=tuple(k for v in filled for k in v.views),
    )  # fmt: skip
    return replace(found, measures=job.image.measure(found))
