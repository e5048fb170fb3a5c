"""What commands say: results on standard output, everything else on standard error.

For the host's commands and those of plugins.

With ``--json`` standard output holds one JSON document and nothing else, an error too:
``{"error": "…", "exit_code": 2}``; the same line goes to standard error for the person.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from samovar.manifest import to_json
from samovar.privacy import hide


def say(text: str) -> None:
    """A line for the person, on standard error; private words are hidden."""
    typer.echo(hide(text), err=True)


def print_json(value: Any) -> None:
    """The one JSON document of a run with ``--json``."""
    typer.echo(to_json(value), nl=False)


def print_line(text: str) -> None:
    """A line of the result, on standard output."""
    typer.echo(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """A table on standard output: numbers to the right; never narrower than what it holds."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if v is None else _shown(v) for v in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.1f}"
    return str(value)


@contextmanager
def results_kept_clean() -> Iterator[None]:
    """While work is done, whatever a library prints goes to standard error."""
    with redirect_stdout(sys.stderr):
        yield


def report_error(message: str, exit_code: int, *, as_json: bool) -> int:
    """Say what went wrong, in one line; returns ``exit_code``."""
    line = hide(" ".join(message.split()))
    say(f"samovar: {line}")
    if as_json:
        print_json({"error": line, "exit_code": exit_code})
    return exit_code
