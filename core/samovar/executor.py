"""The one executor: stages overlap through bounded queues, results come in plan order.

What is read, encoded and decoded is the pipeline's business. Here only: run ahead, but not
further than a count and a byte budget allow; keep the order; stop when asked; carry an error to
the place where it belongs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from samovar.errors import Cancelled

T = TypeVar("T")
R = TypeVar("R")
HEAD = 256
"""Bytes of a result beside what it counts itself."""


class CancelToken:
    """Set by whoever wants the work to stop; looked at between steps by every stage."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once :meth:`cancel` was called."""
        if self._event.is_set():
            raise Cancelled("cancelled: finished work was kept")


@dataclass(frozen=True)
class Progress:
    """One tick: ``done`` of ``total`` views; ``text`` says which."""

    done: int
    total: int
    text: str = ""


ProgressCallback = Callable[[Progress], None]


def ahead(
    items: Iterable[T],
    work: Callable[[T], R],
    *,
    depth: int = 2,
    budget: int = 256 << 20,
    cancel: CancelToken | None = None,
) -> Generator[R, None, None]:
    """``map(work, items)`` in a thread of its own, a little ahead of whoever takes the results.

    Args:
        items: taken one at a time in that thread.
        work: called in that thread, in order.
        depth: results that may wait.
        budget: bytes of waiting results (their ``nbytes``); one result may always wait.
        cancel: looked at before each item.

    Yields:
        Results in the order of the items. An exception in ``work`` is raised at its item's place.
    """
    waiting: list[tuple[R | None, BaseException | None, int]] = []
    changed = threading.Condition()
    state = {"stopped": False, "finished": False}

    def put(result: R | None, error: BaseException | None) -> bool:
        size = int(getattr(result, "nbytes", 0))
        with changed:
            changed.wait_for(
                lambda: (
                    state["stopped"]
                    or not waiting
                    or (len(waiting) < depth and sum(w[2] for w in waiting) + size <= budget)
                )
            )
            if state["stopped"]:
                return False
            waiting.append((result, error, size))
            changed.notify_all()
        return True

    def run() -> None:
        try:
            for item in items:
                if cancel is not None:
                    cancel.check()
                if state["stopped"] or not put(work(item), None):
                    return
        except BaseException as error:
            put(None, error)
        finally:
            with changed:
                state["finished"] = True
                changed.notify_all()

    thread = threading.Thread(target=run, name="samovar-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: bool(waiting) or state["finished"])
                if not waiting:
                    return
                result, error, _ = waiting.pop(0)
                changed.notify_all()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:
        with changed:
            state["stopped"] = True
            changed.notify_all()
        thread.join()


def spread(
    items: Iterable[T],
    work: Callable[[T], R],
    *,
    workers: int = 1,
    room: int = 0,
    cancel: CancelToken | None = None,
) -> Generator[R, None, None]:
    """``map(work, items)`` in ``workers`` threads; results in the order of their completion.

    Args:
        items: taken one at a time, by whichever thread is free.
        work: called in several threads at once.
        room: bytes of results (their ``nbytes``) that may wait; two a thread may always wait.
        cancel: looked at before each item.

    Yields:
        Results. An exception in ``work`` or in ``items`` is raised as soon as it is met.
    """
    waiting: deque[tuple[R | None, BaseException | None, int]] = deque()
    changed, taking = threading.Condition(), threading.Lock()
    source, state = iter(items), {"stopped": False, "running": workers, "held": 0}

    def put(result: R | None, error: BaseException | None) -> None:
        size = HEAD + int(getattr(result, "nbytes", 0))
        with changed:
            changed.wait_for(
                lambda: (
                    state["stopped"] or len(waiting) < 2 * workers or state["held"] + size <= room
                )
            )
            state["held"] += size
            waiting.append((result, error, size))
            changed.notify_all()

    def take() -> Iterator[T]:
        while not state["stopped"]:
            if cancel is not None:
                cancel.check()
            with taking:
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item

    def run() -> None:
        try:
            for item in take():
                put(work(item), None)
        except BaseException as error:
            put(None, error)
        finally:
            with changed:
                state["running"] -= 1
                changed.notify_all()

    threads = [
        threading.Thread(target=run, name="samovar-worker", daemon=True) for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: bool(waiting) or not state["running"])
                if not waiting:
                    return
                result, error, size = waiting.popleft()
                state["held"] -= size
                changed.notify_all()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:
        with changed:
            state["stopped"] = True
            changed.notify_all()
        for thread in threads:
            thread.join()


def run(
    items: Iterable[T],
    stages: Iterable[Callable[[Any], Any]],
    finish: Callable[[Any], None],
    *,
    depth: int = 2,
    budget: int = 256 << 20,
    cancel: CancelToken | None = None,
) -> None:
    """Send every item through ``stages`` (each in its own thread) and ``finish`` (in this one).

    ``finish`` sees the results in the order of the items, whatever finished first. An item for
    which a stage returns None is dropped there.

    Raises:
        Cancelled: the token was set. Whatever a stage or ``finish`` raised otherwise.
    """
    flow: Iterator[Any] = iter(items)
    opened: list[Generator[Any, None, None]] = []
    for stage in stages:
        opened.append(ahead(_present(flow), stage, depth=depth, budget=budget, cancel=cancel))
        flow = opened[-1]
    try:
        for result in _present(flow):
            if cancel is not None:
                cancel.check()
            finish(result)
    finally:
        for generator in reversed(opened):
            generator.close()


def _present(flow: Iterator[Any]) -> Iterator[Any]:
    return (item for item in flow if item is not None)
