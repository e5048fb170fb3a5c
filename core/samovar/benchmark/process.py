"""A case in a process of its own: instruction set pinned, one thread, its answer as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from samovar.benchmark.measure import BenchmarkError
from samovar.errors import SamovarError

CAPS: Mapping[str, Mapping[str, str]] = {
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "AVX2_VNNI": {
        "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "best": {},
}
"""Environment of a case by instruction set. OpenVINO's kernels and torch's obey it."""
UNCAPPED = ("onnxruntime",)
"""Runtimes that ask the processor itself: they are left out of a case with a cap."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
TIMEOUT = 3600.0


def pinned(isa: str) -> dict[str, str]:
    """This process's environment with one thread and the cap of an instruction set."""
    return {**os.environ, **ONE_THREAD, **CAPS[isa]}


def run_module(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs ``python -m module`` in a fresh process; what it wrote to standard output.

    Raises:
        BenchmarkError: it failed, with its last line; or it took longer than ``TIMEOUT`` seconds.
    """
    try:
        run = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=None if environment is None else dict(environment),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"took longer than {TIMEOUT:g} s") from error
    if run.returncode != 0:
        lines = run.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise BenchmarkError(lines[-1].removeprefix("error: "))
    return run.stdout.decode(errors="replace")


def run_case(
    module: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs a case: a module that :func:`answer` ends, given the file for its answer as last.

    Raises:
        BenchmarkError: it failed, or answered nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        run_module(module, *map(str, arguments), str(result), environment=environment)
        if not result.is_file():
            raise BenchmarkError(f"{module} measured nothing")
        measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return measured


def answer(case: Callable[[], object], result: str) -> int:
    """The other side of :func:`run_case`: writes what the case measured, returns the exit code."""
    try:
        measured = case()
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    Path(result).write_text(json.dumps(measured), encoding="utf-8")
    return 0
