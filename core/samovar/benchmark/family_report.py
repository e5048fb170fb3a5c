"""Reports of the family's benchmark: JSON, CSV, a Markdown page, and a Pareto plot."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from samovar.errors import DependencyError, OutputError
from samovar.staging import reason, temporary_name

GENERATED = (
    "Models whose weights are *generated* are the registered architectures without anybody's"
    " checkpoint: what they cost is real, and no accuracy is given for them."
)
SCORES = (
    ("miou",),
    ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "boundary_iou"),
    ("ar10", "ar100", "ar1000"),
)
"""Scores of a table each: prompts, boxes of a detector, proposals."""


def write_reports(record: Mapping[str, Any], folder: Path) -> tuple[list[Path], str]:
    """Every report, each whole or not at all; and why there is no plot, if there is none.

    Raises:
        OutputError: the folder cannot be written.
    """
    texts = {
        "family.json": json.dumps(record, indent=1, ensure_ascii=False) + "\n",
        "family-efficiency.csv": to_csv(record["efficiency"]),
        "family.md": to_markdown(record),
    }
    if record["accuracy"]:
        rows = [{**{k: v for k, v in r.items() if k != "scores"}, **r["scores"]}
                for r in record["accuracy"]]  # fmt: skip
        texts["family-accuracy.csv"] = to_csv(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [_write(folder / name, text.encode()) for name, text in texts.items()]
        problem = ""
        try:
            written.append(_write(folder / "family.svg", to_svg(record)))
        except DependencyError as error:
            problem = str(error)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({reason(error)})") from error
    return written, problem


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """All columns that any row has, in the order in which they turn up."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    table = csv.DictWriter(stream, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()


def to_markdown(record: Mapping[str, Any]) -> str:
    """The page: machine, cost, accuracy, what was left out."""
    machine = record["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    asked = record["asked"]
    lines = [
        "# Efficient SAM variants",
        "",
        "Made by `samovar bench family`. Each model ran in a fresh process; milliseconds are CPU"
        f" time, best of {asked['rounds']} rounds, with {asked['threads']} thread(s); wall time is"
        " in the CSV. Parameters and multiply-accumulates are counted on the graphs, one way for"
        " all: Conv, ConvTranspose, Gemm, MatMul and Einsum by the shapes of a run. Totals are one"
        " picture encoded and so many boxes decoded to masks in the picture's pixels; everything"
        " is one point a node of the grid, decoded, nothing filtered.",
        "",
        GENERATED,
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
        f" ({', '.join(machine['instruction_sets'])}); {versions}; {record['created'][:10]},"
        f" load {record['load'][0]} before and {record['load'][1]} after.",
        "",
        "## Cost",
        "",
        *_cost(record["efficiency"]),
        "",
    ]
    if any(row["everything_scaled"] for row in record["efficiency"]):
        lines += ["Everything: scaled from the time of 64 points (`--quick`).", ""]
    if record["accuracy"]:
        lines += ["## Accuracy", "", _about_accuracy(record), "", *_scores(record["accuracy"])]
    lines += [f"- {note}" for note in record["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _cost(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    totals = _counts(rows, "total_ms_")
    grids = _counts(rows, "everything_")
    columns = ["model", "weights", "runtime", "M params", "encoder GMAC", "decoder GMAC",
               "encoder ms", "decoder ms a prompt", *(f"total ms, {n}" for n in totals),
               *(f"everything {n}² s" for n in grids), "peak MiB", "images/s"]  # fmt: skip
    yield "| " + " | ".join(columns) + " |"
    yield "|---|---|---|" + "---:|" * (len(columns) - 3)
    for row in rows:
        cells = [
            row["model"], row["weights"], f"{row['runtime']} {row['precision']}",
            _shown(row["parameters"], 1, 1e6), _shown(row["encoder_gmac"], 1),
            _shown(row["decoder_gmac"], 2), _shown(row["encoder_ms_cpu"], 0),
            _shown(row["decoder_ms_per_prompt_cpu"], 1),
            *(_shown(row.get(f"total_ms_{n}_cpu"), 0) for n in totals),
            *(_shown(row.get(f"everything_{n}_s_cpu"), 1) for n in grids),
            _shown(row["peak_mib"], 0), _shown(row["images_per_s_cpu"], 2),
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"


def _counts(rows: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    """The numbers in names of columns: ``total_ms_10_cpu`` → ``10``."""
    found = {k.removeprefix(prefix).split("_")[0] for r in rows for k in r if k.startswith(prefix)}
    return sorted((n for n in found if n.isdigit()), key=int)


def _about_accuracy(record: Mapping[str, Any]) -> str:
    protocols = record["protocols"]
    detector = (
        "the labels' own boxes stand in for a detector without faults"
        if protocols["detections"] == "truth"
        else f"boxes of {Path(protocols['detections']).name or 'no detector'}"
    )
    return (
        "Box: the object's tight box; point: the pixel farthest from its edge; +1, +2: so many"
        " clicks at the centre of the largest error, with the previous mask. mIoU is the mean over"
        f" objects. Detector: {detector}; AP by COCO's rules, mean over classes and IoU 0.5 … 0.95;"
        " boundary IoU is the mean over objects. AR: share of objects found among so many"
        " proposals, same thresholds. *Selection* is the rule by which one of the decoder's masks"
        " was chosen, never the best by the label."
    )


def _scores(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for names in SCORES:
        own = [row for row in rows if set(names) & set(row["scores"])]
        if own:
            yield from _score_table(own, names)
            yield ""


def _score_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    columns = ["model", "runtime", "set", "protocol", "objects", "selection", *names]
    yield "| " + " | ".join(columns) + " |"
    yield "|---|---|---|---|---:|---|" + "---:|" * len(names)
    for row in rows:
        cells = [row["model"], f"{row['runtime']} {row['precision']}", row["set"],
                 row["protocol"], str(row["objects"]), row["selection"],
                 *(_shown(row["scores"].get(name), 3) for name in names)]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points that no other beats in both: least x, greatest y; by x."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    best, kept = float("-inf"), []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept


def to_svg(record: Mapping[str, Any]) -> bytes:
    """Cost of the encoder against cost of a prompt; and mean box IoU against time, where known.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        matplotlib: Any = import_module("matplotlib")
    except ImportError as error:
        raise DependencyError("no plot: pip install matplotlib") from error
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "samovar", "svg.fonttype": "none"})
    plots: Any = import_module("matplotlib.pyplot")
    rows = record["efficiency"]
    accurate = _accurate(record)
    figure, axes = plots.subplots(1, 2 if accurate else 1, figsize=(13 if accurate else 8, 6),
                                  squeeze=False)  # fmt: skip
    costs = [(r["encoder_ms_cpu"], -r["decoder_ms_per_prompt_cpu"]) for r in rows]
    several = len({(r["runtime"], r["precision"]) for r in rows}) > 1
    names = [_label(r) if several else r["model"].split("/")[-1] for r in rows]
    axes[0][0].set_xscale("log")
    _draw(axes[0][0], [(x, -y) for x, y in costs], names, front(costs),
          [r["weights"] == "generated" for r in rows])  # fmt: skip
    axes[0][0].set(xlabel="encoder, CPU ms", ylabel="decoder, CPU ms a prompt",
                   title="Cost (open: generated weights)")  # fmt: skip
    if accurate:
        points = [(x, y) for _, x, y in accurate]
        _draw(axes[0][1], points, [name for name, _, _ in accurate], front(points),
              [False] * len(points))  # fmt: skip
        axes[0][1].set(xlabel="one picture, one box, CPU ms", ylabel="mIoU, box prompt",
                       title="Accuracy of models with weights of their own")  # fmt: skip
    figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    plots.close(figure)
    return stream.getvalue()


def _accurate(record: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, total time at the fewest prompts, mean over sets of the box mIoU."""
    found = []
    for row in record["efficiency"]:
        own = [a["scores"]["miou"] for a in record["accuracy"] if a["protocol"] == "box"
               and all(a[k] == row[k] for k in ("model", "runtime", "precision"))]  # fmt: skip
        counts = _counts([row], "total_ms_")
        if own and counts:
            found.append((_label(row), row[f"total_ms_{counts[0]}_cpu"], sum(own) / len(own)))
    return found


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['model'].split('/')[-1]} {row['runtime']} {row['precision']}"


def _draw(
    axis: Any,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    kept: Sequence[int],
    hollow: Sequence[bool],
) -> None:
    axis.plot(*zip(*(points[i] for i in kept), strict=True), color="#c0392b", linewidth=1)
    for (x, y), name, empty in zip(points, names, hollow, strict=True):
        axis.plot(x, y, "o", color="#2c3e50", fillstyle="none" if empty else "full")
        axis.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
    ticker: Any = import_module("matplotlib.ticker")
    axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.margins(x=0.2, y=0.1)
    axis.grid(alpha=0.3)


def _shown(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def _write(path: Path, content: bytes) -> Path:
    part = temporary_name(path)
    part.write_bytes(content)
    part.replace(path)
    return path
