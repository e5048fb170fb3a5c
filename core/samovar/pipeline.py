"""The one road: open → views → encode → propose → decode → link → objects.

Slices and tiles differ in their plan (plans.py) and in how a step's prompts come about: prompted
objects of a volume are followed from slice to slice (volumes.py), everything else is asked for in
views that know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from samovar.answers import answer, check_kinds, object_of
from samovar.chains import Following
from samovar.errors import Cancelled, UsageError
from samovar.job import Job as Job
from samovar.job import PipelineModel as PipelineModel
from samovar.job import WholeJob as WholeJob
from samovar.link import Part, link
from samovar.looking import Seen, look
from samovar.objects import SegmentedObject
from samovar.plans import plan_slices
from samovar.segmenting import segment_whole
from samovar.tiles import TileRun, segment_tiles
from samovar.volumes import segment_volume


def segment_image(job: Job | WholeJob, run: TileRun | None = None) -> tuple[SegmentedObject, ...]:
    """Objects of one image, in the order of the prompts, or by place where a generator proposed.

    A segmenter, a whole model in one, is asked once and passes by views, encoding and decoding.

    Prompted objects that were not found are there, empty. Masks leave the decoder unclipped,
    unfilled and unfiltered.

    Args:
        run: how the tiles of a 2-D image are worked through.

    Raises:
        UsageError: neither prompts nor a generator, or a prompt kind that the model does not take.
        Cancelled: the token was set; of a volume it carries the objects that were finished, or,
            where a generator proposed, those of the slices that were finished.
        PluginError: a model or generator failed.
    """
    if isinstance(job, WholeJob):
        return segment_whole(job)
    if job.prompts is None and job.generator is None:
        raise UsageError("nothing to look for: give a box, a point, a prompt file or --auto")
    if job.prompts is not None:
        check_kinds(job.prompts, job.model.decoder)
    if job.image.grid.ndim == 2:
        return segment_tiles(job, run)
    if job.prompts is not None:
        return segment_volume(job)
    return _proposed_volume(job)


def _proposed_volume(job: Job) -> tuple[SegmentedObject, ...]:
    """What a generator finds in every slice, linked; what ends at an interrupt may be cut there."""
    parts: list[Part] = []
    steps = plan_slices(job.image.grid, _axis(job))
    try:
        look(job, steps, lambda step: True, lambda seen: parts.extend(_proposed(job, seen)))
    except (KeyboardInterrupt, Cancelled) as stopped:
        cancelled = Cancelled("cancelled: objects of finished slices were kept")
        cancelled.finished = _linked(job, parts)
        raise cancelled from stopped
    return _linked(job, parts)


def _linked(job: Job, parts: Sequence[Part]) -> tuple[SegmentedObject, ...]:
    return tuple(object_of(job.image, i + 1, group) for i, group in enumerate(link(parts)))


def _axis(job: Job) -> int:
    return (job.following or Following()).array_axis(job.image.grid)


def _proposed(job: Job, seen: Seen) -> list[Part]:
    assert seen.embedding is not None and seen.picture is not None
    return answer(job, seen.step.view, seen.picture, seen.embedding, None)
