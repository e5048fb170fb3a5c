"""A segmenter at work: asked once, its answers checked one by one and made objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from samovar.discovery import one_line
from samovar.errors import Cancelled, PluginError, SamovarError
from samovar.executor import Progress
from samovar.grid import Region
from samovar.image import Image
from samovar.job import WholeJob
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.prompts import Prompt
from samovar.protocols import SegmenterAnswer, SegmenterContext
from samovar.segmenters import check_asked


def segment_whole(job: WholeJob) -> tuple[SegmentedObject, ...]:
    """Objects in the order of the prompts, or of their numbers where there are none.

    Prompted objects that were not found are there, empty.

    Raises:
        UsageError, PromptError: an image or prompts that the segmenter does not take.
        Cancelled: the token was set, or the user interrupted; ``finished`` holds the objects that
            were answered by then.
        PluginError: the segmenter failed or broke its contract.
    """
    check_asked(job.model.spec, job.image, job.prompts, job.model.name)
    prompts = None if job.prompts is None else job.prompts.by_id()
    found: dict[int, SegmentedObject] = {}
    try:
        for answer in _answers(job):
            _check_id(answer, prompts, found, job.model.name)
            prompt = None if prompts is None else prompts[answer.id]
            found[answer.id] = _object(answer, prompt, job)
            _check(job)
    except (KeyboardInterrupt, Cancelled) as stopped:
        cancelled = Cancelled("cancelled: finished objects were kept")
        cancelled.finished = tuple(found.values())
        raise cancelled from stopped
    if prompts is None:
        return tuple(found[id] for id in sorted(found))
    return tuple(found.get(p.id) or _nothing(p, job.image) for p in prompts.values())


def _answers(job: WholeJob) -> Iterator[SegmenterAnswer]:
    """What the segmenter yields; what it raises, in one line with its name."""

    def progress(done: int, total: int) -> None:
        if job.progress is not None:
            job.progress(Progress(done, total))

    context = SegmenterContext(job.intensity, lambda: _check(job), progress)
    ask = job.model.segmenter.segment
    answers = _guarded(job, lambda: iter(_iterable(ask(job.image, job.prompts, context), job)))
    while True:
        answer = _guarded(job, lambda: next(answers, None))
        if answer is None:
            return
        if not isinstance(answer, SegmenterAnswer):
            raise PluginError(
                f"segmenter {job.model.name} answered {type(answer).__name__}, not SegmenterAnswer"
            )
        yield answer


def _guarded(job: WholeJob, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except SamovarError:
        raise
    except Exception as error:
        raise PluginError(f"segmenter {job.model.name} failed: {one_line(error)}") from error


def _iterable(answers: object, job: WholeJob) -> Iterable[Any]:
    if not isinstance(answers, Iterable):
        raise PluginError(
            f"segmenter {job.model.name} returned {type(answers).__name__}: segment() yields "
            "SegmenterAnswers"
        )
    return answers


def _check(job: WholeJob) -> None:
    if job.cancel is not None:
        job.cancel.check()


def _check_id(
    answer: SegmenterAnswer, prompts: dict[int, Prompt] | None, found: dict[int, Any], model: str
) -> None:
    if prompts is not None and answer.id not in prompts:
        raise PluginError(f"segmenter {model} answered object {answer.id}, which nobody asked for")
    if answer.id in found or answer.id < 1:
        raise PluginError(
            f"segmenter {model} answered object {answer.id} twice, or with a number below 1"
        )


def _object(answer: SegmenterAnswer, prompt: Prompt | None, job: WholeJob) -> SegmentedObject:
    mask = _tight(answer, job)
    quality, stability = float(answer.quality), float(answer.stability)
    if not (np.isfinite(quality) and np.isfinite(stability)):
        raise PluginError(
            f"segmenter {job.model.name} gave object {answer.id} a quality that is not a number"
        )
    score = min(max(quality, 0.0), 1.0)
    item = SegmentedObject.from_mask(
        answer.id,
        mask,
        name=answer.name if prompt is None else prompt.name,
        class_id=answer.class_id if prompt is None else prompt.class_id,
        score=0.0 if mask.empty else score,
        uncertainty=1.0 if mask.empty else 1.0 - score * min(max(stability, 0.0), 1.0),
        prompt=prompt,
        attributes={**({} if prompt is None else prompt.attributes), **answer.attributes},
    )
    return replace(item, measures=job.image.measure(item))


def _tight(answer: SegmenterAnswer, job: WholeJob) -> PixelMask:
    """The mask inside its own bounds, whatever block the segmenter gave it in."""
    mask, grid = answer.mask, job.image.grid
    good = (
        isinstance(mask, PixelMask)
        and len(mask.region.start) == grid.ndim
        and mask.inside.dtype == np.bool_
        and mask.inside.shape == mask.region.shape
        and (mask.empty or grid.region.contains(mask.region))
    )
    if not good:
        raise PluginError(
            f"segmenter {job.model.name} answered object {answer.id} with a mask that is not one "
            f"of this image: bool, shaped as its region, within {grid.shape}"
        )
    return PixelMask.of(mask.inside, mask.region.start)


def _nothing(prompt: Prompt, image: Image) -> SegmentedObject:
    zero = (0,) * image.grid.ndim
    item = SegmentedObject(
        prompt.id, Region(zero, zero), b"", name=prompt.name, class_id=prompt.class_id,
        prompt=prompt, attributes=prompt.attributes,
    )  # fmt: skip
    return replace(item, measures=image.measure(item))
