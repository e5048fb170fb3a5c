"""Many machines: the tiles of a run on the workers of dask.distributed.

What a worker needs (how to open the image, the intensity step, prompts, the generator, and the
model's bundle as bytes) is one kit, sent to each worker once, also to those that come later. A
worker checks the bundle's hash, and is left out when what runs the graphs there is not what runs
them here: its outlines could differ by a pixel. Results come back as bytes and are joined here, so
they are those of one machine. When the run ends, workers forget the kit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from secrets import token_hex
from typing import Any

from samovar.discovery import one_line
from samovar.errors import DependencyError, PluginError, SamovarError, UsageError
from samovar.job import Job, Recipe
from samovar.kit import Kit, WorkerDiffers, forget, look_remotely, pack, receive
from samovar.plans import Step
from samovar.tiles import Crew, Look

WAIT_S = 10
"""For a scheduler to answer."""
AHEAD = 2
"""Tiles a worker's thread that are under way at a time."""
QUIET_S = 30
"""Without a result, after which the scheduler is asked whether it still is there."""
LONELY_S = 60
"""Without a single worker, after which a run ends."""

LOG = logging.getLogger("samovar")


class SchedulerLost(SamovarError):
    """The scheduler went away in the middle of a run, or has no workers."""


def dask_crew(address: str, job: Job, recipe: Recipe) -> Crew:
    """Workers of ``tcp://HOST:PORT``, or of ``local:N`` processes that are started here.

    Raises:
        DependencyError: dask.distributed is not installed.
        UsageError: nobody answers at the address, or the job cannot be had elsewhere.
        SchedulerLost: nobody answers any more, or no worker comes; while results are taken.
    """
    dask = _distributed()
    kit = pack(job, recipe)

    def crew(steps: Iterable[Step]) -> Generator[Look, None, None]:
        with _client(dask, address) as client, _equipped(dask, client, kit):
            check = None if job.cancel is None else job.cancel.check
            yield from _results(dask, client, kit.id, iter(steps), check)

    return crew


def spread_calls(
    address: str, function: Callable[[Any], Any], calls: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """``function`` of every value on the workers; answers, or what went wrong, as they come.

    Args:
        function: importable where the workers are; values are pickled.
        calls: by the names that come back.

    Raises:
        DependencyError: dask.distributed is not installed.
        UsageError: nobody answers at the address.
        SchedulerLost: nobody answers any more, or no worker comes.
    """
    dask = _distributed()
    with _client(dask, address) as client:
        names = {client.submit(function, value, pure=False): name for name, value in calls.items()}
        try:
            running = dask.as_completed(list(names), loop=client.loop)
            for future in _completed(client, running):
                try:
                    answer = future.result()
                except Exception as error:
                    answer = PluginError(one_line(error))
                yield names[future], answer
        finally:
            _forget(client, list(names))


@contextmanager
def _equipped(dask: Any, client: Any, kit: Kit) -> Iterator[None]:
    """Workers, also those that come later, have the kit until the run ends."""
    name = f"samovar-{kit.id}"
    client.register_plugin(_plugin(dask, kit), name=name)
    try:
        yield
    finally:
        if client.status == "running":
            with suppress(Exception):
                client.unregister_worker_plugin(name)


def _results(
    dask: Any,
    client: Any,
    kit: str,
    steps: Iterator[Step],
    check: Callable[[], None] | None = None,
) -> Iterator[Look]:
    """Submit a few tiles ahead, yield what comes back, submit the next.

    Workers that differ are left out; their tiles go to the others.
    """
    running = dask.as_completed(loop=client.loop)
    under_way: dict[str, Step] = {}
    differing: dict[str, WorkerDiffers] = {}

    def submit(step: Step | None, again: str = "") -> None:
        if step is None:
            return
        key = f"samovar-{kit}-{step.view.key}{again}"
        where: dict[str, Any] = {}
        if differing:
            alike = [w for w in client.nthreads() if w not in differing]
            if not alike:
                raise next(iter(differing.values()))
            # others only where none of these is left
            where = {"workers": alike, "allow_other_workers": True}
        under_way[key] = step
        running.add(client.submit(look_remotely, kit, step, key=key, pure=False, **where))

    try:
        for _ in range(AHEAD * max(2, sum(client.nthreads().values()))):
            submit(next(steps, None))
        for future in _completed(client, running, check):
            step = under_way.pop(future.key)
            look = _look(future, step.view.key)
            future.release()
            if isinstance(look.error, WorkerDiffers):
                if look.error.worker not in differing:
                    LOG.warning("%s; it is left out", look.error)
                differing[look.error.worker] = look.error
                submit(step, f"-{token_hex(4)}")
                continue
            yield look
            submit(next(steps, None))
    finally:
        _forget(client, list(running.futures))


def _completed(client: Any, running: Any, check: Callable[[], None] | None = None) -> Iterator[Any]:
    """Futures as they come to their end; those that are added meanwhile too.

    dask waits for ever for a scheduler that fell silent and for workers that never come, and what
    is sent to one that went away is lost: neither may hang a run.

    Args:
        check: raises when the run was cancelled.

    Raises:
        SchedulerLost: nobody answers any more, or no worker came.
    """
    asked = peopled = time.monotonic()
    while not running.is_empty():
        if check is not None:
            check()
        if client.status != "running":
            raise _lost(client, "the scheduler went away")
        if running.has_ready():
            future = next(running)
            if future.cancelled():
                raise _lost(client, "the scheduler went away")
            yield future
            asked = peopled = time.monotonic()
            continue
        time.sleep(0.01)
        now = time.monotonic()
        if now - asked > min(QUIET_S, LONELY_S):
            if _workers(client):
                peopled = now
            elif now - peopled > LONELY_S:
                raise _lost(client, "it has no workers: start `dask worker` on every machine")
            asked = now


def _workers(client: Any) -> int:
    try:
        return len(client.sync(client.scheduler.ncores, callback_timeout=WAIT_S))
    except (OSError, TimeoutError) as error:
        raise _lost(client, "the scheduler answers no more") from error


def _lost(client: Any, what: str) -> SchedulerLost:
    address = getattr(client.scheduler, "address", "")
    with suppress(Exception):
        client.close(timeout=1)
    return SchedulerLost(
        f"--scheduler {address}: {what}. What was finished is kept: run the same command again "
        "with --resume"
    )


def _forget(client: Any, futures: list[Any]) -> None:
    """Nobody waits for these any more."""
    if futures and client.status == "running":
        client.cancel(futures)


def _look(future: Any, tile: str) -> Look:
    try:
        look = future.result()
    except Exception as error:
        # a tile whose workers died again and again, or a worker that cannot work at all
        if isinstance(error, SamovarError):
            return Look(tile, error=error)
        return Look(tile, error=PluginError(f"tile {tile}: {one_line(error)}"))
    assert isinstance(look, Look)
    return look


def _plugin(dask: Any, kit: Kit) -> Any:
    """What dask runs on every worker, also on those that come later."""

    class Equipment(dask.WorkerPlugin):  # type: ignore[misc]
        def __init__(self, kit: Kit) -> None:
            self.kit = kit

        def setup(self, worker: Any) -> None:
            receive(self.kit)

        def teardown(self, worker: Any) -> None:
            forget(self.kit.id)

    return Equipment(kit)


@contextmanager
def _client(dask: Any, address: str) -> Iterator[Any]:
    with ExitStack() as stack:
        if address.startswith("local:"):
            count = address.removeprefix("local:")
            if not count.isdigit() or int(count) < 1:
                raise UsageError(f"--scheduler {address}: write local:N with the number of workers")
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            cluster = dask.LocalCluster(
                n_workers=int(count), threads_per_worker=1, dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
            address = stack.enter_context(cluster).scheduler_address
        elif "://" not in address:
            raise UsageError(f"--scheduler {address}: write tcp://HOST:PORT or local:N")
        try:
            client = dask.Client(address, timeout=WAIT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(
                f"--scheduler {address}: nobody answers there; start one with `dask scheduler`, "
                "and `dask worker` on every machine"
            ) from error
        yield stack.enter_context(client)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        raise DependencyError(
            "--scheduler needs dask.distributed: pip install 'samovar[dask]'"
        ) from error
