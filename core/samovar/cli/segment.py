"""``samovar segment``: one command for every kind of image.

Everything is checked before any work: the prompts' text, the image, every output, the model. What
can be refused is refused then, with exit code 2 and nothing written.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from samovar.cli.prompt_arguments import GivenPrompts, join_prompts, parse_prompts, space_of
from samovar.cli.reporting import print_json, print_line, print_table, results_kept_clean, say
from samovar.cli.signatures import extended, shared_options
from samovar.errors import OutputError, PromptError, SamovarError, UsageError
from samovar.executor import CancelToken, Progress, ProgressCallback
from samovar.file_checks import require_writable
from samovar.formats import open_image, read_prompts, stage_objects, writer_for
from samovar.image import Image
from samovar.intensity import parse_window
from samovar.manifest import to_json
from samovar.objects import Objects
from samovar.options import owners_of, split_selector, typed_options
from samovar.plugins import Registry, registry
from samovar.prompts import Prompts
from samovar.specs import FormatSpec, PromptGeneratorSpec, Spec
from samovar.staging import all_or_nothing, stage

Strings = list[str] | None


@dataclass(frozen=True)
class Request:
    """What the command line asked for, as it was given."""

    input: str
    outputs: Sequence[str]
    model: str
    boxes: Sequence[str]
    points: Sequence[str]
    world: str | None
    prompts: str | None
    auto: str | None
    modality: str
    windows: Sequence[str]
    runtime: str
    precision: str
    threads: int | None
    device: str
    accept_license: Sequence[str]
    preview: str | None
    manifest: str | None
    reader: str | None
    as_json: bool
    quiet: bool
    plugin_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outputs:
    """Where results go; every place was checked."""

    objects: Sequence[tuple[Path, FormatSpec]]
    preview: Path | None
    manifest: Path | None

    @property
    def paths(self) -> list[Path]:
        others = [p for p in (self.preview, self.manifest) if p is not None]
        return [p for p, _ in self.objects] + others


@dataclass(frozen=True)
class Generator:
    """A prompt generator that was asked for, with its options typed."""

    spec: PromptGeneratorSpec
    options: Mapping[str, Any]


def attach(app: typer.Typer, found: Registry) -> None:
    """Add ``segment`` with the options of the plugins in ``found``."""
    more = shared_options(found, _option_owners(found), inspect.signature(segment).parameters)
    generators = "; ".join(_generator_help(s) for s in found.specs("prompt-generator"))
    app.command(
        "segment",
        help=_HELP,
        short_help="Segment an image by boxes, points or a generator.",
        epilog=f"Generators: {generators}" if generators else None,
    )(extended(segment, more))


def _generator_help(spec: PromptGeneratorSpec) -> str:
    options = ",".join(f"{o.key}={o.default}" for o in spec.options)
    return escape(f"{spec.name}:{options}" if options else spec.name)


_HELP = """Segment an image: a volume (CT, MR), a raster (satellite, aerial) or a picture.

Say what to look for by --box, --point, --prompts or --auto. Coordinates are x, y and, in volumes,
z: indices of the array whose integers are the centres of pixels, the maximum of a box exclusive.
With --world they are millimetres (lps or ras) or the raster's CRS. Masks are written in the
image's own space; the suffix of OUT decides the format."""


def segment(
    input: Annotated[str, typer.Argument(metavar="INPUT", help="Image file, folder or URL.")],
    output: Annotated[
        Strings,
        typer.Option("-o", "--output", metavar="OUT", help="File for the objects; repeatable."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="Model, or folder of a bundle.")
    ] = "tiny",
    box: Annotated[
        Strings,
        typer.Option("--box", metavar="[NAME=]X0,Y0,…", help="Box of one object; repeatable."),
    ] = None,
    point: Annotated[
        Strings,
        typer.Option(
            "--point",
            metavar="[NAME=]X,Y[,Z][:+|:-]",
            help="Point on an object, or with :- off it; repeatable. Points of one NAME are one "
            "object, unnamed negative ones apply to all.",
        ),
    ] = None,
    world: Annotated[
        str | None,
        typer.Option(
            "--world",
            metavar="[lps|ras|crs]",
            help="Boxes and points are in mm or in the raster's CRS; alone: LPS mm or the CRS.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option("--prompts", metavar="FILE", help="Prompt file, or a label image: its boxes."),
    ] = None,
    auto: Annotated[
        str | None,
        typer.Option(
            "--auto", metavar="GENERATOR[:k=v,…]", help="Let a prompt generator find objects."
        ),
    ] = None,
    modality: Annotated[
        str,
        typer.Option(
            "--modality", metavar="NAME", help="auto, ct, mr, us, xr, pet, rgb, ms, sar …"
        ),
    ] = "auto",
    window: Annotated[
        Strings,
        typer.Option(
            "--window", metavar="L40W400", help="Level and width; repeatable: stacked as channels."
        ),
    ] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME", help="What runs the graphs.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="fp32, int8 …")
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Of the runtime; default: as many as cores."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, or another of the runtime's.")
    ] = "cpu",
    accept_license: Annotated[
        Strings,
        typer.Option(
            "--accept-license", metavar="MODEL", help="Accept restricted weights; repeatable."
        ),
    ] = None,
    preview: Annotated[
        str | None, typer.Option("--preview", metavar="PNG", help="Draw what was found.")
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option("--manifest", metavar="JSON", help="Record how it was made."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="NAME", help="Format to read INPUT as, if several could."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON, nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    **plugin_options: Any,
) -> int:
    """See ``samovar segment --help``."""
    return run_segment(
        Request(
            input, output or [], model, box or [], point or [], world, prompts, auto, modality,
            window or [], runtime, precision, threads, device, accept_license or [], preview,
            manifest, reader, json, quiet, plugin_options,
        )
    )  # fmt: skip


def run_segment(request: Request) -> int:
    """Check everything, segment, write everything, report.

    Raises:
        SamovarError: in one line; nothing was written.
    """
    registry()
    given = _check_arguments(request)
    generator = _generator(request)
    with ExitStack() as stack:
        stack.enter_context(results_kept_clean())
        image = stack.enter_context(_image(request))
        outputs = _check_outputs(request, image)
        _check_plugin_options(request, outputs)
        prompts = _prompts(request, image, given)
        objects = _segment(request, image, prompts, generator)
        _write(request, objects, image, outputs)
    _report(request, objects, outputs)
    return 0


def _check_arguments(request: Request) -> GivenPrompts:
    given = parse_prompts(request.boxes, request.points)
    prompted = bool(given) or request.prompts is not None
    if prompted and request.auto is not None:
        raise UsageError("give prompts (--box, --point, --prompts) or --auto, not both")
    if not prompted and request.auto is None:
        raise UsageError("nothing says what to look for: add --box, --point, --prompts or --auto")
    if request.world is not None and not given:
        raise UsageError("--world is about --box and --point, and neither was given")
    if not (request.outputs or request.preview or request.manifest or request.as_json):
        raise UsageError("nothing would be written: add -o OUT, --preview, --manifest or --json")
    for text in request.windows:
        parse_window(text)
    return given


def _generator(request: Request) -> Generator | None:
    if request.auto is None:
        return None
    name, given = split_selector(request.auto)
    spec = registry().find("prompt-generator", name)
    return Generator(spec, typed_options(spec, given))


def _image(request: Request) -> Image:
    readers = [s for s in registry().specs("format") if s.reads]
    given = _given_options(request)
    mine = {k: v for k, v in given.items() if owners_of(k, readers)}
    return open_image(request.input, reader=request.reader, **mine)


def _check_outputs(request: Request, image: Image) -> Outputs:
    objects = [(Path(text), writer_for(text, image)) for text in request.outputs]
    preview = Path(request.preview) if request.preview else None
    manifest = Path(request.manifest) if request.manifest else None
    if preview is not None and preview.suffix.lower() != ".png":
        raise OutputError(f"{preview}: a preview is a PNG: choose a name that ends in .png")
    for path in (preview, manifest):
        if path is not None:
            require_writable(path, image.info.source)
    outputs = Outputs(objects, preview, manifest)
    names = [str(p.absolute()) for p in outputs.paths]
    for path, name in zip(outputs.paths, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"{path}: is given twice: every output needs a name of its own")
    return outputs


def _check_plugin_options(request: Request, outputs: Outputs) -> None:
    """Refuse an option that nothing in this run would take."""
    formats: Sequence[Spec] = registry().specs("format")
    using: list[Spec] = [s for s in formats if isinstance(s, FormatSpec) and s.reads]
    using += [spec for _, spec in outputs.objects]
    if request.prompts is not None:
        using += [s for s in formats if isinstance(s, FormatSpec) and s.reads_prompts]
    for key in _given_options(request):
        if not owners_of(key, using):
            owners = ", ".join(owners_of(key, _option_owners(registry())))
            flag = "--" + key.replace("_", "-")
            raise UsageError(f"{flag} is of {owners}, which has no part in this run: leave it out")


def _prompts(request: Request, image: Image, given: GivenPrompts) -> Prompts | None:
    with _naming(request.input):
        space = space_of(request.world, image.grid)
    from_file = None
    if request.prompts is not None:
        readers = [s for s in registry().specs("format") if s.reads_prompts]
        options = {k: v for k, v in _given_options(request).items() if owners_of(k, readers)}
        from_file = read_prompts(request.prompts, image, **options)
        with _naming(request.prompts):
            checked = from_file.to_index(image.grid)
            checked.check(image.grid)
    with _naming(request.input):
        return join_prompts(image.grid, from_file, given, space)


def _segment(
    request: Request, image: Image, prompts: Prompts | None, generator: Generator | None
) -> Objects:
    # the pipeline and the models are not needed to say that the input is wrong
    from samovar.api import segment as segment_image

    cancel = CancelToken()
    with _progress(shown=not request.quiet) as tick, _naming(request.input):
        try:
            return segment_image(
                image,
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
                progress=tick,
                cancel=cancel,
            )
        except KeyboardInterrupt:
            cancel.cancel()
            raise


@contextmanager
def _progress(shown: bool) -> Iterator[ProgressCallback | None]:
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("segmenting", total=None)

        def tick(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield tick


def _write(request: Request, objects: Objects, image: Image, outputs: Outputs) -> None:
    options = _given_options(request)
    with all_or_nothing() as staged:
        for path, spec in outputs.objects:
            staged.append(stage_objects(objects, path, spec, image, **options))
        if outputs.preview is not None:
            from samovar.preview import save_preview

            def draw(temporary: Path) -> None:
                windows = tuple(request.windows)
                modality = request.modality
                save_preview(objects, temporary, image, modality=modality, windows=windows)

            staged.append(stage(outputs.preview, "the preview", draw))
        if outputs.manifest is not None:
            record = {
                **objects.provenance,
                "outputs": [p.name for p, _ in outputs.objects],
                "objects": objects.table(),
            }
            text = to_json(record)
            staged.append(
                stage(
                    outputs.manifest,
                    "the manifest",
                    lambda temporary: temporary.write_text(text, encoding="utf-8"),
                )
            )


def _report(request: Request, objects: Objects, outputs: Outputs) -> None:
    rows = objects.table()
    if request.as_json:
        print_json(
            {
                "input": request.input,
                "objects": rows,
                "outputs": [str(p) for p, _ in outputs.objects],
                "preview": None if outputs.preview is None else str(outputs.preview),
                "manifest": None if outputs.manifest is None else str(outputs.manifest),
                "run": objects.provenance,
            }
        )
        return
    if request.quiet:
        return
    say(_intensity_line(objects.provenance.get("intensity", {})))
    hidden = {"id", "class", "uncertainty", "bounds", "score", "name"}
    carried = {key for item in objects for key in item.attributes}
    measures = [k for k in _columns(rows) if k not in hidden | carried]
    columns = ["label", "name", *(_HEADINGS.get(k, k) for k in measures), "score"]
    print_table(
        columns,
        [[r["id"], r["name"], *(r.get(k) for k in measures), r["score"]] for r in rows],
    )
    for item in objects:
        if item.empty:
            say(f"nothing was found for object {item.id}{f' ({item.name})' if item.name else ''}")
    for path in outputs.paths:
        print_line(f"wrote {path}")


def _intensity_line(step: Mapping[str, Any]) -> str:
    """The intensity step is never guessed silently."""
    guessed = " (a guess from the values; --modality says it)" if step.get("guessed") else ""
    return f"modality {step.get('modality')}{guessed}: {step.get('rule')}"


_HEADINGS = {"volume_ml": "mL", "area_m2": "m²", "pixels": "pixels", "voxels": "voxels"}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _option_owners(found: Registry) -> Sequence[Spec]:
    """Formats: the options of a generator stand behind its name, ``--auto grid:points=32``."""
    return found.specs("format")


def _given_options(request: Request) -> dict[str, Any]:
    """Options of plugins that differ from their defaults: those that the user gave."""
    defaults = {o.key: o.default for s in _option_owners(registry()) for o in s.options}
    return {
        key: value
        for key, value in request.plugin_options.items()
        if value is not None and value != defaults.get(key) and value != [] and value is not False
    }


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Name the file in what is said about it."""
    try:
        yield
    except (PromptError, UsageError) as error:
        if source in str(error):
            raise
        raise type(error)(f"{source}: {error}") from error
    except SamovarError:
        raise
