"""``python -m samovar.benchmark [NAME …]``: runs benchmarks and writes their report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from samovar.benchmark import engine, int8, laptop, main_job, runtimes, segmenters, volume_v
from samovar.benchmark.compare import case_record, take_turns
from samovar.benchmark.machine import load_average
from samovar.benchmark.report import new_record, write_record
from samovar.errors import SamovarError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the main job's benchmark; the exit codes are those of the command line."""
    parser = argparse.ArgumentParser("python -m samovar.benchmark", description=__doc__)
    parser.add_argument(
        "name", nargs="*", help=f"which of them: {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--model", default="tiny", help="name or folder (default: tiny)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"), help="folder")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds: give 1 or more")
    if unknown := sorted(set(options.name) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    code = 0
    for name in options.name or BENCHMARKS:
        try:
            file = write_record(BENCHMARKS[name](options.rounds, options.model), options.output)
        except SamovarError as error:
            sys.stderr.write(f"error: {name}: {error}\n")
            code = max(code, error.exit_code)
        else:
            sys.stdout.write(f"{file}\n")
    return code


def run_main_job(rounds: int, model: str) -> dict[str, Any]:
    """Generates the inputs in a temporary folder and measures every case."""
    with tempfile.TemporaryDirectory() as folder:
        return _main_job(Path(folder), rounds, model)


def _main_job(folder: Path, rounds: int, model: str) -> dict[str, Any]:
    main_job.write_inputs(folder)
    cases = main_job.cases(folder, model)
    before = load_average()
    measured = take_turns(cases, rounds, progress=_progress)
    return new_record(
        main_job.NAME, main_job.TITLE, main_job.ABOUT, rounds, before,
        model=main_job.model_record(folder),
        cases=[case_record(case, measured) for case in cases],
    )  # fmt: skip


def run_runtimes(rounds: int, _model: str) -> dict[str, Any]:
    """Encoders and decoders in every runtime and in torch; large models, hence fewer rounds."""
    return runtimes.run_runtimes(min(rounds, 3), progress=partial(_say, runtimes.NAME))


def run_volume(rounds: int, model: str) -> dict[str, Any]:
    """Volume V, factor by factor."""
    return volume_v.run_volume_v(min(rounds, 3), model, progress=partial(_say, volume_v.NAME))


def run_engine(_rounds: int, model: str) -> dict[str, Any]:
    """Tiles: cost beside the model, memory, many objects; one round, its runs are long."""
    return engine.run_engine(model, progress=engine.say)


def run_int8(rounds: int, model: str) -> dict[str, Any]:
    """int8 against fp32: the model, and the family with generated weights."""
    models = (model, *(m for m in int8.MODELS if m != "tiny"))
    return int8.run_int8(rounds, models, progress=partial(_say, int8.NAME))


def run_laptop(rounds: int, model: str) -> dict[str, Any]:
    """The bundled model beside MobileSAM, on one picture and ten boxes."""
    return laptop.run_laptop(min(rounds, 3), model, partial(_say, laptop.NAME))


def run_segmenters(rounds: int, _model: str) -> dict[str, Any]:
    """The 3-D models, on a volume, with generated weights."""
    return segmenters.run_segmenters(min(rounds, 3), partial(_say, segmenters.NAME))


def _say(benchmark: str, case: str) -> None:
    sys.stderr.write(f"{benchmark}: {case}\n")


def _progress(name: str, number: int) -> None:
    sys.stderr.write(f"round {number}: {name}\n")


BENCHMARKS: dict[str, Callable[[int, str], dict[str, Any]]] = {
    main_job.NAME: run_main_job,
    runtimes.NAME: run_runtimes,
    volume_v.NAME: run_volume,
    engine.NAME: run_engine,
    int8.NAME: run_int8,
    laptop.NAME: run_laptop,
    segmenters.NAME: run_segmenters,
}
"""What makes the record of each."""


if __name__ == "__main__":
    sys.exit(main())
