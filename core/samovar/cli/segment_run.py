"""``samovar segment`` at work: segment, write all or nothing, report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.cli.progress import shown_progress
from samovar.cli.segment_request import (
    Generator,
    Outputs,
    Request,
    check_arguments,
    check_outputs,
    check_plugin_options,
    find_generator,
    given_options,
    open_input,
    read_all_prompts,
)
from samovar.cli.tile_report import failure_lines
from samovar.errors import Cancelled
from samovar.executor import CancelToken
from samovar.formats import stage_objects, written_suffix
from samovar.image import Image
from samovar.labels import extend, one_file_each, read_labels
from samovar.licences import restriction
from samovar.manifest import to_json
from samovar.objects import Objects
from samovar.plugins import registry
from samovar.privacy import hide
from samovar.prompts import Prompts
from samovar.reporting import print_json, print_line, print_table, results_kept_clean, say
from samovar.staging import Turn, in_turn, stage

if TYPE_CHECKING:
    from samovar.job import Job, Recipe, WholeJob
    from samovar.runs import Done

SHOWN = 60
"""Rows of the table on the console."""
NAMED = 10
"""Objects named in one line."""


def run_segment(request: Request) -> int:
    """Check everything, segment, write everything, report.

    Raises:
        SamovarError: in one line; nothing was written.
    """
    registry()
    given = check_arguments(request)
    generator = find_generator(request)
    with ExitStack() as stack:
        stack.enter_context(results_kept_clean())
        image = stack.enter_context(open_input(request))
        outputs = check_outputs(request, image)
        check_plugin_options(request, outputs)
        prompts = read_all_prompts(request, image, given)
        done: Done | None = None
        tiled = image.grid.ndim == 2 and not _whole(request, image, outputs)
        if tiled and request.extend is None and not request.split_labels:
            done = _run_tiles(request, image, prompts, generator, outputs)
            if done is None:
                return 0
            objects, written = done.objects, [path for path, _ in outputs.objects]
        else:
            request.tiles.refuse()
            existing = None if request.extend is None else read_labels(request.extend, image)
            objects, cancelled = _segment(request, image, prompts, generator)
            if cancelled:
                raise _kept(objects, prompts, image, outputs, given_options(request))
            if existing is not None:
                objects, left = extend(objects, existing, image)
                _say_left(request, left)
            written = _write(request, objects, image, outputs)
    _report(request, objects, outputs, written, done)
    return 1 if done is not None and done.failed else 0


def _whole(request: Request, image: Image, outputs: Outputs) -> bool:
    """Whether the model is a segmenter, which looks at the image as a whole.

    Raises:
        OutputError: a raster's results are there already, and --overwrite was not given.
    """
    from samovar.segmenters import segmenter_spec

    if segmenter_spec(request.model) is None:
        return False
    from samovar.runs import Place

    Place(image, outputs.objects, request.tiles, given_options(request))
    return True


def _segment(
    request: Request, image: Image, prompts: Prompts | None, generator: Generator | None
) -> tuple[Objects, bool]:
    """The objects, and whether these are only those that were finished before an interrupt."""
    # the pipeline and the models are not needed to say that the input is wrong
    from samovar.pipeline import segment_image

    with _prepared(request, image, prompts, generator) as (job, record, _):
        try:
            return Objects(image.grid, segment_image(job), record, image), False
        except Cancelled as stopped:
            record["cancelled"] = True
            return Objects(image.grid, stopped.finished, record, image), True


def _kept(
    objects: Objects,
    prompts: Prompts | None,
    image: Image,
    outputs: Outputs,
    options: Mapping[str, Any],
) -> Cancelled:
    """What was finished goes to outputs called ``.partial``; returns what to tell the user."""
    if not len(objects) or not outputs.objects:
        return Cancelled("cancelled: no object was finished, nothing was written")
    with in_turn() as turn:
        for path, spec in outputs.objects:
            suffix = written_suffix(path, spec)
            stem = path.name[: len(path.name) - len(suffix)]
            target = path.with_name(f"{stem}.partial{suffix}")
            turn.write(target, partial(stage_objects, objects, target, spec, image, **options))
    names = ", ".join(str(f) for f in turn.finished)
    if prompts is None:
        kept = f"{len(objects)} objects of the finished slices are in {names}"
        return Cancelled(f"cancelled: {kept}; at the last slice some may be cut")
    kept = f"{len(objects)} of {len(prompts)} objects were finished and are in {names}"
    return Cancelled(f"cancelled: {kept}")


@contextmanager
def _prepared(
    request: Request, image: Image, prompts: Prompts | None, generator: Generator | None
) -> Iterator[tuple[Job | WholeJob, dict[str, Any], Recipe]]:
    from samovar.api import Asked, prepared_as

    cancel = CancelToken()
    with shown_progress(not request.quiet) as tick:
        asked = Asked(
            model=request.model,
            prompts=prompts,
            auto=None if generator is None else generator.spec.canonical,
            auto_options=None if generator is None else generator.options,
            modality=request.modality,
            window=tuple(request.windows),
            runtime=request.runtime,
            precision=request.precision,
            threads=request.threads,
            device=request.device,
            accept_license=tuple(request.accept_license),
            region_decode=request.region_decode,
            following=request.following,
            tiles=request.tiles,
            progress=tick,
            cancel=cancel,
        )
        try:
            with prepared_as(image, asked) as ready:
                yield ready
        except KeyboardInterrupt:
            cancel.cancel()
            raise


def _run_tiles(
    request: Request,
    image: Image,
    prompts: Prompts | None,
    generator: Generator | None,
    outputs: Outputs,
) -> Done | None:
    """A 2-D image: objects go to the outputs as they are found, and a ledger keeps the tiles.

    Returns:
        None where all that was asked for had been done before.
    """
    from samovar.job import Job
    from samovar.runs import Place

    place = Place(image, outputs.objects, request.tiles, given_options(request))
    files = [path for path, _ in outputs.objects]
    others = [path for path in (outputs.preview, outputs.manifest) if path is not None]
    with ExitStack() as stack:
        job, record, recipe = stack.enter_context(_prepared(request, image, prompts, generator))
        assert isinstance(job, Job)
        keep = bool(request.as_json or others)
        done = stack.enter_context(
            place.segmented(job, record, recipe, keep=keep, shown=SHOWN, others=others)
        )
        if done is None:
            say(f"{files[0]}: this run was finished before; --overwrite makes it anew")
            return None
        with in_turn() as turn:
            turn.staged.extend(done.staged)
            _write_others(done.objects, image, outputs, files, turn)
    return done


def _say_left(request: Request, left: int) -> None:
    if left and not (request.quiet or request.as_json):
        say(f"{left} pixels of new objects lie in existing ones, to which they were left")


def _write(request: Request, objects: Objects, image: Image, outputs: Outputs) -> list[Path]:
    """Write all outputs or none; the files of objects, as they are called in the end.

    Raises:
        Cancelled: what was finished by then is there.
    """
    options = given_options(request)
    files: list[Path] = []
    with in_turn() as turn:
        for path, spec in outputs.objects:
            jobs = [(path, objects)]
            if request.split_labels:
                jobs = one_file_each(objects, path, written_suffix(path, spec))
            for target, part in jobs:
                turn.write(target, partial(stage_objects, part, target, spec, image, **options))
                files.append(target)
        _write_others(objects, image, outputs, files, turn)
    return files


def _write_others(
    objects: Objects, image: Image, outputs: Outputs, files: Sequence[Path], turn: Turn
) -> None:
    """Preview and manifest."""
    if outputs.preview is not None:
        from samovar.preview import save_preview

        def draw(temporary: Path) -> None:
            save_preview(objects, temporary, image)

        turn.write(outputs.preview, partial(stage, outputs.preview, "the preview", draw))
    if outputs.manifest is not None:
        record = {
            **objects.provenance,
            **({"cancelled": True} if turn.left else {}),
            "outputs": [p.name for p in files if p in turn.finished],
            "objects": objects.table(),
        }
        text = to_json(record)

        def write(temporary: Path) -> None:
            temporary.write_text(text, encoding="utf-8")

        make = partial(stage, outputs.manifest, "the manifest", write)
        turn.write(outputs.manifest, make, about_them=True)


def _report(
    request: Request,
    objects: Objects,
    outputs: Outputs,
    written: Sequence[Path],
    done: Done | None = None,
) -> None:
    rows = objects.table()
    failed = () if done is None else done.failed
    if request.as_json:
        print_json(
            {
                "input": hide(request.input),
                "objects": rows,
                "outputs": [str(p) for p in written],
                "preview": None if outputs.preview is None else str(outputs.preview),
                "manifest": None if outputs.manifest is None else str(outputs.manifest),
                "run": objects.provenance,
                **({"failed_tiles": [asdict(f) for f in failed]} if failed else {}),
            }
        )
    for line in failure_lines(failed):
        say(line)
    if request.quiet or request.as_json:
        return
    say(_intensity_line(objects.provenance.get("intensity", {})))
    model = objects.provenance.get("model", {})
    if why := model.get("runtime_choice", {}).get("why"):
        say(f"runtime: {why}")
    if not model.get("gate", {"passed": True})["passed"]:
        say(f"{model['runtime']['precision']} of this model has not passed its gate")
    if restricted := _licence_line(model):
        say(restricted)
    hidden = {"id", "label", "class", "uncertainty", "bounds", "score", "name"}
    carried = {key for item in objects for key in item.attributes}
    measures = [k for k in _columns(rows) if k not in hidden | carried]
    columns = ["label", "name", *(_HEADINGS.get(k, k) for k in measures), "score"]
    if not rows:
        say("no object was found")
    print_table(
        columns,
        [[r["label"], r["name"], *(r.get(k) for k in measures), r["score"]] for r in rows[:SHOWN]],
    )
    count = len(rows) if done is None else done.count
    if count > SHOWN:
        say(f"… and {count - SHOWN} more of {count} objects, in the files and in --json")
    unfound = [o for o in objects if o.empty] if done is None else done.empty
    empty = [f"{o.id} ({o.name})" if o.name else str(o.id) for o in unfound]
    if empty:
        more = ", …" if len(empty) > NAMED else ""
        say(f"nothing was found for object {', '.join(empty[:NAMED])}{more}")
    others = [p for p in (outputs.preview, outputs.manifest) if p is not None]
    for path in (*written, *others):
        print_line(f"wrote {path}")


def _licence_line(model: Mapping[str, Any]) -> str:
    """Every result of weights with a restriction says so; empty for the others."""
    licence = str(model.get("licence", {}).get("weights", ""))
    why = restriction(licence)
    # a folder of the user's own need not state any
    if why is None or why == restriction(""):
        return ""
    return f"licence of the weights: {licence} ({why})"


def _intensity_line(step: Mapping[str, Any]) -> str:
    """The intensity step is never guessed silently."""
    guessed = " (a guess from the values; --modality says it)" if step.get("guessed") else ""
    return f"modality {step.get('modality')}{guessed}: {step.get('rule')}"


_HEADINGS = {"volume_ml": "mL", "area_m2": "m²", "pixels": "pixels", "voxels": "voxels"}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
