"""The process between the harness and a measured command: ``probe RESULT CODE [ARGUMENT …]``.

It imports nothing but the standard library, so that a child's peak memory is the command's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path


def main(argv: list[str]) -> int:
    """Runs the code, writes the measurement to RESULT, returns the code's exit status."""
    result, code, *arguments = argv
    try:
        import resource
    except ImportError:
        status, measured = _within(code, arguments)
    else:
        started = time.perf_counter()
        status = subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode
        wall = time.perf_counter() - started
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1024**2 if sys.platform == "darwin" else 1024
        measured = {
            "wall_s": wall,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_rss_mb": usage.ru_maxrss / unit,
        }
    Path(result).write_text(json.dumps(measured), encoding="utf-8")
    return status


def _within(code: str, arguments: list[str]) -> tuple[int, dict[str, float | None]]:
    """Runs the code in this very process; what Windows has instead of getrusage."""
    sys.argv = ["-c", *arguments]
    started, status = time.perf_counter(), 0
    try:
        exec(compile(code, "<benchmark>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    wall = time.perf_counter() - started
    return status, {"wall_s": wall, "cpu_s": time.process_time(), "peak_rss_mb": None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
