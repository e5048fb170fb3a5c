"""samovar as a command line module of 3D Slicer (Slicer Execution Model).

``samovar-slicer --xml`` describes the module; with arguments it segments one volume, prompted by a
point list and by ROIs, and says how far it is. ``samovar slicer-module FOLDER`` writes a launcher
for Slicer that starts it in this Python, outside Slicer's own environment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NoReturn

from samovar.errors import OutputError, SamovarError, UsageError

if TYPE_CHECKING:
    from samovar.executor import Progress

MODULE = "Samovar"
_RESOURCES = "samovar_medical.slicer"


def description() -> str:
    """The module's XML: what it takes, and how Slicer asks for it."""
    text = resources.files(_RESOURCES).joinpath("module.xml").read_text(encoding="utf-8")
    return Template(text).substitute(version=metadata.version("samovar-medical"))


def launcher(python: str) -> str:
    """A Python script for Slicer that starts ``python -m samovar_medical.slicer_module``."""
    text = resources.files(_RESOURCES).joinpath("launcher.txt").read_text(encoding="utf-8")
    return Template(text).substitute(python=repr(python))


def install(folder: str) -> int:
    """``samovar slicer-module FOLDER``: write the module there and say what to do next.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    from samovar.reporting import print_line

    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        script = target / f"{MODULE}.py"
        script.write_text(launcher(sys.executable), encoding="utf-8", newline="\n")
        script.chmod(0o755)
        (target / f"{MODULE}.xml").write_text(description(), encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written to ({error.strerror or error}): choose another folder"
        ) from error
    print_line(f"wrote {script}")
    print_line(f"wrote {target / f'{MODULE}.xml'}")
    print_line(
        "in 3D Slicer: Edit > Application Settings > Modules > Additional module paths, add "
        f"{target.resolve()}, restart; the module is under Segmentation > samovar"
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """``samovar-slicer``: ``--xml``, or the arguments that the XML announces.

    Returns:
        0 done, 2 bad input and nothing written, 1 something failed.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--xml" in arguments:
        sys.stdout.write(description())
        return 0
    try:
        _segment(_parser().parse_args(arguments))
    except SamovarError as error:
        _say(f"samovar: {error}")
        return error.exit_code
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (samovar-slicer --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="samovar-slicer", description="samovar as a module of 3D Slicer.")
    parser.add_argument("--xml", action="store_true", help="describe the module and stop")
    parser.add_argument("--points", help=".mrk.json of points (and ROIs)")
    parser.add_argument(
        "--roi", action="append", default=[], help="cx,cy,cz,rx,ry,rz in LPS millimetres"
    )
    parser.add_argument("--modality", default="auto")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--measurements", help=".csv of volumes and diameters")
    parser.add_argument("--report", help=".html of one page")
    parser.add_argument("input", help="volume")
    parser.add_argument("output", help="label map")
    return parser


def _segment(given: argparse.Namespace) -> None:
    import samovar
    from samovar.formats import write_all

    boxes = {f"ROI {i}": _box(text) for i, text in enumerate(given.roi, start=1)}
    if not boxes and not given.points:
        raise UsageError("nothing says what to look for: choose a point list or a ROI")
    outputs = [given.output, *(p for p in (given.measurements, given.report) if p)]
    with samovar.open(given.input) as image:
        _say_progress("<filter-start><filter-name>samovar</filter-name></filter-start>")
        objects = samovar.segment(
            image,
            model=given.model,
            prompts=given.points or None,
            boxes=boxes or None,
            space="world",
            modality=given.modality,
            threads=given.threads or None,
            progress=_tick,
        )
        write_all(objects, outputs, image)
        _say_progress("<filter-end><filter-name>samovar</filter-name></filter-end>")
    for item in objects:
        size = item.measures.get("volume_ml", 0.0)
        _say(f"{item.id} {item.name}: {size:.2f} mL" if not item.empty else f"{item.id}: not found")


def _box(text: str) -> tuple[float, ...]:
    """Centre and half sizes → world edges, least first."""
    try:
        numbers = [float(v) for v in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 6:
        raise UsageError(f"--roi {text}: write cx,cy,cz,rx,ry,rz in LPS millimetres")
    centre, half = numbers[:3], [abs(v) for v in numbers[3:]]
    low = [c - h for c, h in zip(centre, half, strict=True)]
    high = [c + h for c, h in zip(centre, half, strict=True)]
    return (*low, *high)


def _tick(progress: Progress) -> None:
    share = progress.done / max(1, progress.total)
    _say_progress(f"<filter-progress>{share:.3f}</filter-progress>")


def _say_progress(text: str) -> None:
    """Slicer reads these from standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(" ".join(text.split()) + "\n")


if __name__ == "__main__":
    sys.exit(main())
