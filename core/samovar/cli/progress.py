"""Progress on standard error: a bar on a terminal, a line now and then elsewhere.

Both say how many views are done, how many a second, and how long the rest will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as ProgressBar
from rich.text import Text

from samovar.executor import Progress, ProgressCallback
from samovar.reporting import say

EVERY_S = 5.0
"""Between two lines where there is no terminal: logs, QGIS."""


class RateColumn(ProgressColumn):
    """Views a second, and the time left."""

    def render(self, task: Task) -> Text:
        done, total = int(task.completed), int(task.total or 0)
        return Text(pace(done, total, task.elapsed or 0.0))


@contextmanager
def shown_progress(
    shown: bool, clock: Callable[[], float] = time.monotonic
) -> Iterator[ProgressCallback | None]:
    """A callback that shows progress; None when nothing is to be shown."""
    if not shown:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield line_by_line(clock)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(),
        TextColumn("{task.fields[text]}"),
    )  # fmt: skip
    with ProgressBar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("segmenting", total=None, text="")

        def tick(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total, text=progress.text)

        yield tick


def line_by_line(clock: Callable[[], float] = time.monotonic) -> ProgressCallback:
    """A callback that says ``segmenting 120/400, 3.1/s, 1 min 30 s left, z17 …`` now and then."""
    started = last = clock()

    def tick(progress: Progress) -> None:
        nonlocal last
        now = clock()
        if now - last < EVERY_S:
            return
        last = now
        rate = pace(progress.done, progress.total, now - started)
        parts = (f"{progress.done}/{progress.total}", rate, progress.text)
        say(f"segmenting {', '.join(p for p in parts if p)}")

    return tick


def pace(done: int, total: int, elapsed: float) -> str:
    """``3.1/s, 1 min 30 s left``; empty while nothing is known."""
    if done <= 0 or elapsed <= 0:
        return ""
    rate = done / elapsed
    text = f"{rate:.1f}/s" if rate >= 0.1 else f"{1 / rate:.0f} s each"
    if total <= done:
        return text
    return f"{text}, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """``45 s``, ``1 min 30 s``, ``2 h 5 min``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
