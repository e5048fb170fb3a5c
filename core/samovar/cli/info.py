"""``samovar info FILE``: what an image is, without segmenting it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from samovar.cli.signatures import extended, shared_options
from samovar.formats import open_image
from samovar.grid import Grid
from samovar.image import Image
from samovar.intensity import choose_intensity
from samovar.manifest import describe_grid
from samovar.plugins import Registry
from samovar.privacy import hide
from samovar.reporting import print_json, print_line, results_kept_clean


def attach(app: typer.Typer, found: Registry) -> None:
    """Add ``info`` with the options of the readers in ``found``."""
    readers = [s for s in found.specs("format") if s.reads]
    more = shared_options(found, readers, inspect.signature(info).parameters)
    app.command("info", short_help="Say what an image is: grid, frame, channels, modality.")(
        extended(info, more)
    )


def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Image file, folder or URL.")],
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="NAME", help="Format to read FILE as, if several could."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
    **plugin_options: Any,
) -> None:
    """Say what an image is: grid, spacing, frame, channels, type of its values, modality."""
    given = {k: v for k, v in plugin_options.items() if v not in (None, False, [])}
    with results_kept_clean(), open_image(file, reader=reader, **given) as image:
        record = describe_image(image)
    if json:
        print_json(record)
        return
    width = max(len(key) for key in record)
    for key, value in record.items():
        if value not in (None, "", []):
            print_line(f"{key.replace('_', ' '):<{width}}  {_shown(value)}")


def describe_image(image: Image) -> dict[str, Any]:
    """JSON-able description; ``modality`` may be a guess, which ``modality_from`` says."""
    step = choose_intensity(image)
    grid = describe_grid(image.grid)
    path = Path(image.info.source)
    return {
        "file": hide(image.info.source),
        "format": image.info.format,
        "domain": image.info.domain,
        **grid,
        "directions": directions(image.grid),
        "sliced_along": "zyx"[image.grid.slice_axis()] if image.grid.ndim == 3 else None,
        "channels": image.channels,
        "channel_names": list(image.info.channel_names),
        "dtype": str(image.dtype),
        "nodata": _number(image.info.nodata),
        "modality": step.modality,
        "modality_from": "a guess from the values" if step.guessed else "the file",
        "intensity": step.rule,
        "file_bytes": path.stat().st_size if path.is_file() else None,
    }


def directions(grid: Grid) -> str | None:
    """Where x, y and z of a volume point to, by the nearest of L R, P A, S I: ``"LPS"``."""
    if grid.frame.kind != "lps" or grid.ndim != 3:
        return None
    letters = []
    for cosines in grid.direction.T:
        axis = int(np.argmax(np.abs(cosines)))
        letters.append(("LR", "PA", "SI")[axis][int(cosines[axis] < 0)])
    return "".join(letters)


def _number(value: float | None) -> float | str | None:
    return value if value is None or np.isfinite(value) else str(value)


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "; ".join(" ".join(f"{v:g}" for v in row) for row in value)
    if isinstance(value, list):
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"
