"""How well objects of volumes are followed: ``python -m samovar.evaluation.following``.

Labelled volumes that the bundled model was not trained on are asked in the ways that a person asks:
a 3-D box, a flat box or a click that is followed until the object ends, true boxes on some slices.
What comes back is compared with the labels, and its ends with the true ones. The record goes beside
the benchmarks'; its table can be put into a guide.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samovar import api
from samovar.benchmark.machine import load_average
from samovar.benchmark.report import new_record, write_record
from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.errors import OutputError, SamovarError
from samovar.evaluation.asking import centre
from samovar.evaluation.bootstrap import sample_set
from samovar.evaluation.card import shared_manifest
from samovar.evaluation.followed_studies import HELD_OUT, Followed, Study, read_study, studies
from samovar.evaluation.metrics import dice
from samovar.evaluation.tables import interval
from samovar.masks import PixelMask
from samovar.models import load_model
from samovar.prompts import Prompt, Prompts

NAME = "following"
TITLE = "Objects of volumes, from what a person says to the labels"
ABOUT = (
    "The largest component of every structure of at least 300 voxels and 5 slices, asked on the"
    " slices of the default axis; the flat box and the click lie on the largest cross-section. The"
    " labels of the CT and of the body MR are another model's output. Ends are off by as many"
    " slices as the first and the last found slice are from the true ones, where the structure"
    " ends inside the volume; of an object that was not found, by as many as the slice that was"
    " pointed at."
)
BEGIN, END = "<!-- following: made by make following -->", "<!-- end of following -->"

Box = tuple[float, ...]


@dataclass(frozen=True)
class Question:
    """One way of asking."""

    title: str
    prompt: Callable[[Followed, int], Prompt]
    """From an object and the array axis of the slices."""
    following: Following | None = None
    ends: bool = False
    """The object's ends are to be found, not said."""


def box_of(mask: PixelMask) -> Box:
    """``x0, y0, z0, x1, y1, z1``, max exclusive."""
    return tuple(float(v) for v in (*mask.region.start[::-1], *mask.region.stop[::-1]))


def slice_box(item: Followed, axis: int, position: int) -> Box:
    """The box of one cross-section, one slice thick."""
    return box_of(item.slice(axis, position))


def ask_box(item: Followed, axis: int) -> Prompt:
    return Prompt(item.number, item.name, box_of(item.mask))


def ask_flat(item: Followed, axis: int) -> Prompt:
    return Prompt(item.number, item.name, slice_box(item, axis, item.largest(axis)))


def ask_click(item: Followed, axis: int) -> Prompt:
    """A click in the middle of the largest cross-section."""
    position = item.largest(axis)
    point = list(centre(item.slice(axis, position).flat(axis)))
    point.insert(2 - axis, float(position))
    return Prompt(item.number, item.name, points=(tuple(point),), labels=(1,))


def ask_keys(count: int) -> Callable[[Followed, int], Prompt]:
    """True boxes on slices evenly spread from the first to the last."""

    def ask(item: Followed, axis: int) -> Prompt:
        there = item.positions(axis)
        spread = np.linspace(0, len(there) - 1, count).round().astype(int)
        first, *others = [slice_box(item, axis, there[i]) for i in sorted({*spread.tolist()})]
        return Prompt(item.number, item.name, first, key_boxes=tuple(others))

    return ask


QUESTIONS = {
    "box": Question("3-D box", ask_box),
    "flat": Question("flat box, `--extent auto`", ask_flat, Following(extent="auto"), True),
    "click": Question("one click", ask_click, ends=True),
    "keys3": Question("boxes of 3 slices", ask_keys(3)),
    "keys5": Question("boxes of 5 slices", ask_keys(5)),
}


@dataclass(frozen=True)
class Outcome:
    """How one object was found by one question."""

    group: str
    study: str
    name: str
    question: str
    dice: float
    slices: int
    """True slices."""
    first: int | None
    """Slices from the true first one to the found one: negative is too far. None at the volume's
    own end, and where the ends were said."""
    last: int | None
    """Likewise; positive is too far."""

    @property
    def too_far(self) -> list[int]:
        """Of each end that can be told, by how many slices it lies beyond the true one."""
        ends = [(self.first, -1), (self.last, 1)]
        return [value * sign for value, sign in ends if value is not None]


def ask_study(study: Study, model: Any, asked: Iterable[str]) -> list[Outcome]:
    """Every question about every object of a study; slices are encoded once for all of them.

    Raises:
        InputError: the study's files cannot be read.
    """
    found = []
    cache = EmbeddingCache(memory=256 << 20)
    with read_study(study) as (image, items):
        axis = Following().array_axis(image.grid)
        for name in asked:
            question = QUESTIONS[name]
            prompts = Prompts(tuple(question.prompt(item, axis) for item in items))
            answers = api.segment(
                image, model=model, prompts=prompts, modality=study.modality,
                following=question.following, cache=cache,
            )  # fmt: skip
            count = image.grid.shape[axis]
            for item, answer in zip(items, answers, strict=True):
                mask = PixelMask(answer.region, answer.mask)
                found.append(_outcome(study, item, name, mask, axis, count))
    return found


def _outcome(
    study: Study, item: Followed, name: str, mask: PixelMask, axis: int, count: int
) -> Outcome:
    there = item.positions(axis)
    first: int | None = None
    last: int | None = None
    if QUESTIONS[name].ends:
        pointed = item.largest(axis)
        low, high = (pointed, pointed + 1) if mask.empty else _span(mask, axis)
        first = low - there[0] if there[0] > 0 else None
        last = high - 1 - there[-1] if there[-1] < count - 1 else None
    return Outcome(
        study.group, study.name, item.name, name, dice(mask, item.mask), len(there), first, last
    )


def _span(mask: PixelMask, axis: int) -> tuple[int, int]:
    return mask.region.start[axis], mask.region.stop[axis]


def summarise(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row a group of studies and question, in the order of asking."""
    rows = []
    for key in dict.fromkeys((o.group, o.question) for o in outcomes):
        chosen = [o for o in outcomes if (o.group, o.question) == key]
        scores = [o.dice for o in chosen]
        # objects are drawn where a group is a single volume, else whole volumes
        several = len({o.study for o in chosen}) > 1
        images = [o.study if several else f"{i}" for i, o in enumerate(chosen)]
        sampled = sample_set("/".join(key), images, {"dice": scores})
        row = {
            "group": key[0], "question": key[1], "objects": len(chosen),
            "dice": float(np.mean(scores)), "median": float(np.median(scores)),
            "ci": sampled.interval("dice"), "slices": float(np.mean([o.slices for o in chosen])),
        }  # fmt: skip
        ends = np.array([v for o in chosen for v in o.too_far])
        if ends.size:
            row |= {
                "ends": int(ends.size), "off": float(np.abs(ends).mean()),
                "too_far": float(np.maximum(ends, 0).mean()),
                "short": float(np.maximum(-ends, 0).mean()),
                "within_1": float((np.abs(ends) <= 1).mean()),
            }  # fmt: skip
        rows.append(row)
    return rows


COLUMNS = (
    "volumes, prompt", "objects", "Dice", "95 %", "median Dice", "slices", "ends off by",
    "too far", "short", "within 1",
)  # fmt: skip


def cells(row: dict[str, Any]) -> list[str]:
    """A row of :func:`summarise` as the texts of :data:`COLUMNS`."""
    told = [f"{row['group']}: {QUESTIONS[row['question']].title}", str(row["objects"])]
    told += [f"{row['dice']:.3f}", interval(row["ci"]), f"{row['median']:.3f}"]
    told.append(f"{row['slices']:.0f}")
    if "ends" not in row:
        return [*told, "", "", "", ""]
    ends = [f"{row[k]:.1f}" for k in ("off", "too_far", "short")]
    return [*told, *ends, f"{100 * row['within_1']:.0f} %"]


def guide_table(record: dict[str, Any]) -> str:
    """What a guide says: the model, and the table of the record."""
    model, (table,) = record["model"], record["tables"]
    first, *others = table["columns"]
    lines = [
        f"With `{model['name'].rpartition('/')[2]}` {model['version']} (weights"
        f" {model['weights_sha256'][:12]}…), on volumes that it was not trained on; slices count"
        " those of the structure, the last columns are slices too:",
        "",
        "| " + " | ".join((first, *others)) + " |",
        "|---|" + "---:|" * len(others),
        *("| " + " | ".join(row) + " |" for row in table["rows"]),
    ]
    return "\n".join(lines)


def rewrite_guide(guide: Path, record: dict[str, Any]) -> None:
    """Puts the table between the marks of a guide.

    Raises:
        OutputError: the marks are not there, or the file cannot be written.
    """
    try:
        text = guide.read_text("utf-8")
        if BEGIN not in text or END not in text:
            raise OutputError(f"{guide}: it has no lines {BEGIN} and {END}: add them")
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        guide.write_text(f"{head}{BEGIN}\n\n{guide_table(record)}\n\n{END}{tail}", "utf-8")
    except OSError as error:
        raise OutputError(f"{guide} cannot be written: {error}") from error


def run_following(
    data: Path, model: str, asked: Sequence[str], limit: int, threads: int | None
) -> dict[str, Any]:
    """The record: its table, and every object's figures."""
    before = load_average()
    outcomes: list[Outcome] = []
    with load_model(model, threads=threads) as loaded:
        for study in studies(data, limit):
            sys.stderr.write(f"{NAME}: {study.group}: {study.name}\n")
            outcomes += ask_study(study, loaded, asked)
        about = loaded.describe()
    outcomes.sort(key=lambda o: (list(HELD_OUT).index(o.group), list(QUESTIONS).index(o.question)))
    rows = summarise(outcomes)
    table = {"title": "Prompts", "columns": list(COLUMNS), "rows": [cells(row) for row in rows]}
    return new_record(
        NAME, TITLE, ABOUT, 1, before,
        model=about, tables=[table],
        notes=[f"{group}: {note}" for group, note in HELD_OUT.items()],
        summary=rows, objects=[asdict(o) for o in outcomes], limit=limit,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit codes are those of the command line."""
    parser = argparse.ArgumentParser("python -m samovar.evaluation.following")
    parser.add_argument("--data", type=Path, help="MANIFEST.json (default: the shared data's)")
    parser.add_argument("--model", default="tiny", help="name or folder of a model")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"), help="folder")
    parser.add_argument("--guide", type=Path, help="Markdown file whose table is made anew")
    parser.add_argument(
        "--ask", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS), help="which prompts"
    )
    parser.add_argument("--limit", type=int, default=20, help="hippocampus volumes (default: 20)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    try:
        data = options.data or shared_manifest()
        record = run_following(data, options.model, options.ask, options.limit, options.threads)
        options.output.mkdir(parents=True, exist_ok=True)
        file = write_record(record, options.output)
        if options.guide:
            rewrite_guide(options.guide, record)
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{guide_table(record)}\n\n{file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
