"""``python -m samovar_datasets phantom|mr|scene|demo|pictures|fetch -o DIR``, or ``sets``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from shutil import rmtree


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 for what cannot be done as asked."""
    options = _parser().parse_args(arguments)
    try:
        paths = _COMMANDS[options.command](options)
    except (ValueError, OSError) as error:
        print(f"samovar_datasets {options.command}: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samovar_datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "phantom": "a CT-like abdomen with its labels",
        "mr": "an MR-like brain: anisotropic, oblique, with lesions",
        "scene": "an aerial scene with its labels and outlines",
        "demo": "the inputs of `make demo`",
        "pictures": "pictures of every generator",
    }
    commands.add_parser("sets", help="public sets that can be fetched", description="public sets")
    fetch = commands.add_parser("fetch", help="a public set, verified and turned into a set")
    fetch.add_argument("name", help="as `sets` lists them")
    fetch.add_argument("-o", "--output", type=Path, required=True, help="folder of sets")
    fetch.add_argument("--cache", type=Path, help="archives (default: archives/ in the output)")
    fetch.add_argument("--table", type=Path, help="a table of sets of your own (TOML)")
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
        if name in ("phantom", "mr", "scene"):
            command.add_argument("--seed", type=int, default=0)
        if name in ("phantom", "mr"):
            command.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"))
            command.add_argument("--spacing", type=float, nargs=3, metavar=("X", "Y", "Z"))
            command.add_argument(
                "--dicom", action="store_true", help="a DICOM series too, in the folder dicom"
            )
        if name == "scene":
            _scene_options(command)
    return parser


def _scene_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=int, nargs="+", default=[1024], help="rows [columns]")
    command.add_argument("--gsd", type=float, default=0.25, help="metres a pixel")
    command.add_argument("--bands", type=int, default=3, help="1 to 13")
    command.add_argument("--bits", type=int, choices=(8, 16), default=8)
    command.add_argument("--crs", default="EPSG:32633")
    command.add_argument("--rotation", type=float, default=0.0, help="degrees")
    command.add_argument("--south-up", action="store_true")
    command.add_argument("--nodata", choices=("corner", "island", "none"), default="corner")
    command.add_argument(
        "--fill", type=float, default=0.02, help="share of the scene that an island covers"
    )
    command.add_argument("--cog", action="store_true", help="write cloud-optimised GeoTIFF")
    command.add_argument("--boxes", type=int, default=200, help="at most this many box prompts")


def _phantom(options: argparse.Namespace) -> list[Path]:
    from samovar_datasets import abdomen, brain
    from samovar_datasets.phantoms import ct_phantom, mr_phantom
    from samovar_datasets.volume_files import write_box_prompts, write_phantom

    make, stem = (ct_phantom, "ct") if options.command == "phantom" else (mr_phantom, "mr")
    given = {k: tuple(v) for k in ("shape", "spacing") if (v := getattr(options, k)) is not None}
    phantom = make(options.seed, **given)
    paths = write_phantom(phantom, options.output, stem)
    boxes = options.output / f"{stem}_boxes.json"
    found = phantom.boxes(abdomen.PROMPTED if stem == "ct" else brain.PROMPTED, smallest=20)
    if stem == "mr":
        found |= phantom.pieces("lesion", smallest=12)
    write_box_prompts(found, boxes)
    series = []
    if options.dicom:
        from samovar_datasets.dicom_files import write_series

        series = write_series(phantom, options.output / "dicom", number=1 + (stem == "mr"))[:1]
    return [*paths.values(), boxes, *(file.parent for file in series)]


def _scene(options: argparse.Namespace) -> list[Path]:
    from itertools import islice

    from samovar_datasets.raster_files import write_box_features, write_scene
    from samovar_datasets.scenes import Scene

    if len(options.size) > 2:
        raise ValueError("--size takes rows, or rows and columns")
    scene = Scene(
        options.seed,
        (options.size[0], options.size[-1]),
        options.gsd,
        options.bands,
        options.bits,
        options.crs,
        options.rotation,
        options.south_up,
        options.nodata,
        options.fill,
    )
    paths = write_scene(scene, options.output, cog=options.cog)
    boxes = options.output / "scene_boxes.geojson"
    write_box_features(scene, islice(scene.truth(), options.boxes), boxes)
    return [*paths.values(), boxes]


def _demo(options: argparse.Namespace) -> list[Path]:
    from samovar_datasets.demo import write_demo_inputs

    return list(write_demo_inputs(options.output).values())


def _pictures(options: argparse.Namespace) -> list[Path]:
    from samovar_datasets.pictures import write_pictures

    return write_pictures(options.output)


def _sets(_options: argparse.Namespace) -> list[str]:
    from samovar_datasets.public_sets import public_sets

    return [f"{s.name:18} {s.licence:13} {s.title}" for s in public_sets().values()]


def _fetch(options: argparse.Namespace) -> list[Path]:
    from samovar_datasets.fetching import fetch_archives, unpack
    from samovar_datasets.layouts import build_set
    from samovar_datasets.public_sets import public_sets

    sets = public_sets(options.table)
    if options.name not in sets:
        raise ValueError(f"no set {options.name!r}; there are {', '.join(sets)}")
    which = sets[options.name]
    cache = options.cache or options.output / "archives"
    say = lambda line: print(line, file=sys.stderr)  # noqa: E731
    say(f"{which.title}; licence {which.licence}; cite {which.citation}")
    archives = fetch_archives(which, cache, say)
    unpacked = cache / f"{which.name}-unpacked"
    for archive in archives:
        unpack(archive, unpacked)
    try:
        return [build_set(which, unpacked, options.output)]
    finally:
        rmtree(unpacked, ignore_errors=True)


_COMMANDS = {
    "phantom": _phantom,
    "mr": _phantom,
    "scene": _scene,
    "demo": _demo,
    "pictures": _pictures,
    "sets": _sets,
    "fetch": _fetch,
}

if __name__ == "__main__":
    sys.exit(main())
