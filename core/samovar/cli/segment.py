"""``samovar segment``: one command for every kind of image.

Everything is checked before any work: the prompts' text, the image, every output, the model. What
can be refused is refused then, with exit code 2 and nothing written.
"""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer
from rich.markup import escape

from samovar.chains import Following
from samovar.cli.segment_request import Request, join_inputs, option_owners
from samovar.cli.segment_run import run_segment
from samovar.cli.signatures import extended, shared_options
from samovar.errors import UsageError
from samovar.lattice import LARGEST
from samovar.plugins import Registry
from samovar.specs import PromptGeneratorSpec
from samovar.tile_options import TileOptions

Strings = list[str] | None
TILES = "Rasters and pictures"
_VOLUMES = "Volumes"
_BATCHES = "Many studies"


def attach(app: typer.Typer, found: Registry) -> None:
    """Add ``segment`` with the options of the plugins in ``found``."""
    more = shared_options(found, option_owners(found), inspect.signature(segment).parameters)
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
    inputs: Annotated[
        Strings,
        typer.Argument(
            metavar="INPUT…",
            help="Image file, folder or URL; several with --out-dir.",
            show_default=False,
        ),
    ] = None,
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
        str,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="What runs the graphs: onnxruntime, openvino …; default: the first of these that "
            "is there; auto: the fastest here, timed once a model and remembered.",
        ),
    ] = "default",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="fp32, int8, bf16 …; auto: the model's own, or with --runtime auto the fastest "
            "whose gate was passed.",
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Of the runtime; default: as many as cores."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, or another of the runtime's.")
    ] = "cpu",
    region_decode: Annotated[
        str,
        typer.Option(
            "--region-decode",
            metavar="auto|on|off",
            help="Decode boxes over a window around each, where the model can.",
        ),
    ] = "auto",
    axis: Annotated[
        str,
        typer.Option(
            "--axis",
            metavar="auto|x|y|z",
            help="Cut a volume into slices along this index axis.",
            rich_help_panel=_VOLUMES,
        ),
    ] = "auto",
    extent: Annotated[
        str,
        typer.Option(
            "--extent",
            metavar="box|auto",
            help="box: an object lies on the slices of its boxes; auto: as far as it is found, "
            "from a box of one slice too.",
            rich_help_panel=_VOLUMES,
        ),
    ] = "box",
    anchor: Annotated[
        str,
        typer.Option(
            "--anchor",
            metavar="middle|best",
            help="Where a 3-D box starts: always in its middle, or elsewhere if that fits badly.",
            rich_help_panel=_VOLUMES,
        ),
    ] = Following.anchor,
    consensus: Annotated[
        bool,
        typer.Option(
            "--consensus",
            help="Follow along all three axes and keep what two agree on; takes three times as "
            "long.",
            rich_help_panel=_VOLUMES,
        ),
    ] = False,
    extend: Annotated[
        str | None,
        typer.Option(
            "--extend",
            metavar="LABELS",
            help="Add to this label image; what is labelled in it stays as it is.",
        ),
    ] = None,
    split_labels: Annotated[
        bool, typer.Option("--split-labels", help="One file an object: OUT_NAME.nii.gz …")
    ] = False,
    out_dir: Annotated[
        str | None,
        typer.Option(
            "--out-dir",
            metavar="DIR",
            help="Many studies: a folder for all that is found; -o and --preview are names in it, "
            "with {name} or {number} for the study's.",
            rich_help_panel=_BATCHES,
        ),
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs",
            metavar="TABLE",
            help="Many studies, one a row of a CSV: column input, and any of name, prompts, box, "
            "point, auto, modality, output, series …",
            rich_help_panel=_BATCHES,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Tiles looked at at a time; default: 1.",
            rich_help_panel=TILES,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="tcp://HOST:PORT|local:N",
            help="Look at tiles, or at the studies of a batch, on the workers of dask.distributed.",
            rich_help_panel=TILES,
        ),
    ] = None,
    max_object_size: Annotated[
        int,
        typer.Option(
            "--max-object-size",
            metavar="PX",
            rich_help_panel=TILES,
            help="Up to this size an object is seen whole by one tile; larger ones are joined.",
        ),
    ] = LARGEST,
    semantic: Annotated[
        bool,
        typer.Option(
            "--semantic",
            rich_help_panel=TILES,
            help="Classes instead of instances: objects of a class that touch are one.",
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel=TILES,
            help="Go on with a run or a batch that was interrupted, or begin one; what is "
            "finished stays.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Begin anew over outputs that are there.", rich_help_panel=TILES
        ),
    ] = False,
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
    if not inputs and jobs is None:
        raise UsageError("nothing to segment: give an image, or --jobs TABLE")
    inputs = join_inputs(inputs or [], plugin_options)
    request = Request(
        inputs[0] if inputs else "", output or [], model, box or [], point or [], world, prompts,
        auto, modality, window or [], runtime, precision, threads, device, region_decode,
        Following(axis, extent, anchor, consensus), extend,  # type: ignore[arg-type]
        split_labels, accept_license or [], preview, manifest, reader, json, quiet, plugin_options,
        TileOptions(workers, scheduler, max_object_size, semantic, resume, overwrite),
    )  # fmt: skip
    if jobs is None and out_dir is None and len(inputs or ()) == 1:
        return run_segment(request)
    from samovar.cli.segment_batch import BatchRequest, run_batch

    return run_batch(BatchRequest(inputs or (), jobs, out_dir, request))
