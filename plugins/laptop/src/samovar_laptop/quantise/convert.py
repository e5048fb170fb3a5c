"""A precision that a runtime makes of a bundle's own graphs on loading: only its gate is new."""

from __future__ import annotations

import datetime
from pathlib import Path

import typer

from samovar.bundle import Bundle
from samovar.bundle_files import new_folder
from samovar.errors import UsageError
from samovar_laptop.quantise import gate as gates
from samovar_laptop.quantise import output, speed
from samovar_laptop.quantise.report import Report, done, say
from samovar_laptop.quantise.samples import Source


def convert(
    bundle: Bundle,
    sources: list[Source],
    precision: str,
    target: Path,
    *,
    gated: bool = True,
    limit: int = 0,
    threads: int | None = None,
    as_json: bool = False,
) -> int:
    """Writes the bundle with the gate of a converted precision (``bf16``), and reports it.

    Raises:
        UsageError: the bundle is not in single precision; no runtime, or not this processor,
            computes in the other.
        OutputError: the folder cannot be written.
    """
    if bundle.precision != "fp32":
        raise UsageError(f"{bundle.folder}: {precision} is made of fp32, not of {bundle.precision}")
    with new_folder(target) as folder:
        output.write_bundle(bundle, {}, folder, precision)
        pairs = speed.compare(folder, precision)
        verdict = None
        if gated:
            own, other = (
                gates.measure(folder, name, sources, limit=limit, threads=threads, progress=say)
                for name in (bundle.precision, precision)
            )
            verdict = gates.judge(own, other, bundle.precision, precision)
        made = {
            "method": precision,
            "sets": [s.where.name for s in sources],
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        output.add_record(folder, verdict, made, precision)
    done()
    report = Report(target, bundle.precision, precision, pairs, verdict, {}, [])
    typer.echo(report.json() if as_json else report.text())
    return 0
