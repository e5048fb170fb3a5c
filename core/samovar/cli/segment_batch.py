"""``samovar segment`` on many studies: ``STUDY1 STUDY2 … --out-dir DIR``, or ``--jobs TABLE``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samovar.batch import (
    Outcome,
    Record,
    Study,
    digest,
    file_digest,
    fingerprint,
    name_studies,
    read_jobs,
    run_studies,
    without_private_names,
)
from samovar.cli.segment_request import Request, check_arguments, option_owners
from samovar.cli.segment_run import run_segment
from samovar.discovery import one_line
from samovar.errors import Cancelled, OutputError, SamovarError, UsageError
from samovar.formats import note_private, split_output
from samovar.plugins import registry
from samovar.privacy import hide
from samovar.reporting import print_json, print_line, print_table, results_kept_clean, say

_LISTS = {"output": "outputs", "box": "boxes", "point": "points", "window": "windows"}
_WORDS = ("world", "prompts", "auto", "modality", "reader", "preview")
_FOLLOWING = ("axis", "extent", "anchor")
_FILES = ("prompts",)
NAMES = ("{name}", "{number}")


@dataclass(frozen=True)
class BatchRequest:
    """Several studies, and what is asked of all of them."""

    inputs: Sequence[str]
    jobs: str | None
    out_dir: str | None
    every: Request


def run_batch(batch: BatchRequest) -> int:
    """Do every study, report, and say by the exit code whether all went well.

    Raises:
        UsageError, OutputError, InputError: what is wrong with the batch as a whole.
        KeyboardInterrupt: what was finished is recorded.
    """
    every = batch.every
    folder = _folder(batch)
    studies = _studies(batch)
    requests = {
        study.name: study_request(every, study, folder, number)
        for number, study in enumerate(studies, start=1)
    }
    if batch.jobs is None and requests:
        check_arguments(next(iter(requests.values())))
    record = Record(folder)
    _require_free(folder, every)
    with results_kept_clean():
        weights = _weights(every)
        questions = [(s, _question(requests[s.name], weights)) for s in studies]
        for study, asked in questions:
            if every.tiles.resume and record.begun(study.name, asked):
                requests[study.name] = _going_on(requests[study.name])
        started = time.perf_counter()

        def tell(outcome: Outcome, done: int, total: int) -> None:
            if not every.quiet:
                say(_line(outcome, done, total, time.perf_counter() - started))

        work = _work(every, requests)
        outcomes = run_studies(questions, work, record, resume=every.tiles.resume, tell=tell)
    return _report(every, outcomes, folder)


def study_request(every: Request, study: Study, folder: Path, number: int) -> Request:
    """The request of one study: what all are asked, its own options, its own outputs.

    Raises:
        UsageError: an output that every study would overwrite.
    """
    request = _with_options(every, study.options)
    names = {"name": study.name, "number": f"{number:04d}"}
    outputs = [_placed(text, folder, names) for text in request.outputs]
    if not outputs:
        outputs = [str(folder / f"{study.name}_seg{_suffix(study.input)}")]
    preview = None if request.preview is None else _placed(request.preview, folder, names)
    prompts = request.prompts
    if prompts is not None:
        prompts = _filled(prompts, {**names, "name": study.own_name or study.name})
    tiles = replace(request.tiles, scheduler=None, resume=False, overwrite=True)
    return replace(
        request, input=study.input, outputs=outputs, preview=preview, prompts=prompts,
        manifest=str(folder / f"{study.name}.json"), tiles=tiles, as_json=False, quiet=True,
    )  # fmt: skip


def do_study(request: Request, model: Any = None) -> Outcome:
    """One study, whatever goes wrong with it.

    Args:
        request: with a manifest.
        model: loaded; default: the request's, kept for this process's next study.
    """
    started, name = time.perf_counter(), Path(str(request.manifest)).stem
    try:
        loaded = model if model is not None else _model(request)
        code = run_segment(replace(request, model=loaded))
    except (KeyboardInterrupt, Cancelled):
        raise
    except SamovarError as error:
        return _failed(name, str(error), started)
    except Exception as error:
        return _failed(name, f"internal error: {one_line(error)}; report it", started)
    manifest = Path(str(request.manifest))
    table = json.loads(manifest.read_text(encoding="utf-8"))
    objects = table["objects"]
    bounds = [o["bounds"] for o in objects]
    empty = sum(b[: len(b) // 2] == b[len(b) // 2 :] for b in bounds)
    others = [] if request.preview is None else [Path(request.preview).name]
    return Outcome(
        name,
        "failed" if code else "done",
        len(objects),
        empty,
        round(time.perf_counter() - started, 2),
        "a part of it failed: see what it said" if code else "",
        (*table["outputs"], *others),
        file_digest(manifest),
    )


def _failed(name: str, message: str, started: float) -> Outcome:
    seconds = round(time.perf_counter() - started, 2)
    return Outcome(name, "failed", seconds=seconds, message=hide(" ".join(message.split())))


def _folder(batch: BatchRequest) -> Path:
    if batch.out_dir is None:
        what = "--jobs needs" if batch.jobs else "several inputs need"
        raise UsageError(f"{what} --out-dir DIR, a folder for what is found")
    if batch.every.manifest is not None:
        raise UsageError("--manifest: every study of a batch gets its own, OUT-DIR/NAME.json")
    if batch.every.extend is not None:
        raise UsageError("--extend is about one input: leave it out")
    folder = Path(batch.out_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error})") from error
    return folder


def _studies(batch: BatchRequest) -> list[Study]:
    if batch.jobs is None:
        return _discreet(name_studies(batch.inputs))
    if batch.inputs:
        raise UsageError("give inputs or --jobs TABLE, not both")
    known = {*_LISTS, *_WORDS, *_FOLLOWING}
    known |= {o.key for spec in option_owners(registry()) for o in spec.options}
    return _discreet(read_jobs(batch.jobs, sorted(known), _FILES))


def _discreet(studies: Sequence[Study]) -> list[Study]:
    """Studies whose files are called after their patient get a number for a name."""
    for study in studies:
        note_private(study.input)
    found = without_private_names(studies)
    count = sum(a.name != b.name for a, b in zip(studies, found, strict=True))
    if count:
        say(f"{count} of {len(found)} inputs are called after their patients: what is found of "
            "them is called study_ and their number in the order given")  # fmt: skip
    return found


def _with_options(every: Request, options: Mapping[str, str]) -> Request:
    """A row's cells in place of what the command line says; several values lie between ``;``."""
    fields: dict[str, Any] = {}
    following: dict[str, Any] = {}
    more = dict(every.plugin_options)
    for key, text in options.items():
        if key in _LISTS:
            fields[_LISTS[key]] = [part.strip() for part in text.split(";") if part.strip()]
        elif key in _WORDS:
            fields[key] = text
        elif key in _FOLLOWING:
            following[key] = text
        else:
            more[key] = text
    if {"prompts", "boxes", "points"} & set(fields) and "auto" not in fields:
        fields["auto"] = None
    way = replace(every.following, **following)
    return replace(every, plugin_options=more, following=way, **fields)


def _placed(text: str, folder: Path, names: Mapping[str, str]) -> str:
    """An output's name in the folder of the batch: ``{name}.seg.nrrd``."""
    form, path = split_output(text)
    if not any(part in path.name for part in NAMES):
        raise UsageError(
            f"{text}: every study would be written to it: put {{name}} or {{number}} into it"
        )
    if path.name != str(path):
        raise UsageError(f"{text}: outputs of a batch lie in --out-dir: give a name without folder")
    target = str(folder / _filled(path.name, names))
    return f"{form}:{target}" if form else target


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _going_on(request: Request) -> Request:
    """A raster or picture whose run was interrupted goes on with its tiles."""
    from samovar.segmenters import segmenter_spec

    if segmenter_spec(request.model) is not None:
        return request
    if Path(request.input).is_dir() or _claimed(request.input)[1] == {"volume"}:
        return request
    return replace(request, tiles=replace(request.tiles, resume=True, overwrite=False))


def _suffix(source: str) -> str:
    """The input's own where labels can be written in it, else NIfTI or PNG."""
    suffix, _ = _claimed(source)
    if suffix and suffix != ".dcm":
        return suffix
    return ".nii.gz" if Path(source).is_dir() or suffix == ".dcm" else ".png"


def _claimed(source: str) -> tuple[str, set[str]]:
    """The longest suffix that a writer has, and the domains of its writers."""
    name = Path(source).name.lower()
    writers = [s for s in registry().specs("format") if s.writes]
    found = {x for s in writers for x in s.suffixes if name.endswith(x)}
    suffix = max(found, key=len, default="")
    return suffix, {d for s in writers if suffix in s.suffixes for d in s.domains}


def _require_free(folder: Path, every: Request) -> None:
    if (folder / "batch.json").exists() and not (every.tiles.resume or every.tiles.overwrite):
        raise UsageError(
            f"{folder}: holds a batch already: --resume to go on with it, --overwrite to begin "
            "anew, or another --out-dir"
        )


def _question(request: Request, weights: str) -> str:
    """Everything that decides a study's outputs, as a hash."""
    asked = {k: v for k, v in vars(request).items() if k not in ("quiet", "as_json", "tiles")}
    prompts = fingerprint(request.prompts) if request.prompts else None
    return digest([asked, fingerprint(request.input), prompts, weights])


_loaded: dict[str, Any] = {}
"""Models by how they were asked for: a process loads each once, whatever it is sent."""


def _model(request: Request) -> Any:
    from samovar.models import load_model
    from samovar.segmenters import load_segmenter, segmenter_spec

    if not isinstance(request.model, str):
        return request.model
    loading: dict[str, Any] = {
        "runtime": request.runtime, "precision": request.precision, "threads": request.threads,
        "device": request.device, "accept_license": tuple(request.accept_license),
        "region_decode": request.region_decode,
    }  # fmt: skip
    key = digest([request.model, loading])
    if key not in _loaded:
        load = load_model if segmenter_spec(request.model) is None else load_segmenter
        _loaded[key] = load(request.model, **loading)
    return _loaded[key]


def _weights(every: Request) -> str:
    return str(_model(every).weights_hash)


def _work(
    every: Request, requests: Mapping[str, Request]
) -> Callable[[Sequence[Study]], Iterator[Outcome]]:
    if every.tiles.scheduler is None:
        return lambda studies: (do_study(requests[s.name]) for s in studies)
    address = every.tiles.scheduler

    def spread(studies: Sequence[Study]) -> Iterator[Outcome]:
        from samovar.scheduler import spread_calls

        calls = {s.name: requests[s.name] for s in studies}
        for name, outcome in spread_calls(address, do_study, calls):
            if isinstance(outcome, Outcome):
                yield outcome
            else:
                yield _failed(name, f"its worker was lost: {outcome}", time.perf_counter())

    return spread


def _line(outcome: Outcome, done: int, total: int, seconds: float) -> str:
    count = "1 object" if outcome.objects == 1 else f"{outcome.objects} objects"
    what = outcome.message if outcome.status == "failed" else count
    left = seconds / done * (total - done)
    rest = f", about {left / 60:.0f} min left" if left >= 90 else ""
    return f"{done}/{total} {outcome.name}: {outcome.status}, {what}, {outcome.seconds:g} s{rest}"


def _report(every: Request, outcomes: Sequence[Outcome], folder: Path) -> int:
    failed = sum(o.status == "failed" for o in outcomes)
    if every.as_json:
        with suppress(BrokenPipeError):
            print_json({"studies": [vars(o) for o in outcomes], "failed": failed})
    elif not every.quiet:
        columns = ["study", "status", "objects", "not found", "s", "what happened"]
        rows = [[o.name, o.status, o.objects, o.empty, o.seconds, o.message] for o in outcomes]
        print_table(columns, rows)
        print_line(f"wrote {folder}")
        if failed:
            say(f"{failed} of {len(outcomes)} studies failed; --resume does those that are left")
    return 1 if failed else 0
