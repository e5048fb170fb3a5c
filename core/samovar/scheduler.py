"""Many machines: the tiles of a run on the workers of dask.distributed.

What a worker needs (how to open the image, the intensity step, prompts, the generator, and the
model's bundle as bytes) is one kit, sent to each worker once, also to those that come later. A
worker checks the bundle's hash, and refuses when what runs the graphs there is not what runs them
here: its outlines could differ by a pixel. Results come back as bytes and are joined here, so they
are those of one machine.
"""

from __future__ import annotations

import atexit
import copy
import io
import logging
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from samovar.discovery import one_line
from samovar.errors import DependencyError, PluginError, SamovarError, UsageError
from samovar.formats import open_image
from samovar.image import Opened
from samovar.intensity import Intensity
from samovar.job import Job, Recipe
from samovar.models import load_model
from samovar.plans import Step
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.tiles import Crew, Look, look_at

WAIT_S = 10
"""For a scheduler to answer."""
AHEAD = 2
"""Tiles a worker's thread that are under way at a time."""
QUIET_S = 30
"""Without a result, after which the scheduler is asked whether it still is there."""
LONELY_S = 60
"""Without a single worker, after which a run ends."""


class SchedulerLost(SamovarError):
    """The scheduler went away in the middle of a run, or has no workers."""


@dataclass(frozen=True, eq=False)
class Kit:
    """What a worker needs to look at the tiles of one job."""

    opened: Opened
    intensity: dict[str, Any]
    prompts: Prompts | None
    recipe: Recipe
    weights_hash: str
    runtime: dict[str, Any]
    """Name, version, precision and instruction set of what runs the graphs here."""
    bundle: bytes = field(repr=False, default=b"")
    """The bundle's folder as a zip; empty for a model that a plugin's classes are."""

    @property
    def id(self) -> str:
        parts = (self.opened, self.intensity, self.recipe, self.weights_hash, self.prompts)
        return sha256(repr(parts).encode() + self.bundle).hexdigest()[:16]


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
        with _client(dask, address) as client:
            client.register_plugin(_plugin(dask, kit), name=f"samovar-{kit.id}")
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


def pack(job: Job, recipe: Recipe) -> Kit:
    """The kit of a job. Raises UsageError for what was not opened or loaded by name."""
    opened = job.image.opened
    if opened is None or not recipe.model:
        raise UsageError("--scheduler needs an image and a model that were given by name or path")
    if Path(opened.path).exists():
        opened = replace(opened, path=str(Path(opened.path).resolve()))
    bundle = getattr(job.model, "bundle", None)
    return Kit(
        opened,
        job.intensity.describe(),
        job.prompts,
        recipe,
        job.model.weights_hash,
        _runtime(job.model.describe()),
        b"" if bundle is None else _zipped(bundle.folder),
    )


def unpack(kit: Kit, threads: int | None = 1) -> Job:
    """The job that a kit is about, on this machine.

    Raises:
        UsageError: the weights or what runs them are not those of the kit.
    """
    recipe = kit.recipe
    image = open_image(kit.opened.path, reader=kit.opened.reader, **kit.opened.options)
    name: str | Path = recipe.model
    if kit.bundle:
        name = _unzipped(kit.bundle)
    loading = {**recipe.loading, "threads": recipe.loading.get("threads") or threads}
    if kit.runtime["name"] in {s.name for s in registry().specs("runtime")}:
        # the choice was made where the run began
        loading |= {"runtime": kit.runtime["name"], "precision": kit.runtime["precision"]}
    accepted = (*recipe.accepted, recipe.model)
    model = load_model(name, accept_license=accepted, **loading)
    if model.weights_hash != kit.weights_hash:
        raise UsageError(
            f"this worker has other weights of {recipe.model}: install the same version everywhere"
        )
    here = _runtime(model.describe())
    if here != kit.runtime:
        raise UsageError(
            f"this worker runs {_said(here)}, the run was begun with {_said(kit.runtime)}: use "
            "machines that are alike, or leave the worker out"
        )
    generator = None
    if recipe.auto is not None:
        spec = registry().find("prompt-generator", recipe.auto)
        generator = registry().load(spec, **recipe.auto_options)
    return Job(image, model, Intensity.from_record(kit.intensity), kit.prompts, generator)


def _results(
    dask: Any,
    client: Any,
    kit: str,
    steps: Iterator[Step],
    check: Callable[[], None] | None = None,
) -> Iterator[Look]:
    """Submit a few tiles ahead, yield what comes back, submit the next."""
    running = dask.as_completed(loop=client.loop)
    under_way: dict[str, str] = {}

    def submit() -> None:
        step = next(steps, None)
        if step is not None:
            key = f"samovar-{kit}-{step.view.key}"
            under_way[key] = step.view.key
            running.add(client.submit(look_remotely, kit, step, key=key, pure=False))

    try:
        for _ in range(AHEAD * max(2, sum(client.nthreads().values()))):
            submit()
        for future in _completed(client, running, check):
            tile = under_way.pop(future.key)
            yield _look(future, tile)
            future.release()
            submit()
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


# On the worker.

_kits: dict[str, Kit] = {}
_opening = threading.Lock()
_own = threading.local()


def look_remotely(kit: str, step: Step) -> Look:
    """Look at one tile on a worker; its errors travel as ours."""
    with _opening:
        job = _job(kit)
    if getattr(_own, "kit", None) != kit:
        _own.kit, _own.job = kit, replace(job, generator=copy.copy(job.generator))
    look = look_at(_own.job, step)
    if look.error is not None and not isinstance(look.error, SamovarError):
        return replace(look, error=PluginError(f"tile {look.key}: {one_line(look.error)}"))
    return look


@cache
def _job(kit: str) -> Job:
    return unpack(_kits[kit])


def receive(kit: Kit) -> None:
    """Keep a kit on this worker."""
    _kits[kit.id] = kit


def _plugin(dask: Any, kit: Kit) -> Any:
    """What dask runs on every worker, also on those that come later."""

    class Equipment(dask.WorkerPlugin):  # type: ignore[misc]
        def __init__(self, kit: Kit) -> None:
            self.kit = kit

        def setup(self, worker: Any) -> None:
            receive(self.kit)

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


def _runtime(model: Any) -> dict[str, Any]:
    runtime = dict(model.get("runtime", {}))
    return {k: runtime.get(k) for k in ("name", "version", "precision", "instruction_set")}


def _said(runtime: dict[str, Any]) -> str:
    return " ".join(str(v) for v in runtime.values() if v)


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            archive.writestr(info, file.read_bytes())
    return buffer.getvalue()


def _unzipped(data: bytes) -> Path:
    """A folder with a shipped bundle, removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="samovar-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    return folder
