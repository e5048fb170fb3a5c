"""``python -m samovar.benchmark``: runs the benchmarks and writes their report."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samovar.benchmark import main_job
from samovar.benchmark.compare import case_record, take_turns
from samovar.benchmark.machine import describe_machine, load_average
from samovar.benchmark.report import write_record
from samovar.errors import SamovarError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the main job's benchmark; the exit codes are those of the command line."""
    parser = argparse.ArgumentParser("python -m samovar.benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--model", default="tiny", help="name or folder (default: tiny)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"), help="folder")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds: give 1 or more")
    try:
        with tempfile.TemporaryDirectory() as folder:
            record = run_main_job(Path(folder), options.rounds, options.model)
        file = write_record(record, options.output)
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{file}\n")
    return 0


def run_main_job(folder: Path, rounds: int, model: str) -> dict[str, Any]:
    """Generates the inputs in ``folder`` and measures every case."""
    main_job.write_inputs(folder)
    cases = main_job.cases(folder, model)
    before = load_average()
    measured = take_turns(cases, rounds, progress=_progress)
    return {
        "name": main_job.NAME,
        "title": main_job.TITLE,
        "about": main_job.ABOUT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "load": [before, load_average()],
        "machine": describe_machine(),
        "model": main_job.model_record(folder),
        "cases": [case_record(case, measured) for case in cases],
    }


def _progress(name: str, number: int) -> None:
    sys.stderr.write(f"round {number}: {name}\n")


if __name__ == "__main__":
    sys.exit(main())
