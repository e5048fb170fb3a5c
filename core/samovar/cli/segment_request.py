"""What ``samovar segment`` was asked for, checked before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar.chains import Following
from samovar.cli.prompt_arguments import GivenPrompts, join_prompts, parse_prompts, space_of
from samovar.errors import OutputError, PromptError, UsageError
from samovar.file_checks import require_writable
from samovar.formats import check_writer, open_image, read_prompts, split_output, writer_for
from samovar.image import Image
from samovar.intensity import parse_window
from samovar.options import owners_of, split_selector, typed_options
from samovar.plugins import Registry, registry
from samovar.prompts import Prompts
from samovar.specs import FormatSpec, PromptGeneratorSpec, Spec
from samovar.tile_options import TileOptions


@dataclass(frozen=True)
class Request:
    """What the command line asked for, as it was given."""

    input: str
    outputs: Sequence[str]
    model: Any
    """A name, a folder, or a loaded model."""
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
    region_decode: str
    following: Following
    extend: str | None
    split_labels: bool
    accept_license: Sequence[str]
    preview: str | None
    manifest: str | None
    reader: str | None
    as_json: bool
    quiet: bool
    plugin_options: Mapping[str, Any] = field(default_factory=dict)
    tiles: TileOptions = field(default_factory=TileOptions)


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


def check_arguments(request: Request) -> GivenPrompts:
    """Prompts of the command line; refuse what does not go together.

    Raises:
        UsageError, PromptError: in one line.
    """
    given = parse_prompts(request.boxes, request.points)
    prompted = bool(given) or request.prompts is not None
    if prompted and request.auto is not None:
        raise UsageError("give prompts (--box, --point, --prompts) or --auto, not both")
    if not prompted and request.auto is None and not finds_by_itself(request.model):
        raise UsageError("nothing says what to look for: add --box, --point, --prompts or --auto")
    if request.world is not None and not given:
        raise UsageError("--world is about --box and --point, and neither was given")
    if not (request.outputs or request.preview or request.manifest or request.as_json):
        raise UsageError("nothing would be written: add -o OUT, --preview, --manifest or --json")
    for text in request.windows:
        parse_window(text)
    request.tiles.check()
    return given


def finds_by_itself(model: Any) -> bool:
    """Whether a model is a segmenter that takes no prompts."""
    from samovar.segmenters import segmenter_spec

    spec = segmenter_spec(model)
    return spec is not None and not spec.needs_prompts


def find_generator(request: Request) -> Generator | None:
    """The generator of ``--auto``, its options typed. Raises UsageError with the nearest names."""
    if request.auto is None:
        return None
    name, given = split_selector(request.auto)
    spec = registry().find("prompt-generator", name)
    return Generator(spec, typed_options(spec, given))


def open_input(request: Request) -> Image:
    """The image, with the options that its reader has. Raises as :func:`open_image` does."""
    readers = [s for s in registry().specs("format") if s.reads]
    given = given_options(request)
    mine = {k: v for k, v in given.items() if owners_of(k, readers)}
    return open_image(request.input, reader=request.reader, **mine)


def check_outputs(request: Request, image: Image) -> Outputs:
    """Every place to write to. Raises OutputError or UsageError for one that cannot be."""
    objects = [(split_output(text)[1], writer_for(text, image)) for text in request.outputs]
    preview = Path(request.preview) if request.preview else None
    manifest = Path(request.manifest) if request.manifest else None
    if preview is not None and preview.suffix.lower() != ".png":
        raise OutputError(f"{preview}: a preview is a PNG: choose a name that ends in .png")
    for path in (preview, manifest):
        if path is not None:
            require_writable(path, image.info.source)
    outputs = Outputs(objects, preview, manifest)
    names = [p.resolve() for p in outputs.paths]
    for path, name in zip(outputs.paths, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"{path}: is given twice: every output needs a name of its own")
    for path, spec in objects:
        check_writer(spec, image, path, **given_options(request))
    return outputs


def check_plugin_options(request: Request, outputs: Outputs) -> None:
    """Refuse an option that nothing in this run would take."""
    formats: Sequence[Spec] = registry().specs("format")
    using: list[Spec] = [s for s in formats if isinstance(s, FormatSpec) and s.reads]
    using += [spec for _, spec in outputs.objects]
    if request.prompts is not None:
        using += [s for s in formats if isinstance(s, FormatSpec) and s.reads_prompts]
    for key in given_options(request):
        if not owners_of(key, using):
            owners = ", ".join(owners_of(key, option_owners(registry())))
            flag = "--" + key.replace("_", "-")
            raise UsageError(f"{flag} is of {owners}, which has no part in this run: leave it out")


def read_all_prompts(request: Request, image: Image, given: GivenPrompts) -> Prompts | None:
    """Prompts of the file and of the command line, joined, in index coordinates, checked.

    Raises:
        PromptError: naming the file whose prompts are wrong, or the image.
    """
    with _naming(request.input):
        space = space_of(request.world, image.grid)
    from_file = None
    if request.prompts is not None:
        readers = [s for s in registry().specs("format") if s.reads_prompts]
        options = {k: v for k, v in given_options(request).items() if owners_of(k, readers)}
        from_file = read_prompts(request.prompts, image, **options)
        with _naming(request.prompts):
            checked = from_file.to_index(image.grid)
            checked.check(image.grid)
    with _naming(request.input):
        return join_prompts(image.grid, from_file, given, space)


def join_inputs(inputs: Sequence[str], given: dict[str, Any]) -> list[str]:
    """Several inputs that an option (``--mosaic``) makes one image; the option is taken out.

    Raises:
        UsageError: two such options.
    """
    formats = registry().specs("format")
    keys = sorted({o.key for s in formats for o in s.options if o.joins and given.get(o.key)})
    if not keys:
        return list(inputs)
    if len(keys) > 1:
        raise UsageError(f"--{keys[0]} and --{keys[1]} do not go together: give one of them")
    given.pop(keys[0])
    return [f"{keys[0]}:{'|'.join(inputs)}"]


def option_owners(found: Registry) -> Sequence[Spec]:
    """Formats: the options of a generator stand behind its name, ``--auto grid:points=32``."""
    return found.specs("format")


def given_options(request: Request) -> dict[str, Any]:
    """Options of plugins that differ from their defaults: those that the user gave."""
    defaults = {o.key: o.default for s in option_owners(registry()) for o in s.options}
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
