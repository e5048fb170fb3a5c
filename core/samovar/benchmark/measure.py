"""Measurement: one command in one process, its CPU time, its wall time and its peak memory.

Where the system has ``getrusage`` (Linux, macOS), :mod:`samovar.benchmark.probe` starts the
command as its only child and reads ``RUSAGE_CHILDREN``. On Windows the probe runs the command
within itself and reports its own process time; peak memory is then not known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from samovar.errors import SamovarError

START = "import sys; from samovar.cli.main import main; sys.exit(main())"
"""What a Python process runs to be the ``samovar`` command."""


class BenchmarkError(SamovarError):
    """A measured command failed; its own last line is in the message."""


@dataclass(frozen=True)
class Measurement:
    """One run of one command."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and its children."""
    peak_rss_mb: float | None
    """Largest resident set in MiB; None where the system does not tell."""


def measure(
    arguments: Sequence[str],
    *,
    code: str = START,
    environment: Mapping[str, str] | None = None,
    timeout: float = 1800.0,
) -> Measurement:
    """Runs ``python -c code *arguments`` once.

    Raises:
        BenchmarkError: the command failed or took longer than ``timeout`` seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "measurement.json"
        probe = [sys.executable, "-m", "samovar.benchmark.probe", str(result), code, *arguments]
        try:
            run = subprocess.run(
                probe,
                env=dict(environment) if environment is not None else None,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"a measured command ran longer than {timeout:g} s") from error
        if run.returncode != 0 or not result.is_file():
            lines = run.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            command = " ".join(arguments)
            raise BenchmarkError(f"samovar {command} failed ({run.returncode}): {lines[-1]}")
        return Measurement(**json.loads(result.read_text(encoding="utf-8")))
