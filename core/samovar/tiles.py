"""The tiles' road: look at each tile, in any order; join and hand over in raster order.

Reading, inference and joining go on at the same time, in threads of their own. What a tile says is
bytes from then on: results that come early wait in a spool on disk, which is the ledger of a run
that can be resumed. Memory does not grow with the scene.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from samovar.answers import answer, in_picture
from samovar.discovery import one_line
from samovar.errors import Cancelled, PluginError, PromptError, SamovarError, UsageError
from samovar.executor import Progress, ProgressCallback, ahead, spread
from samovar.grid import Region
from samovar.job import Job
from samovar.joining import Joiner, Taker
from samovar.lattice import Lattice, Tiling, one_view, plan_prompted, plan_tiles
from samovar.ledger import Ledger
from samovar.looking import Seen, encode_step
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart, from_bytes, to_bytes
from samovar.plans import Step
from samovar.prompts import Prompts
from samovar.swaths import swath_of

LOG = logging.getLogger("samovar")
ATTEMPTS = 3
"""Times that a tile is tried."""
PATIENCE = 5
"""A run whose first tiles fail, this many and no other, is stopped: the next would fail too."""
AGAIN = 2.0
"""Times that a file may be read before a line says what can be done about it."""
WAITING = 32 << 20
"""Bytes of results that may wait to be taken, so that nobody stops looking meanwhile."""
PAUSE_S = 0.2
"""Before the second attempt; a connection may come back."""


@dataclass(frozen=True, eq=False)
class Look:
    """What came of looking at one tile."""

    key: str
    result: bytes = b""
    error: Exception | None = None
    attempts: int = 1

    @property
    def nbytes(self) -> int:
        return len(self.result)


Crew = Callable[[Iterable[Step]], Generator[Look, None, None]]
"""Looks at tiles and yields what came of them, in any order."""


@dataclass(frozen=True, eq=False)
class TileRun:
    """How the tiles of one image are worked through."""

    tiling: Tiling = field(default_factory=Tiling)
    workers: int = 1
    """Threads that look at tiles."""
    semantic: bool = False
    """Objects of one class that touch are one, and are numbered by their class."""
    tolerant: bool = False
    """Tiles that fail are noted and the rest goes on; otherwise the first failure ends the run."""
    ledger: Ledger | None = None
    """Where results are kept, so that the run can be resumed."""
    crew: Crew | None = None
    """Who looks at the tiles; None: threads of this process."""


@dataclass(frozen=True)
class Failed:
    """A tile that failed for good."""

    tile: str
    message: str


def run_tiles(job: Job, run: TileRun, taker: Taker) -> list[Failed]:
    """Objects of a 2-D image to ``taker``, in an order that only geometry decides.

    Returns:
        The tiles that failed, when the run is tolerant.

    Raises:
        Cancelled: the token was set; the ledger keeps what was finished.
        SamovarError: whatever a tile said, when the run is not tolerant or no tile succeeded.
        DiskFull: no room for the next result; what was finished is kept.
    """
    spool = run.ledger if run.ledger is not None else Ledger()
    crew = run.crew or local_crew(job, run.workers)
    resumed = run.ledger is not None and len(run.ledger) > 0
    joiner = Joiner(job, run.tiling, taker, semantic=run.semantic, tolerant=run.tolerant)
    told = _Told(job.progress, planned(job, run.tiling))
    with ExitStack() as stack:
        if run.ledger is None:
            stack.enter_context(spool)
        steps = plan(job, run.tiling, _together(job, run))
        todo = (s for s in steps if not (resumed and spool.has(s.view.key)))
        looks = stack.enter_context(closing(crew(told.noted(todo))))
        queue = _Queue(looks, spool, told, keep=run.ledger is not None, tolerant=run.tolerant)
        for step in plan(job, run.tiling):
            if job.cancel is not None:
                job.cancel.check()
            result = queue.take(step.view.key)
            joiner.add(step, [] if result is None else from_bytes(result))
            told.joined(step)
        joiner.finish()
        queue.judge()
    told.all()
    return queue.failed


def segment_tiles(job: Job, run: TileRun | None = None) -> tuple[SegmentedObject, ...]:
    """Objects of a 2-D image: in the order of the prompts, or by place where a generator proposed.

    Raises: as :func:`run_tiles`.
    """
    kept = Kept()
    run_tiles(job, run or TileRun(), kept)
    return kept.items(job.prompts)


class Kept:
    """A taker that keeps all objects."""

    def __init__(self) -> None:
        self._items: list[SegmentedObject] = []

    def add(self, item: SegmentedObject) -> None:
        self._items.append(item)

    def advance(self, row: int) -> None:
        pass

    def items(self, prompts: Prompts | None) -> tuple[SegmentedObject, ...]:
        """In the order of the prompts, where there are some and they were not dissolved."""
        return in_order(self._items, prompts)


def in_order(
    items: Sequence[SegmentedObject], prompts: Prompts | None
) -> tuple[SegmentedObject, ...]:
    """Objects in the order of their prompts, where they have some."""
    if prompts is None or any(o.prompt is None for o in items):
        return tuple(items)
    found = {o.id: o for o in items}
    return tuple(found[p.id] for p in prompts if p.id in found)


def plan(job: Job, tiling: Tiling, together: int = 1) -> Iterator[Step]:
    """The steps of a job; the same whenever it is asked.

    In raster order, which is that of joining; or with so many rows of tiles ``together``.
    """
    if job.prompts is None:
        return plan_tiles(job.image, tiling, together)
    return iter(plan_prompted(job.image, job.prompts.objects, tiling, together))


def _together(job: Job, run: TileRun) -> int:
    """Rows of tiles that are looked at together, and memory for the blocks that they share."""
    if run.crew is not None or one_view(job.image) is not None:
        # elsewhere neighbouring tiles go to different readers
        return 1
    swath = swath_of(Lattice.of(job.image, run.tiling), job.image.blocks)
    if swath.again > AGAIN:
        LOG.warning(
            "%s: its rows are so long that each will be read about %.0f times; a copy in tiles is "
            "read once: gdal_translate -of COG IN OUT.tif", job.image.info.source, swath.again,
        )  # fmt: skip
    job.image.keep_blocks(swath.kept)
    return swath.rows


def planned(job: Job, tiling: Tiling) -> int:
    """How many steps that is, blank tiles included."""
    if one_view(job.image) is not None:
        return 1
    if job.prompts is None:
        return len(Lattice.of(job.image, tiling))
    return len(plan_prompted(job.image, job.prompts.objects, tiling))


def local_crew(job: Job, workers: int) -> Crew:
    """Threads of this process: one reads ahead, ``workers`` encode and decode."""
    helpers = threading.local()

    def work(seen: _Picture) -> Look:
        if not hasattr(helpers, "job"):
            # a generator may keep notes between its two calls
            helpers.job = replace(job, generator=copy.copy(job.generator))
        return _answered(helpers.job, seen)

    def crew(steps: Iterable[Step]) -> Generator[Look, None, None]:
        with (
            closing(
                ahead(steps, lambda s: _read(job, s), depth=workers + 1, cancel=job.cancel)
            ) as seen,
            closing(spread(seen, work, workers=workers, room=WAITING, cancel=job.cancel)) as looks,
        ):
            yield from looks

    return crew


def look_at(job: Job, step: Step) -> Look:
    """Look at one tile here and now, with a second and a third attempt."""
    return _answered(job, _read(job, step))


@dataclass(frozen=True, eq=False)
class _Picture:
    """A step and its picture; None where no pixel holds data."""

    step: Step
    picture: NDArray[np.float32] | None
    error: Exception | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.picture is None else self.picture.nbytes


def _read(job: Job, step: Step) -> _Picture:
    view = step.view
    try:
        valid = job.image.valid(view.region, size=view.size)
        if valid is not None and not valid.any():
            return _Picture(step, None)
        block = job.image.read(view.region, size=view.size)
        return _Picture(step, job.intensity.apply(view.squeeze(block)))
    except Exception as error:
        return _Picture(step, None, error)


def _answered(job: Job, seen: _Picture) -> Look:
    """What the model says; a tile that fails is read and asked again."""
    key = seen.step.view.key
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if seen.error is not None:
                raise seen.error
            return Look(key, to_bytes(_ask(job, seen)), None, attempt)
        except (Cancelled, UsageError, PromptError) as error:
            return Look(key, b"", error, attempt)
        except Exception as error:
            failure = error
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_S * attempt)
            seen = _read(job, seen.step)
    return Look(key, b"", failure, ATTEMPTS)


def _ask(job: Job, seen: _Picture) -> list[RestingPart]:
    step = seen.step
    if seen.picture is None:
        zero = Region((0, 0), (0, 0))
        return [RestingPart(zero, i, 0, 0, 0.0, 0.0, b"") for i in step.objects or ()]
    prompts = None
    if step.objects is not None:
        assert job.prompts is not None
        prompts = Prompts(tuple(in_picture(p, step.view) for p in job.prompts.of(step.objects)))
    embedding = encode_step(job, Seen(step, seen.picture)).embedding
    assert embedding is not None
    parts = answer(job, step.view, seen.picture, embedding, prompts)
    return [RestingPart.of(part) for part in parts]


class _Queue:
    """Results in the order in which they are asked for; what comes early waits in the spool."""

    def __init__(
        self, looks: Iterator[Look], spool: Ledger, told: _Told, *, keep: bool, tolerant: bool
    ) -> None:
        self._looks, self._spool, self._told = looks, spool, told
        self._keep, self._tolerant = keep, tolerant
        self._failures: dict[str, Exception] = {}
        self._early: set[str] = set()
        self._succeeded = False
        self.failed: list[Failed] = []

    def take(self, key: str) -> bytes | None:
        """The result of a tile, when it is there; None if it failed for good."""
        while key not in self._early and key not in self._failures:
            look = next(self._looks, None)
            if look is None:
                break
            if look.error is not None:
                self._note(look)
                continue
            self._succeeded = True
            if look.key == key:
                if self._keep:
                    self._spool.put(key, look.result, look.attempts)
                return look.result
            self._spool.put(look.key, look.result, look.attempts)
            self._early.add(look.key)
            self._told.looked(look.key)
        if self._failures.pop(key, None) is not None:
            return None
        self._early.discard(key)
        self._succeeded = True
        result = self._spool.result(key)
        if not self._keep:
            self._spool.drop(key)
        return result

    def judge(self) -> None:
        """Raises the failure of a run in which nothing succeeded."""
        if self.failed and not self._succeeded:
            raise self._first

    def _note(self, look: Look) -> None:
        error = look.error
        assert error is not None
        if not self._tolerant or isinstance(error, Cancelled | UsageError | PromptError):
            raise _sayable(error, look.key)
        if not self.failed:
            self._first = _sayable(error, look.key)
        message = str(error) if isinstance(error, SamovarError) else one_line(error)
        self._failures[look.key] = error
        self.failed.append(Failed(look.key, message))
        if self._keep:
            self._spool.fail(look.key, message, look.attempts)
        if len(self.failed) >= PATIENCE and not self._succeeded:
            raise self._first


class _Told:
    """Progress: how many of all tiles were looked at, in whatever order they are."""

    def __init__(self, tell: ProgressCallback | None, total: int) -> None:
        self._tell, self._total = tell, total
        self._places: dict[str, int] = {}
        self._done = 0

    def noted(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Steps as they are begun."""
        for step in steps:
            self._places[step.view.key] = step.position
            yield step

    def looked(self, key: str) -> None:
        """A tile waits to be joined."""
        self._say(self._places.pop(key, 0), key)

    def joined(self, step: Step) -> None:
        self._places.pop(step.view.key, None)
        self._say(step.position, step.view.key)

    def all(self) -> None:
        if self._tell is not None:
            self._tell(Progress(self._total, self._total))

    def _say(self, place: int, key: str) -> None:
        self._done = max(self._done, place + 1)
        if self._tell is not None:
            self._tell(Progress(self._done, self._total, key))


def _sayable(error: Exception, tile: str) -> Exception:
    """Our own errors as they are; a stranger's in one line."""
    if isinstance(error, SamovarError):
        return error
    return PluginError(f"tile {tile}: {one_line(error)}")
