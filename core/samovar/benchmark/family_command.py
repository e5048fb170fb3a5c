"""``samovar bench family``: what the models cost, and how right those with weights are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samovar.errors import OutputError, UsageError
from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec

FAMILY_COMMAND = CommandSpec(
    name="bench family",
    target="samovar.benchmark.family_command:bench_family",
    summary="Compare efficient SAM variants: cost, and accuracy where there are weights",
    help=(
        "Measures every registered model (or those named): parameters, multiply-accumulates, "
        "encoder and decoder time, totals, everything mode, peak memory. With --data also the "
        "accuracy of models that have weights: boxes and points with corrective clicks, boxes of a "
        "detector, proposals. A model registered without weights is measured with generated ones. "
        "Writes JSON, CSV, Markdown and a Pareto plot."
    ),
    arguments=(
        ArgumentSpec("MODEL", "names or folders; default: all", multiple=True, required=False),
    ),
    options=(
        OptionSpec("--output", "folder for the reports", metavar="DIR", short="-o"),
        OptionSpec("--runtime", "onnxruntime, openvino, default, auto", multiple=True),
        OptionSpec("--precision", "fp32, int8 …, auto", multiple=True),
        OptionSpec("--threads", "of the runtime", int, 1),
        OptionSpec("--prompts", "numbers of boxes for the totals", default="1,10,100"),
        OptionSpec("--grids", "sides of the point grids of everything mode", default="16,32"),
        OptionSpec("--rounds", "the best of so many counts", int, 3),
        OptionSpec("--quick", "everything mode from 64 points, scaled", bool, False),
        OptionSpec("--data", "labelled folder, manifest or COCO JSON", metavar="PATH"),
        OptionSpec("--images", "folder of the COCO file's pictures", metavar="DIR"),
        OptionSpec(
            "--detections",
            "a detector's results in COCO's format; truth: the labels' own boxes; none",
            default="truth",
        ),
        OptionSpec("--proposals", "GENERATOR[:k=v,…] for AR; none", default="grid"),
        OptionSpec("--limit", "at most this many pictures a set, evenly spread", int, 0),
        OptionSpec("--modality", "auto, ct, mr, rgb …", default="auto"),
        OptionSpec("--seed", "of the prompts", int, 0),
        OptionSpec("--accept-license", "accept a model's licence by name", multiple=True),
        OptionSpec("--json", "print the whole record as JSON", bool, False),
    ),
    code_licence="Apache-2.0",
)


def bench_family(
    *,
    model: Sequence[str] | None = None,
    output: str | None = None,
    runtime: Sequence[str] | None = None,
    precision: Sequence[str] | None = None,
    threads: int = 1,
    prompts: str = "1,10,100",
    grids: str = "16,32",
    rounds: int = 3,
    quick: bool = False,
    data: str | None = None,
    images: str | None = None,
    detections: str = "truth",
    proposals: str = "grid",
    limit: int = 0,
    modality: str = "auto",
    seed: int = 0,
    accept_license: Sequence[str] | None = None,
    json: bool = False,
) -> int:
    """Runs the command; 0 when everything was measured, 1 when something was not.

    Raises:
        UsageError, InputError, OutputError: nothing was measured.
    """
    from samovar.benchmark.family import run_family, subjects
    from samovar.benchmark.family_accuracy import Protocols, labelled
    from samovar.benchmark.family_case import Request
    from samovar.benchmark.family_report import write_reports
    from samovar.manifest import to_json

    if not output and not json:
        raise UsageError("nothing would be written: add -o DIR or --json")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise OutputError(f"{output}: a file is there already: choose another folder")
    if threads < 1 or rounds < 1:
        raise UsageError("--threads and --rounds are 1 or more")
    asked = Request(
        "", threads=threads, prompts=_numbers("--prompts", prompts, 1),
        grids=_numbers("--grids", grids, 0), rounds=rounds, quick=quick,
        accept=tuple(accept_license or ()),
    )  # fmt: skip
    settings = [(r, p) for r in runtime or ["default"] for p in precision or ["auto"]]
    protocols = Protocols(_named(detections), _named(proposals), modality, seed)
    sets = labelled(data, images, limit) if data else []
    chosen = subjects(model or ())
    record = run_family(chosen, asked, settings, sets, protocols if data else None, _say)
    if output:
        files, problem = write_reports(record, Path(output))
        for line in (*record["notes"], *([problem] if problem else [])):
            _say(line)
        if not json:
            for file in files:
                sys.stdout.write(f"wrote {file}\n")
    if json:
        sys.stdout.write(to_json(record))
    return _code(record, named=bool(model))


def _code(record: dict[str, Any], named: bool) -> int:
    """What cannot be measured by its nature is a failure only where somebody named it."""
    natural = 0 if named else sum(": not measured: " in note for note in record["notes"])
    return int(len(record["notes"]) > natural)


def _numbers(option: str, text: str, fewest: int) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(parts) < fewest:
        raise UsageError(f"{option} {text!r}: give whole numbers with commas, 1,10,100")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _named(text: str) -> str:
    return "" if text == "none" else text


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
