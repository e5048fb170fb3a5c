"""Kills a command again and again, without paying for its start each time: forks of one process.

Run as a program: ``python killing.py JSON`` with the fields of :class:`Plan`. A moment is either a
count of Python's function calls, in any thread (as many as it takes, whatever the machine does
beside), or a time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRELOADED = (
    "samovar.cli.main", "samovar.tiles", "samovar.streams", "samovar.pipeline", "samovar.models",
    "samovar.preview", "samovar_geo.vectors", "samovar_geo.labels", "samovar_geo.stac_item",
    "samovar_geo.raster", "pyarrow.parquet", "scenes",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What to kill, how often."""

    folder: str
    """Outputs are written to it; what lies in ``start`` is copied there first."""
    start: str
    command: list[str]
    variants: list[list[str]]
    """More arguments; each attempt takes some."""
    kills: int
    seed: int
    by_time: bool = False


class Countdown:
    """Ends the process at a call, counted in all threads."""

    def __init__(self, moment: int | None) -> None:
        self.calls, self.moment = 0, moment

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        self.calls += 1
        if self.moment is not None and self.calls >= self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(command: list[str], said: Path, moment: int | None) -> int:
    """Fork and run; the child's process number."""
    child = os.fork()
    if child:
        return child
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    countdown = Countdown(moment)
    sys.setprofile(countdown)
    threading.setprofile(countdown)
    from samovar.cli.main import main

    code = main(command)
    sys.setprofile(None)
    said.with_suffix(".calls").write_text(str(countdown.calls))
    os._exit(code)


def ended(child: int) -> int:
    """The child's exit code; negative: the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fresh(plan: Plan) -> None:
    shutil.rmtree(plan.folder, ignore_errors=True)
    shutil.copytree(plan.start, plan.folder)


def work(plan: Plan) -> dict[str, Any]:
    """Kills, then lets the command come to its end; where it was killed, as shares of a run."""
    for name in PRELOADED:
        __import__(name)
    rng = random.Random(plan.seed)
    said = Path(f"{plan.folder}.said")
    fresh(plan)
    begun = time.monotonic()
    code = ended(attempt(plan.command, said, None))
    length = time.monotonic() - begun
    assert code == 0, said.read_text()
    calls = int(said.with_suffix(".calls").read_text())
    fresh(plan)
    died, finished = [], 0
    while len(died) < plan.kills:
        share = rng.uniform(0, 1)
        command = plan.command + rng.choice(plan.variants)
        child = attempt(command, said, None if plan.by_time else max(1, int(share * calls)))
        if plan.by_time:
            time.sleep(share * length)
            os.kill(child, signal.SIGKILL)
        code = ended(child)
        if code == 0:
            finished += 1
            fresh(plan)
            continue
        assert code == -signal.SIGKILL, said.read_text()
        died.append(round(share, 3))
    code = ended(attempt(plan.command, said, None))
    assert code == 0, said.read_text()
    again = ended(attempt(plan.command, said, None))
    return {
        "died": died, "finished": finished, "calls": calls, "again": again,
        "said": said.read_text(),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(work(Plan(**json.loads(sys.argv[1])))))
