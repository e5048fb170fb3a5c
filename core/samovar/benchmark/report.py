"""Reports: one JSON file a benchmark, and one page made from all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samovar.benchmark.machine import circumstances
from samovar.errors import OutputError

INTRODUCTION = """# Benchmarks

Made by `make bench`; do not edit. Where a case is a command, it runs in a process of its own, so
cold start counts: starting Python, loading the model, reading, segmenting, writing. The cases take
turns, in alternating order, after one round that is not counted. CPU seconds are user and system
time by `getrusage`. Figures of commands are medians with their quartiles.
"""


def new_record(
    name: str, title: str, about: str, rounds: int, before: float | None, **parts: Any
) -> dict[str, Any]:
    """A benchmark's record, made when it ends.

    Args:
        before: the load average when it began.
        parts: ``tables``, ``notes``, ``cases``, ``model`` for the page, and whatever was measured.
    """
    return {
        "name": name, "title": title, "about": about, "rounds": rounds,
        **circumstances(before), **parts,
    }  # fmt: skip


def write_record(record: dict[str, Any], folder: Path) -> Path:
    """Writes ``NAME.json`` and makes the page anew.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{record['name']}.json"
        _replace(file, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        records = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))]
        _replace(folder / "README.md", page(records))
    except OSError as error:
        raise OutputError(f"the benchmark's report cannot be written: {error}") from error
    return file


def page(records: list[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *(_section(record) for record in records)])


def _section(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    lines = [
        f"## {record['title']}",
        "",
        record["about"],
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
        f" ({', '.join(machine['instruction_sets'])}); Python {machine['python']}, {versions};"
        f" {record['rounds']} rounds on {record['created'][:10]},"
        f" load {record['load'][0]} before and {record['load'][1]} after.",
        "",
        *(line for table in record.get("tables", ()) for line in _table(table)),
        *(f"- {note}" for note in record.get("notes", ())),
        *([""] if record.get("notes") else []),
        *_cases(record.get("cases", ())),
    ]
    if record.get("model"):
        model = record["model"]
        ran = model["runtime"]
        lines.append(
            f"Model {model['name']} {model['version']} (weights {model['weights_sha256'][:12]}…),"
            f" {ran['name']} {ran['version']}, {ran['precision']}, {ran['instruction_set']}.\n"
        )
    return "\n".join(lines)


def _table(table: dict[str, Any]) -> list[str]:
    """Of a record that brings its own: title, about, columns, rows of texts."""
    first, *others = table["columns"]
    return [
        f"### {table['title']}",
        "",
        *([table["about"], ""] if table.get("about") else []),
        "| " + " | ".join((first, *others)) + " |",
        "|---|" + "---:|" * len(others),
        *("| " + " | ".join(row) + " |" for row in table["rows"]),
        "",
    ]


def _cases(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Of a record of whole commands."""
    if not cases:
        return []
    return [
        "| case | threads | wall s | CPU s | peak MiB | CPU against |",
        "|---|---:|---:|---:|---:|---|",
        *(_line(case) for case in cases),
        "",
        *(f"- {case['name']}: {case['note']}" for case in cases if case["note"]),
        "",
    ]


def _line(case: dict[str, Any]) -> str:
    against = ""
    if case.get("cpu_ratio"):
        against = f"{case['baseline']}: × {_spread(case['cpu_ratio'], 2)}"
    cells = [
        case["name"],
        str(case["threads"] or ""),
        _spread(case["wall_s"], 2),
        _spread(case["cpu_s"], 2),
        _spread(case["peak_rss_mb"], 0),
        against,
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(figure: dict[str, Any] | None, digits: int) -> str:
    if figure is None:
        return "not known"
    median, low, high = (f"{figure[k]:.{digits}f}" for k in ("median", "q1", "q3"))
    return f"{median} ({low}–{high})"


def _replace(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
