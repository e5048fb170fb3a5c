"""``samovar models pull NAME``: fetch the published weights of a model into the cache."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from samovar.consents import recall, remember
from samovar.errors import UsageError
from samovar.licences import require_accepted, restriction
from samovar.manifest import to_json
from samovar.specs import SourceSpec

from .downloads import Fetched, Manner, fetch
from .errors import DownloadError
from .sources import Offer, find_offer, offers


def pull(
    *,
    name: str | None = None,
    accept_license: Sequence[str] | None = None,
    repin: bool = False,
    json: bool = False,
) -> int:
    """Fetch every file of a model that can be fetched; without a name, list what there is.

    Returns:
        0, or 1 when a person has to get some of the files.

    Raises:
        UsageError: an unknown name, a licence that was not accepted, or no file to fetch.
        DownloadError, OutputError: as :func:`samovar_encoders.downloads.fetch` does.
    """
    if name is None:
        return _list(json)
    offer = find_offer(name)
    by_hand = [s for s in offer.sources if not s.url]
    if len(by_hand) == len(offer.sources):
        raise UsageError(_by_hand_line(offer, by_hand))
    consent = _check_licence(offer, name, accept_license or ())
    fetched = [_fetch_one(s, offer, repin) for s in offer.sources if s.url]
    if json:
        typer.echo(to_json(_document(offer, fetched, by_hand, consent)), nl=False)
    else:
        _report(offer, fetched, by_hand)
    if by_hand:
        _say(_by_hand_line(offer, by_hand))
    return 1 if by_hand else 0


def _check_licence(offer: Offer, asked: str, accepted: Sequence[str]) -> str:
    """Refuse, or remember the consent; returns its date, empty where none is needed."""
    names = (offer.name, offer.canonical)
    licence = offer.weights_licence
    require_accepted(offer.name, (*names, asked), licence, accepted)
    why = restriction(licence)
    if why is None:
        return ""
    if recall(names, licence) is None:
        remember(names, licence)
    consent = recall(names, licence)
    _say(f"licence of the weights: {licence or 'none stated'} ({why}); you accepted it")
    return consent.accepted if consent else ""


def _fetch_one(source: SourceSpec, offer: Offer, repin: bool) -> Fetched:
    with _progress(source.file) as tick:
        manner = Manner(repin=repin, progress=tick, say=_say)
        try:
            done = fetch(source, offer.folder, manner)
        except DownloadError as error:
            page = source.page or offer.homepage
            if not page or page in str(error):
                raise
            raise DownloadError(f"{error} (the weights are offered at {page})") from error
    if done.hosts:
        _say(f"{source.file}: came from {done.hosts[-1]}, where a redirect led")
    if done.resumed_at:
        _say(f"{source.file}: resumed at {done.resumed_at:,} bytes")
    if done.trust == "first use" and done.fetched:
        _say(
            f"{source.file}: nobody published its hash, so this download is trusted and its "
            f"SHA-256 pinned: {done.sha256}"
        )
    return done


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(name, total=None)

        def tick(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield tick


def _report(offer: Offer, fetched: Sequence[Fetched], by_hand: Sequence[SourceSpec]) -> None:
    for done in fetched:
        what = "fetched" if done.fetched else "there already"
        typer.echo(f"{done.path}: {done.bytes / 1e6:,.1f} MB, {what}, SHA-256 {done.sha256}")
    typer.echo(f"licence of the weights: {offer.weights_licence or 'none stated'}")
    if offer.citation:
        typer.echo(f"cite: {offer.citation}")
    if not by_hand:
        typer.echo(f"next: {_next_command(offer, [str(f.path) for f in fetched])}")


def _next_command(offer: Offer, paths: Sequence[str]) -> str:
    """What to type now; other plugins read their files from the cache themselves."""
    if offer.importable:
        words = ["samovar", "models", "import", *paths, "--as", offer.name, "-o", offer.name]
    else:
        words = ["samovar", "segment", "PICTURE", "--model", offer.canonical]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _by_hand_line(offer: Offer, by_hand: Sequence[SourceSpec]) -> str:
    """What only a person can do, and what to do afterwards."""
    asked = "; ".join(
        f"{s.file} from {s.page}" + (f" ({s.note})" if s.note else "") for s in by_hand
    )
    return (
        f"{offer.name}: no link leads straight to its weights: get {asked}, "
        f"then: {_next_command(offer, _all_paths(offer))}"
    )


def _all_paths(offer: Offer) -> list[str]:
    """Every file in the importer's order: cached ones in full, others as a person has them."""
    return [str(offer.folder / s.file) if s.url else s.file for s in offer.sources]


def _document(
    offer: Offer, fetched: Sequence[Fetched], by_hand: Sequence[SourceSpec], consent: str
) -> dict[str, Any]:
    return {
        "model": offer.canonical,
        "files": [
            {
                "path": str(done.path),
                "bytes": done.bytes,
                "sha256": done.sha256,
                "trust": done.trust,
                "fetched": done.fetched,
                "resumed_at": done.resumed_at,
                "redirected_to": list(done.hosts),
            }
            for done in fetched
        ],
        "by_hand": [{"file": s.file, "page": s.page, "note": s.note} for s in by_hand],
        "licence": {
            "code": offer.code_licence or "unknown",
            "weights": offer.weights_licence or "unknown",
            "accepted": consent or None,
        },
        "citation": offer.citation,
        "next": _next_command(offer, _all_paths(offer)),
    }


def _list(json: bool) -> int:
    rows = [_row(offer) for offer in offers()]
    if json:
        typer.echo(to_json({"models": rows}), nl=False)
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("model", "files", "MB", "weights", "from"):
        table.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    for row in rows:
        size = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f}"
        consent = " (needs --accept-license)" if row["needs_consent"] else ""
        licence = (row["weights_licence"] or "none stated") + consent
        source = "by hand" if row["by_hand"] else "there already" if row["there"] else "link"
        table.add_row(row["model"], ", ".join(row["files"]), size, licence, source)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    return 0


def _row(offer: Offer) -> dict[str, Any]:
    sizes = [s.bytes for s in offer.sources]
    return {
        "model": offer.name if offer.importable else offer.canonical,
        "files": [s.file for s in offer.sources],
        "urls": [s.url or None for s in offer.sources],
        "pages": [s.page or offer.homepage for s in offer.sources],
        "sha256": [s.sha256 or None for s in offer.sources],
        "bytes": None if None in sizes else sum(filter(None, sizes)),
        "code_licence": offer.code_licence,
        "weights_licence": offer.weights_licence,
        "needs_consent": restriction(offer.weights_licence) is not None,
        "citation": offer.citation,
        "by_hand": any(not s.url for s in offer.sources),
        "there": all((offer.folder / s.file).is_file() for s in offer.sources),
    }


def _say(line: str) -> None:
    typer.echo(line, err=True)
