"""Tables: a summary as CSV, as Markdown, and as a table on a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

COLUMNS = ("dice", "iou", "boundary_iou", "nsd")


def flat_rows(summary: Row) -> list[Row]:
    """One flat row a set, a class, a domain and a mean, for CSV."""
    rows = []
    for name, data in summary["datasets"].items():
        rows.append(_flat("set", name, "", data))
        rows += [_flat("class", name, c, row) for c, row in data["classes"].items()]
    rows += [_flat("domain", name, "", row) for name, row in summary["domains"].items() if row]
    rows += [_flat("mean", name, "", row) for name, row in summary["means"].items()]
    return rows


def to_csv(summary: Row) -> str:
    """Comma-separated rows with one header; columns that no row has are left out."""
    rows = flat_rows(summary)
    columns = list(dict.fromkeys(k for row in rows for k in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(summary: Row) -> str:
    """Three tables: sets, classes of sets with several, and means."""
    sets = summary["datasets"]
    parts = [set_table(sets.items())]
    several = [
        (f"{name}: {c}{' (thin)' if row['thin'] else ''}", row)
        for name, data in sets.items()
        if len(data["classes"]) > 1
        for c, row in data["classes"].items()
    ]
    if several:
        parts.append("### Classes\n\n" + set_table(several))
    parts.append("### Means over sets\n\n" + mean_table(summary))
    return "\n".join(parts)


def mean_table(summary: Row) -> str:
    """Domains and means, without thin structures except in their own row."""
    rows = [(f"domain {name}", row) for name, row in summary["domains"].items() if row]
    rows += [(f"mean {name}", row) for name, row in summary["means"].items()]
    return set_table(rows)


def set_table(rows: Iterable[tuple[str, Row]]) -> str:
    """Markdown table of rows of a summary."""
    rows = list(rows)
    references = list(dict.fromkeys(r for _, row in rows for r in row.get("references", {})))
    measures = [m for m in COLUMNS if any(m in row for _, row in rows)]
    header = ["", "objects", *(m.replace("_", " ") for m in measures), "95 % of Dice"]
    if references:
        header += [*references, "best reference's error removed"]
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    for name, row in rows:
        cells = [name, str(row["objects"]), *(_number(row.get(m)) for m in measures)]
        cells.append(interval(row["ci"]))
        if references:
            cells += [_number(row.get("references", {}).get(r)) for r in references]
            cells.append(percent(row.get("error_removed")))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def interval(ends: list[float] | None) -> str:
    return "" if ends is None else "–".join(_number(v) for v in ends)


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %".replace("-", "−")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _flat(level: str, name: str, class_name: str, row: Row) -> Row:
    low, high = row["ci"] or ("", "")
    flat: Row = {"level": level, "name": name, "class": class_name, "objects": row["objects"]}
    flat |= {m: row[m] for m in COLUMNS if m in row}
    flat |= {"dice_low": low, "dice_high": high, "thin": row.get("thin", "")}
    flat |= {f"reference_{k}": v for k, v in row.get("references", {}).items()}
    flat |= {k: row[k] for k in ("margin", "error_removed") if k in row}
    flat |= {f"dice_click_{i}": v for i, v in enumerate(row.get("clicks", ()))}
    return {**flat, **row.get("instances", {})}
