"""Worst cases: a page of pictures of what went wrong, for a person to look at.

It shows the evaluation's own images; where those may not be passed on, neither may the page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from samovar.errors import OutputError
from samovar.evaluation.pictures import read_picture
from samovar.evaluation.results import ObjectResult, SetResult
from samovar.evaluation.run import Evaluation
from samovar.grid import Region
from samovar.masks import PixelMask

TRUE_COLOUR, FOUND_COLOUR, BOX_COLOUR = (64, 220, 64), (255, 64, 64), (255, 220, 0)
_SIDE = 480
_LEAST = 96  # pixels of surroundings shown of the smallest object


@dataclass(frozen=True)
class Shown:
    """One picture on the page."""

    file: str
    title: str
    dice: float


def write_worst(evaluation: Evaluation, folder: Path, count: int = 24) -> list[Shown]:
    """Writes ``index.html`` and one PNG for each of the worst objects, at most 3 a set.

    Only objects of pictures that kept their mask are drawn (``Settings.keep``).

    Raises:
        OutputError: the folder cannot be written.
    """
    candidates = [
        (o, s)
        for s in evaluation.sets
        if s.where.kind == "pictures"
        for o in sorted((o for o in s.objects if o.predicted is not None), key=lambda o: o.dice)[:3]
    ]
    candidates.sort(key=lambda pair: pair[0].dice)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shown = [_draw(o, s, evaluation, folder) for o, s in candidates[:count]]
        (folder / "index.html").write_text(_page(shown), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the page of worst cases cannot be written: {error}") from error
    return shown


def _draw(result: ObjectResult, s: SetResult, evaluation: Evaluation, folder: Path) -> Shown:
    case = next(c for c in s.where.cases() if c.stem == result.stem)
    picture = read_picture(case, evaluation.settings.modality)
    assert result.predicted is not None
    window = _window(result.target.mask.region, picture.shape[1:])
    part = picture[(slice(None), *window.slices)].astype(np.uint8).transpose(1, 2, 0)
    scale = max(1, round(_SIDE / max(window.shape)))
    pixels = part.repeat(scale, axis=0).repeat(scale, axis=1)
    for mask, colour in ((result.target.mask, TRUE_COLOUR), (result.predicted, FOUND_COLOUR)):
        pixels[_outline(mask, window, scale)] = colour
    canvas = Image.fromarray(pixels)
    _draw_prompt(ImageDraw.Draw(canvas), result, window, scale)
    name = f"{s.where.name}-{result.stem}-{result.target.number}.png".replace("/", "-")
    canvas.save(folder / name)
    title = f"{s.where.name} / {result.stem} · {result.target.class_name}"
    return Shown(name, title, result.dice)


def _window(region: Region, shape: tuple[int, ...]) -> Region:
    """The object and its surroundings: its box and as much again on each side, within the image."""
    around = max(_LEAST // 2, max(region.shape))
    start = tuple(max(0, a - around) for a in region.start)
    stop = tuple(min(n, b + around) for b, n in zip(region.stop, shape, strict=True))
    return Region(start, stop)


def _outline(mask: PixelMask, window: Region, scale: int) -> NDArray[np.bool_]:
    full = np.zeros(window.shape, dtype=bool)
    common = mask.region.intersect(window)
    if not mask.empty and not common.empty:
        full[common.within(window)] = mask.inside[common.within(mask.region)]
    full = full.repeat(scale, axis=0).repeat(scale, axis=1)
    core: NDArray[np.bool_] = ndimage.binary_erosion(full, iterations=min(2, scale))
    return full & ~core


def _draw_prompt(
    draw: ImageDraw.ImageDraw, result: ObjectResult, window: Region, scale: int
) -> None:
    prompt, (top, left) = result.prompt, window.start
    if prompt is None:
        return
    if prompt.box is not None:
        offset = (left, top, left, top)
        x0, y0, x1, y1 = (round((v - o) * scale) for v, o in zip(prompt.box, offset, strict=True))
        draw.rectangle([x0, y0, x1 - 1, y1 - 1], outline=BOX_COLOUR)
    for x, y in (p[:2] for p in prompt.points):
        cx, cy = (x - left + 0.5) * scale, (y - top + 0.5) * scale
        draw.ellipse([cx - 4, cy - 4, cx + 4, cy + 4], fill=BOX_COLOUR, outline=(0, 0, 0))


def _page(shown: Sequence[Shown]) -> str:
    figures = "\n".join(
        f'<figure><img src="{html.escape(s.file)}" alt="">'
        f"<figcaption>{html.escape(s.title)} · Dice {s.dice:.3f}</figcaption></figure>"
        for s in shown
    )
    return f"""<!doctype html>
<meta charset="utf-8"><title>Worst cases</title>
<style>
body {{ font: 15px sans-serif; margin: 2rem; background: #111; color: #ddd }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1rem }}
figure {{ margin: 0 }} img {{ width: 100% }}
</style>
<h1>Worst cases</h1>
<p>Green: truth. Red: the model. Yellow: the prompt. These pictures belong to their sources.</p>
<main>
{figures}
</main>
"""
