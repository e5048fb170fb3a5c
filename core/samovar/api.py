"""The Python API of a few lines: open, load_model, segment, save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.errors import PromptError, UsageError
from samovar.executor import CancelToken, ProgressCallback
from samovar.formats import open_image, read_prompts
from samovar.image import Image
from samovar.intensity import Intensity, choose_intensity
from samovar.job import Recipe
from samovar.manifest import build_manifest
from samovar.models import load_model as load_model
from samovar.objects import Objects
from samovar.pipeline import Job, PipelineModel, WholeJob, segment_image
from samovar.plugins import registry
from samovar.prompts import Prompt, Prompts, Space
from samovar.segmenters import SegmenterModel, check_asked, load_segmenter, segmenter_spec
from samovar.specs import SegmenterSpec

Boxes = Sequence[Sequence[float]] | Mapping[str, Sequence[float]]
Points = Sequence[Sequence[float]] | Mapping[str, Sequence[Sequence[float]]]


def open(path: str | Path, **options: Any) -> Image:
    """Open a volume, raster or picture; pixels are read when needed.

    Args:
        path: file, folder or URL, as an installed format reads it.
        options: of the format (``bands="4,3,2"``).

    Raises:
        InputError: the file is missing, broken, or of a format that nobody here reads.
    """
    return open_image(str(path), **options)


def make_prompts(
    boxes: Boxes | None = None, points: Points | None = None, space: Space = "index"
) -> Prompts:
    """Prompts from plain numbers.

    Args:
        boxes: ``x0, y0[, z0], x1, y1[, z1]`` each, max exclusive; by name or in a list.
        points: by name: all points of one object, each ``x, y[, z]``; in a list: one object each.
            A leading minus marks the negative points of a name:
            ``{"kidney": [(x, y, z)], "-kidney": [(x, y, z)]}``.
        space: ``"index"``, ``"world"`` (LPS mm or the raster's CRS) or ``"ras"``.
    """
    found: dict[str, dict[str, Any]] = {}
    for i, (name, box) in enumerate(_named(boxes)):
        found[name or f"\0box{i}"] = {"name": name, "box": tuple(float(v) for v in box)}
    for i, (name, given) in enumerate(_named(points)):
        sign = 0 if name.startswith("-") else 1
        name = name.removeprefix("-")
        entry = found.setdefault(name or f"\0point{i}", {"name": name})
        many = given if name else [given]
        entry["points"] = (*entry.get("points", ()), *(tuple(float(v) for v in p) for p in many))
        entry["labels"] = (*entry.get("labels", ()), *(sign for _ in many))
    return Prompts(tuple(Prompt(i + 1, **e) for i, e in enumerate(found.values())), space)


def segment(
    image: Image | str | Path,
    *,
    model: PipelineModel | SegmenterModel | str | Path = "tiny",
    boxes: Boxes | None = None,
    points: Points | None = None,
    prompts: Prompts | str | Path | None = None,
    auto: str | None = None,
    auto_options: Mapping[str, Any] | None = None,
    space: Space = "index",
    modality: str = "auto",
    window: Sequence[str] = (),
    threads: int | None = None,
    runtime: str = "default",
    precision: str = "auto",
    device: str = "cpu",
    accept_license: Sequence[str] = (),
    region_decode: str = "auto",
    following: Following | None = None,
    cache: EmbeddingCache | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Objects:
    """Segment one image.

    Args:
        image: opened, or a path.
        model: loaded, a name, or the folder of a bundle; a segmenter's too.
        boxes, points, space: as :func:`make_prompts` takes them.
        prompts: ready ones, or a prompt file; joined with ``boxes`` and ``points``.
        auto: name of a prompt generator, instead of prompts.
        auto_options: of the generator.
        modality, window: see :func:`samovar.intensity.choose_intensity`.
        region_decode: ``auto``, ``on`` or ``off``, see :func:`samovar.models.load_model`.
        threads, runtime, precision, device, accept_license: for a model given by name.
        following: how prompted objects of a volume are followed: axis, extent, anchor, consensus
            (:class:`samovar.chains.Following`).
        cache: keeps embeddings for the next call on the same image.

    Returns:
        One object a prompt in their order (empty where nothing was found), or the proposed ones.

    Raises:
        InputError, PromptError, UsageError, BundleError: nothing was done.
        Cancelled: the token was set.
    """
    with prepared(
        image, model=model, boxes=boxes, points=points, prompts=prompts, auto=auto,
        auto_options=auto_options, space=space, modality=modality, window=window,
        threads=threads, runtime=runtime, precision=precision, device=device,
        accept_license=accept_license, region_decode=region_decode, following=following,
        cache=cache, progress=progress, cancel=cancel,
    ) as (job, record, _):
        items = segment_image(job)
    return Objects(job.image.grid, items, record, job.image)


@contextmanager
def prepared(
    image: Image | str | Path,
    *,
    model: PipelineModel | SegmenterModel | str | Path = "tiny",
    boxes: Boxes | None = None,
    points: Points | None = None,
    prompts: Prompts | str | Path | None = None,
    auto: str | None = None,
    auto_options: Mapping[str, Any] | None = None,
    space: Space = "index",
    modality: str = "auto",
    window: Sequence[str] = (),
    accept_license: Sequence[str] = (),
    following: Following | None = None,
    cache: EmbeddingCache | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    **loading: Any,
) -> Iterator[tuple[Job | WholeJob, dict[str, Any], Recipe]]:
    """Everything that :func:`segment` does before it segments, and its manifest.

    What was opened and loaded here is closed at the end. The recipe says how to have the same
    elsewhere.
    """
    with ExitStack() as ours:
        if not isinstance(image, Image):
            image = ours.enter_context(open_image(str(image)))
        asked = _prompts(image, boxes, points, prompts, space)
        spec = segmenter_spec(model)
        if spec is not None:
            if auto is not None:
                raise UsageError(f"--auto is for models with an encoder, {spec.name} has none")
            if following not in (None, Following()):
                raise UsageError(
                    "axis, extent, anchor and consensus are about following objects from slice to "
                    f"slice, and {spec.name} does not: leave them out"
                )
            check_asked(spec, image, asked, spec.name)
            intensity = _intensity_of(spec, image, modality, window)
            if not isinstance(model, SegmenterModel):
                assert isinstance(model, str | Path)
                whole = load_segmenter(model, accept_license=tuple(accept_license), **loading)
                model = ours.enter_context(closing(whole))
            record = build_manifest(image, intensity, model.describe(), asked, None)
            record["following"] = None
            whole_job = WholeJob(image, model, intensity, asked, cancel, progress)
            yield whole_job, record, Recipe("", loading, tuple(accept_license))
            return
        assert not isinstance(model, SegmenterModel)
        if (asked is None) == (auto is None):
            raise UsageError(
                "give prompts (--box, --point, --prompts) or a prompt generator (--auto), "
                + ("not both" if auto else "one of the two is needed")
            )
        if following is not None:
            following.check(image.grid)
        intensity = choose_intensity(image, modality, window)
        generator = None
        if auto is not None:
            spec = registry().find("prompt-generator", auto)
            generator = registry().load(spec, **(auto_options or {}))
        named = ""
        if isinstance(model, str | Path):
            named = str(model)
            loaded = load_model(model, accept_license=tuple(accept_license), **loading)
            model = ours.enter_context(closing(loaded))
        recipe = Recipe(named, loading, tuple(accept_license), auto, dict(auto_options or {}))
        record = build_manifest(image, intensity, model.describe(), asked, auto, following)
        job = Job(image, model, intensity, asked, generator, cache, cancel, progress, following)
        yield job, record, recipe


def _intensity_of(
    spec: SegmenterSpec, image: Image, modality: str, window: Sequence[str]
) -> Intensity:
    """The intensity step; of a segmenter that reads values it only draws the preview."""
    step = choose_intensity(image, modality, window)
    if spec.reads == "picture":
        return step
    return replace(step, rule=f"the file's own values, prepared by the model; drawn by {step.rule}")


def _named(given: Sequence[Any] | Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.items())
    return [("", value) for value in given]


def _prompts(
    image: Image,
    boxes: Boxes | None,
    points: Points | None,
    prompts: Prompts | str | Path | None,
    space: Space,
) -> Prompts | None:
    """All prompts in index coordinates, numbered anew where two sources are joined."""
    sources = []
    if boxes is not None or points is not None:
        sources.append(make_prompts(boxes, points, space))
    if isinstance(prompts, str | Path):
        sources.append(read_prompts(str(prompts), image))
    elif prompts is not None:
        sources.append(prompts)
    if not sources:
        return None
    if len(sources) == 1:
        joined = sources[0].to_index(image.grid)
    else:
        every = [p for s in sources for p in s.to_index(image.grid)]
        joined = Prompts(tuple(replace(p, id=i + 1) for i, p in enumerate(every)))
    if not joined.objects:
        raise PromptError("no prompt was given: add --box, --point, --prompts or --auto")
    joined.check(image.grid)
    return joined
