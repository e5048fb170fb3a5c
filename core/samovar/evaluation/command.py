"""``samovar eval``: how right a model is on somebody's data."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import OutputError, UsageError
from samovar.specs import CommandSpec, OptionSpec

if TYPE_CHECKING:
    from samovar.evaluation.run import Evaluation, Progress

_SHOWN = 10  # failures named on standard error

EVAL_COMMAND = CommandSpec(
    name="eval",
    target="samovar.evaluation.command:run_eval",
    summary="Measure a model on labelled pictures and volumes, beside simple references",
    help=(
        "Measure a model on labelled data: Dice, IoU, boundary IoU and, on volumes, NSD at 2 mm, "
        "a set and a class, with bootstrap intervals, beside simple references."
    ),
    options=(
        OptionSpec("--data", "a MANIFEST.json, a set, or a folder of sets", metavar="PATH"),
        OptionSpec("--prompt", "box, point, center or auto:GENERATOR[:k=v,…]", default="box"),
        OptionSpec("--jitter", "move each edge of a box by up to this share", float, 0.0),
        OptionSpec("--clicks", "corrective clicks after the first prompt", int, 0),
        OptionSpec("--model", "name or folder of a model", default="tiny"),
        OptionSpec("--adapter", "an adapter on top of the model"),
        OptionSpec("--modality", "auto, ct, mr, us, rgb …", default="auto"),
        OptionSpec("--validation", "only the validation stems of the manifest", bool, False),
        OptionSpec("--unseen", "only sets that say train: false", bool, False),
        OptionSpec("--references", "GrabCut too, beside ellipse and Otsu", bool, False),
        OptionSpec("--reference-memory", "JSON file that keeps GrabCut's results", metavar="FILE"),
        OptionSpec("--limit", "at most this many images a set, evenly spread", int, 0),
        OptionSpec("--seed", "of jitter, points and bootstrap", int, 0),
        OptionSpec("--json", "print the whole summary as JSON", bool, False),
        OptionSpec("--csv", "write a CSV file", metavar="FILE"),
        OptionSpec("--markdown", "write a Markdown file", metavar="FILE"),
        OptionSpec("--worst", "write a page of the worst cases as pictures", metavar="FOLDER"),
        OptionSpec("--runtime", "onnxruntime, openvino …, default or auto", default="default"),
        OptionSpec("--precision", "fp32, int8 …", default="auto"),
        OptionSpec("--region-decode", "auto, on or off: boxes over windows", default="auto"),
        OptionSpec("--device", "cpu, cuda:0 …", default="cpu"),
        OptionSpec("--threads", "threads of the runtime", int),
        OptionSpec("--accept-license", "accept a model's licence by name", multiple=True),
    ),
)  # fmt: skip


def run_eval(
    *,
    data: str | None = None,
    prompt: str = "box",
    jitter: float = 0.0,
    clicks: int = 0,
    model: str = "tiny",
    adapter: str | None = None,
    modality: str = "auto",
    validation: bool = False,
    unseen: bool = False,
    references: bool = False,
    reference_memory: str | None = None,
    limit: int = 0,
    seed: int = 0,
    json: bool = False,
    csv: str | None = None,
    markdown: str | None = None,
    worst: str | None = None,
    runtime: str = "default",
    precision: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    accept_license: Sequence[str] | None = None,
    region_decode: str = "auto",
) -> int:
    """Runs the command; 0 when every case was measured, 1 when some failed.

    Raises:
        UsageError, InputError, OutputError: nothing was measured or written.
    """
    from samovar.evaluation.asking import Asking
    from samovar.evaluation.references import References
    from samovar.evaluation.run import Settings, evaluate
    from samovar.models import load_model

    if not data:
        raise UsageError("--data is missing: give a MANIFEST.json or a folder of labelled images")
    if adapter:
        raise UsageError("--adapter: adapters come with samovar-lora, which is not installed")
    for file in (csv, markdown, reference_memory):
        _check_output(file)
    asking = Asking.parse(prompt, jitter=jitter, clicks=clicks, seed=seed)
    settings = Settings(asking, validation, unseen, limit, None, modality, 3 if worst else 0)
    memory = Path(reference_memory) if reference_memory else None
    asides = References(references, memory)
    loaded = load_model(
        model, runtime=runtime, precision=precision, device=device, threads=threads,
        accept_license=tuple(accept_license or ()), region_decode=region_decode,
    )  # fmt: skip
    try:
        with _progress() as progress:
            evaluation = evaluate(data, loaded, settings, asides, progress)
        about: dict[str, Any] = {"model": loaded.describe(), "prompt": prompt, "data": data}
    finally:
        asides.save()
        loaded.close()
    about |= {"jitter": jitter, "clicks": clicks, "limit": limit, "seed": seed}
    return _report(evaluation, about, json, csv, markdown, worst)


def _report(
    evaluation: Evaluation,
    about: dict[str, Any],
    as_json: bool,
    csv: str | None,
    markdown: str | None,
    worst: str | None,
) -> int:
    from samovar.evaluation.summary import summarise
    from samovar.evaluation.tables import to_csv, to_markdown
    from samovar.evaluation.worst import write_worst

    summary = {**about, **summarise(evaluation)}
    summary |= {"notes": list(evaluation.notes), "failures": list(evaluation.failures)}
    if csv:
        _write(csv, to_csv(summary))
    if markdown:
        _write(markdown, to_markdown(summary))
    if worst:
        write_worst(evaluation, Path(worst))
    if as_json:
        sys.stdout.write(json_module.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    else:
        _print(summary)
    for line in evaluation.failures[:_SHOWN]:
        sys.stderr.write(f"failed: {line}\n")
    if len(evaluation.failures) > _SHOWN:
        sys.stderr.write(f"failed: {len(evaluation.failures) - _SHOWN} more (see --json)\n")
    return 1 if evaluation.failures else 0


def _print(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from samovar.evaluation.tables import interval, percent

    table = Table(title=f"{summary['model'].get('name', '')} · {summary['prompt']}")
    columns = ["", "objects", "Dice", "95 %", "IoU", "best reference", "error removed"]
    instances = any("instances" in row for row in summary["datasets"].values())
    surfaces = any("nsd" in row for row in summary["datasets"].values())
    columns += ["NSD"] * surfaces + ["AP50 / F1 / found of true"] * instances
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    rows = [*summary["datasets"].items()]
    rows += [(f"domain {n}", r) for n, r in summary["domains"].items() if r]
    rows += [(f"mean {n}", r) for n, r in summary["means"].items()]
    for name, row in rows:
        best = row.get("best_reference", "")
        level = f"{best} {row['references'][best]:.3f}" if best else ""
        table.add_row(
            name, str(row["objects"]), f"{row['dice']:.3f}", interval(row["ci"]),
            f"{row['iou']:.3f}", level, percent(row.get("error_removed")),
            *[f"{row['nsd']:.3f}" if "nsd" in row else ""] * surfaces,
            *[_found(row.get("instances"))] * instances,
        )  # fmt: skip
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width to fit
        console.width = 120
    if rows:
        console.print(table)
    for note in summary["notes"]:
        sys.stderr.write(f"note: {note}\n")


def _found(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['ap50']:.3f} / {row['f1']:.3f} / {row['predicted']} of {row['true']}"


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done)
            if done == total:
                bar.remove_task(tasks[name])

        yield report


def _check_output(file: str | None) -> None:
    if file and not Path(file).absolute().parent.is_dir():
        raise OutputError(f"{file}: its folder does not exist: make it first")


def _write(file: str, text: str) -> None:
    path = Path(file)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{file} cannot be written: {error}") from error
