"""Makes the model card of a bundle: ``python -m samovar.evaluation.card``.

It evaluates the model on the validation part of the sets it was trained on and on the whole of
those it never saw, beside all references, and with other prompts; then it writes the card, the
figures as JSON and, where a table of the training's course lies beside it, its curves. Pictures of
failures show third-party images: they go to a folder that is not committed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from samovar.errors import InputError, SamovarError
from samovar.evaluation.asking import Asking
from samovar.evaluation.card_page import card_page
from samovar.evaluation.curves import draw_curves, read_curves
from samovar.evaluation.references import References
from samovar.evaluation.run import Evaluation, Settings, evaluate_sets
from samovar.evaluation.sets import MANIFEST, EvaluationSet, find_sets
from samovar.evaluation.summary import summarise
from samovar.evaluation.worst import write_worst
from samovar.models import Model, load_model

PROMPT_LIMIT = 5
"""Images a set, evenly spread, on which prompts are compared with each other."""

PROMPTS = {
    "box": Asking("box"),
    "box, edges off by up to 5 %": Asking("box", jitter=0.05),
    "box, edges off by up to 10 %": Asking("box", jitter=0.1),
    "box, then 3 clicks": Asking("box", clicks=3),
    "point at the centre, then 5 clicks": Asking("center", clicks=5),
    "random point, then 5 clicks": Asking("point", clicks=5),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the card; the exit codes are those of the command line."""
    parser = argparse.ArgumentParser("python -m samovar.evaluation.card")
    parser.add_argument("--data", default=None, help="MANIFEST.json (default: the shared data's)")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, default=Path("docs/models/tiny.md"))
    parser.add_argument("--worst", type=Path, default=Path(".runs/worst"), help="untracked folder")
    parser.add_argument("--memory", type=Path, default=Path(".runs/grabcut.json"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", action="store_true", help="only the page, from its JSON file")
    parser.add_argument("--limit", type=int, default=0, help="cases a set, for a quick look")
    options = parser.parse_args(argv)
    try:
        if options.page:
            return rewrite_page(options.output)
        data = options.data or str(shared_manifest())
        for folder in (options.output.parent, options.memory.parent):
            folder.mkdir(parents=True, exist_ok=True)
        references = References(grabcut=True, memory=options.memory)
        with load_model(options.model, threads=options.threads) as model:
            figures = measure_sets(data, model, references, options.limit, options.worst)
            # the slow half comes last, so that stopping it leaves a card
            write_page(options.output, write_figures(options.output, model, figures))
            figures |= measure_prompts(data, model, options.limit)
            write_page(options.output, write_figures(options.output, model, figures))
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{options.output}\n")
    return 1 if figures["failures"] else 0


def shared_manifest() -> Path:
    """The sample data's manifest: ``$SAMOVAR_SHARED``, or ``shared`` beside the repository.

    Raises:
        InputError: it is in neither place.
    """
    here = Path(__file__).resolve()
    folders = [Path(os.environ["SAMOVAR_SHARED"])] if "SAMOVAR_SHARED" in os.environ else []
    folders += [parent.parent / "shared" for parent in here.parents if (parent / ".git").exists()]
    for folder in folders:
        if (folder / "data" / MANIFEST).is_file():
            return folder / "data" / MANIFEST
    raise InputError(
        f"no sample data: set SAMOVAR_SHARED to the folder that holds data/{MANIFEST}, or --data"
    )


def measure_sets(
    data: str, model: Model, references: References, limit: int, worst: Path
) -> dict[str, Any]:
    """Validation and unseen sets beside all references, JSON-able."""
    sets, _ = find_sets(data)
    trained = [s for s in sets if s.train and s.has_validation]
    unseen = [s for s in sets if s.unseen]
    settings = Settings(validation=True, limit=limit, keep=3)
    started = time.perf_counter()
    validation = _evaluate(trained, model, settings, references)
    new = _evaluate(unseen, model, replace(settings, validation=False), references)
    references.save()
    both = Evaluation(settings, (*validation.sets, *new.sets))
    write_worst(both, worst)
    return {
        "validation": summarise(validation),
        "unseen": summarise(new),
        "data": [_data_row(s) for s in sets],
        "limit": limit,
        "seconds": round(time.perf_counter() - started),
        "failures": list(both.failures),
    }


def measure_prompts(data: str, model: Model, limit: int) -> dict[str, Any]:
    """Other prompts on a sample of the validation pictures, JSON-able."""
    sets, _ = find_sets(data)
    pictures = [s for s in sets if s.train and s.has_validation and s.kind == "pictures"]
    sample = Settings(validation=True, limit=limit or PROMPT_LIMIT)
    prompts = {
        name: _brief(_evaluate(pictures, model, replace(sample, asking=asking)))
        for name, asking in PROMPTS.items()
    }
    return {"prompts": prompts, "prompt_limit": sample.limit}


def write_figures(file: Path, model: Model, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures beside the card as JSON, with what the model says of itself."""
    bundle = model.bundle
    facts = json.loads((bundle.folder / "bundle.json").read_text("utf-8")) if bundle else {}
    content = {"model": model.describe(), "facts": facts, **figures}
    numbers = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    file.with_suffix(".json").write_text(numbers, encoding="utf-8")
    return content


def rewrite_page(file: Path) -> int:
    """Makes the page anew from the JSON file beside it.

    Raises:
        InputError: there is none.
    """
    figures = file.with_suffix(".json")
    if not figures.is_file():
        raise InputError(f"{figures} is missing: make the card without --page first")
    write_page(file, json.loads(figures.read_text("utf-8")))
    return 0


def write_page(file: Path, figures: dict[str, Any]) -> None:
    """The card, its curves as SVG where their table lies beside it, a link to what was tried."""
    table = file.with_name(f"{file.stem}-curves.csv")
    curves = file.with_name(f"{file.stem}-curves.svg")
    if table.is_file():
        curves.write_text(
            draw_curves(read_curves(table), "Course of the training"), encoding="utf-8"
        )
    tried = file.with_name(f"{file.stem}-encoders.md")
    text = card_page(
        figures["facts"],
        figures["model"],
        figures,
        curves.name if table.is_file() else "",
        tried.name if tried.is_file() else "",
    )
    file.write_text(text, encoding="utf-8")


def _evaluate(
    sets: Sequence[EvaluationSet],
    model: Model,
    settings: Settings,
    references: References | None = None,
) -> Evaluation:
    def progress(name: str, done: int, total: int) -> None:
        if done == total:
            sys.stderr.write(f"{name}: {total}\n")

    return evaluate_sets(sets, model, settings, references, progress)


def _brief(evaluation: Evaluation) -> dict[str, Any]:
    summary = summarise(evaluation)
    return {**summary["domains"], "all": summary["means"]["all"]}


def _data_row(where: EvaluationSet) -> dict[str, Any]:
    cases, kept = len(where.cases()), len(where.cases(validation=True))
    keys = ("licence", "source", "note")
    return {
        "name": where.name,
        "domain": where.domain,
        "modality": where.modality,
        "train": where.train,
        "cases": cases,
        "validation": kept,
        **{k: where.record[k] for k in keys if where.record.get(k)},
    }


if __name__ == "__main__":
    sys.exit(main())
