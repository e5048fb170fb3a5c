"""The Python API of a few lines: open, load_model, segment, segment_to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from samovar.asked import Asked as Asked
from samovar.asked import make_prompts as make_prompts
from samovar.chains import Following
from samovar.errors import UsageError
from samovar.formats import open_image, stage_objects, writers_for
from samovar.image import Image
from samovar.intensity import Intensity, choose_intensity
from samovar.job import Recipe
from samovar.manifest import build_manifest
from samovar.models import load_model as load_model
from samovar.naming import did_you_mean
from samovar.objects import Objects
from samovar.pipeline import Job, WholeJob, segment_image
from samovar.plugins import registry
from samovar.runs import Done, Place, crew_of, tile_run
from samovar.segmenters import SegmenterModel, check_asked, load_segmenter, segmenter_spec
from samovar.specs import FormatSpec, SegmenterSpec
from samovar.staging import all_or_nothing

Source = Image | str | Path
Fields = ParamSpec("Fields")
Answer = TypeVar("Answer")


def _asking(
    make: Callable[Fields, Asked],
) -> Callable[[Callable[[Source, Asked], Answer]], Callable[Concatenate[Source, Fields], Answer]]:
    """A function of an image and :class:`Asked` becomes one of an image and its fields."""

    def decorate(
        function: Callable[[Source, Asked], Answer],
    ) -> Callable[Concatenate[Source, Fields], Answer]:
        @wraps(function)
        def call(image: Source, /, *args: Fields.args, **fields: Fields.kwargs) -> Answer:
            return function(image, make(*args, **fields))

        image, _, *more = inspect.signature(function).parameters.values()
        fields = inspect.signature(make).parameters.values()
        call.__signature__ = inspect.Signature([image, *more, *fields])  # type: ignore[attr-defined]
        return call

    return decorate


def open(path: str | Path, **options: Any) -> Image:
    """Open a volume, raster or picture; pixels are read when needed.

    Args:
        path: file, folder or URL, as an installed format reads it.
        options: of the format (``bands="4,3,2"``).

    Raises:
        InputError: the file is missing, broken, or of a format that nobody here reads.
    """
    return open_image(str(path), **options)


@_asking(Asked)
def segment(image: Source, asked: Asked) -> Objects:
    """Segment one image: what was found stays in memory. :func:`segment_to` writes as it goes.

    Args:
        image: opened, or a path.
        asked: given as keywords, the fields of :class:`samovar.asked.Asked`: ``boxes``,
            ``points``, ``prompts`` or ``auto``; ``model``, ``modality``, ``tiles`` …

    Returns:
        One object a prompt in their order (empty where nothing was found), or the proposed ones.

    Raises:
        InputError, PromptError, UsageError, BundleError: nothing was done.
        Cancelled: the token was set.
    """
    asked.tiles.check()
    if asked.tiles.resume or asked.tiles.overwrite:
        raise UsageError("resume and overwrite are about files: segment_to writes them")
    with prepared_as(image, asked) as (job, record, recipe):
        run = None
        if isinstance(job, Job) and job.image.grid.ndim == 2:
            run = tile_run(asked.tiles, crew=crew_of(asked.tiles, job, recipe))
        else:
            asked.tiles.refuse()
        items = segment_image(job, run)
    return Objects(job.image.grid, items, record, job.image)


def segment_to(
    image: Source,
    outputs: Sequence[str | Path],
    *,
    writing: Mapping[str, Any] | None = None,
    **asked: Any,
) -> Done | None:
    """Segment one image into files, as ``samovar segment`` does.

    Objects of rasters and pictures go to the files as they are found: memory does not grow with
    the scene, ``tiles=TileOptions(resume=True)`` goes on with a run that was interrupted, and tiles
    that failed are in the answer. Each file appears whole or not at all.

    Args:
        image: opened, or a path.
        outputs: files; the suffix decides the format, or ``NAME:PATH``.
        writing: options of writers (``{"layer": "roofs", "simplify": 0.3}``); each takes those
            that it declares.
        asked: the fields of :class:`samovar.asked.Asked`, as :func:`segment` takes them.

    Returns:
        How many objects there are, the first of them, and the tiles that failed; None where
        ``resume`` found that all had been done before.

    Raises:
        OutputError: a raster's results are there already, or an output cannot be written.
        DiskFull, Cancelled: what was finished is kept for ``resume``.
        InputError, PromptError, UsageError, BundleError: nothing was done.
    """
    with ExitStack() as stack:
        if not isinstance(image, Image):
            image = stack.enter_context(open_image(str(image)))
        what, options = Asked(**asked), dict(writing or {})
        what.tiles.check()
        targets = writers_for(outputs, image, **options)
        _require_owners(options, [spec for _, spec in targets])
        place = Place(image, targets, what.tiles, options)
        job, record, recipe = stack.enter_context(prepared_as(image, what))
        if isinstance(job, Job) and image.grid.ndim == 2:
            done = stack.enter_context(place.segmented(job, record, recipe))
            if done is not None:
                staged = stack.enter_context(all_or_nothing())
                staged.extend(done.staged)
            return done
        what.tiles.refuse()
        objects = Objects(image.grid, segment_image(job), record, image)
        staged = stack.enter_context(all_or_nothing())
        staged.extend(stage_objects(objects, p, s, image, **options) for p, s in targets)
        return Done(staged, objects, len(objects), [o for o in objects if o.empty], ())


def _require_owners(options: Mapping[str, Any], writers: Sequence[FormatSpec]) -> None:
    """Refuse an option of writers that none of these has."""
    known = {o.key for spec in writers for o in spec.options}
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known) or f" (they have: {', '.join(sorted(known)) or 'none'})"
            raise UsageError(f"writing: none of the outputs' formats has an option {key!r}{hint}")


@contextmanager
def prepared_as(
    image: Source, asked: Asked
) -> Iterator[tuple[Job | WholeJob, dict[str, Any], Recipe]]:
    """Everything that :func:`segment` does before it segments, and its manifest.

    What was opened and loaded here is closed at the end. The recipe says how to have the same
    elsewhere.
    """
    with ExitStack() as ours:
        if not isinstance(image, Image):
            image = ours.enter_context(open_image(str(image)))
        prompts, following, auto = asked.prompts_in(image), asked.following, asked.auto
        model, accepted = asked.model, tuple(asked.accept_license)
        spec = segmenter_spec(model)
        if spec is not None:
            if auto is not None:
                raise UsageError(f"--auto is for models with an encoder, {spec.name} has none")
            if following not in (None, Following()):
                raise UsageError(
                    "axis, extent, anchor and consensus are about following objects from slice to "
                    f"slice, and {spec.name} does not: leave them out"
                )
            check_asked(spec, image, prompts, spec.name)
            intensity = _intensity_of(spec, image, asked.modality, asked.window)
            if not isinstance(model, SegmenterModel):
                assert isinstance(model, str | Path)
                whole = load_segmenter(model, accept_license=accepted, **asked.loading)
                model = ours.enter_context(closing(whole))
            record = build_manifest(image, intensity, model.describe(), prompts, None)
            record["following"] = None
            whole_job = WholeJob(image, model, intensity, prompts, asked.cancel, asked.progress)
            yield whole_job, record, Recipe("", asked.loading, accepted)
            return
        assert not isinstance(model, SegmenterModel)
        if (prompts is None) == (auto is None):
            raise UsageError(
                "give prompts (--box, --point, --prompts) or a prompt generator (--auto), "
                + ("not both" if auto else "one of the two is needed")
            )
        if following is not None:
            following.check(image.grid)
        intensity = choose_intensity(image, asked.modality, asked.window)
        generator = None
        if auto is not None:
            spec = registry().find("prompt-generator", auto)
            generator = registry().load(spec, **(asked.auto_options or {}))
        named = ""
        if isinstance(model, str | Path):
            named = str(model)
            loaded = load_model(model, accept_license=accepted, **asked.loading)
            model = ours.enter_context(closing(loaded))
        recipe = Recipe(named, asked.loading, accepted, auto, dict(asked.auto_options or {}))
        record = build_manifest(image, intensity, model.describe(), prompts, auto, following)
        job = Job(
            image,
            model,
            intensity,
            prompts,
            generator,
            asked.cache,
            asked.cancel,
            asked.progress,
            following,
        )
        yield job, record, recipe


@_asking(Asked)
def prepared(
    image: Source, asked: Asked
) -> AbstractContextManager[tuple[Job | WholeJob, dict[str, Any], Recipe]]:
    """:func:`prepared_as`, the fields given as keywords."""
    return prepared_as(image, asked)


def _intensity_of(
    spec: SegmenterSpec, image: Image, modality: str, window: Sequence[str]
) -> Intensity:
    """The intensity step; of a segmenter that reads values it only draws the preview."""
    step = choose_intensity(image, modality, window)
    if spec.reads == "picture":
        return step
    return replace(step, rule=f"the file's own values, prepared by the model; drawn by {step.rule}")
