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
from samovar.masks import PixelMask

TRUE_COLOUR, FOUND_COLOUR, BOX_COLOUR = (64, 220, 64), (255, 64, 64), (255, 220, 0)
_SIDE = 480


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
    canvas = Image.fromarray(picture.astype(np.uint8).transpose(1, 2, 0))
    scale = max(1, round(_SIDE / max(canvas.size)))
    canvas = canvas.resize((canvas.width * scale, canvas.height * scale), Image.Resampling.NEAREST)
    pixels = np.asarray(canvas).copy()
    shape = picture.shape[1:]
    for mask, colour in ((result.target.mask, TRUE_COLOUR), (result.predicted, FOUND_COLOUR)):
        pixels[_outline(mask, shape, scale)] = colour
    canvas = Image.fromarray(pixels)
    _draw_prompt(ImageDraw.Draw(canvas), result, scale)
    name = f"{s.where.name}-{result.stem}-{result.target.number}.png".replace("/", "-")
    canvas.save(folder / name)
    title = f"{s.where.name} / {result.stem} · {result.target.class_name}"
    return Shown(name, title, result.dice)


def _outline(mask: PixelMask, shape: tuple[int, ...], scale: int) -> NDArray[np.bool_]:
    full = np.zeros(shape, dtype=bool)
    if not mask.empty:
        full[mask.region.slices] = mask.inside
    full = full.repeat(scale, axis=0).repeat(scale, axis=1)
    core: NDArray[np.bool_] = ndimage.binary_erosion(full, iterations=max(1, scale))
    return full & ~core


def _draw_prompt(draw: ImageDraw.ImageDraw, result: ObjectResult, scale: int) -> None:
    prompt = result.prompt
    if prompt is None:
        return
    if prompt.box is not None:
        x0, y0, x1, y1 = (round(v * scale) for v in prompt.box)
        draw.rectangle([x0, y0, x1 - 1, y1 - 1], outline=BOX_COLOUR)
    for x, y in (p[:2] for p in prompt.points):
        cx, cy = (x + 0.5) * scale, (y + 0.5) * scale
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
