"""Runs: a 2-D image into files, tile by tile; a ledger, outputs that grow while the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from samovar.answers import check_kinds
from samovar.errors import OutputError, UsageError
from samovar.formats import replaces, written_suffix
from samovar.image import Image
from samovar.job import Job, Recipe
from samovar.lattice import Tiling, one_view
from samovar.ledger import Ledger, clear_ledger, ledger_path, remove_ledger
from samovar.manifest import to_json
from samovar.objects import Objects, SegmentedObject
from samovar.specs import FormatSpec
from samovar.staging import Staged, sweep
from samovar.streams import Streams, head_of
from samovar.tile_options import TileOptions
from samovar.tiles import Crew, Failed, TileRun, run_tiles

LOG = logging.getLogger("samovar")
SHOWN = 60
"""Objects that are kept in memory, of many."""
SOFT = "runtime"
"""What of a run's identity may differ: other machines resume with a warning."""


@dataclass(frozen=True, eq=False)
class Done:
    """What a run left: its outputs, at first under temporary names, and a summary."""

    staged: Sequence[Staged]
    objects: Objects
    """Those that were kept in memory: all, or the first of many."""
    count: int
    empty: Sequence[SegmentedObject]
    """Prompted ones that were not found."""
    failed: Sequence[Failed]

    @property
    def paths(self) -> list[Path]:
        """Files, as they are called in the end."""
        return [one.target for one in self.staged]


class Place:
    """Where a run writes, and its ledger.

    Args:
        outputs: files and their formats, checked.
        writing: options of writers.

    Raises:
        OutputError: an output is there already, and neither --resume nor --overwrite was given.
        LedgerInUse: another run into the same files is at work.
        UsageError: a run that did not finish left its ledger.
    """

    def __init__(
        self,
        image: Image,
        outputs: Sequence[tuple[Path, FormatSpec]],
        options: TileOptions,
        writing: dict[str, Any],
    ) -> None:
        self._options, self._outputs, self._writing = options, outputs, writing
        self._paths = [path for path, _ in outputs]
        self.path = ledger_path(self._paths[0]) if self._paths else None
        there = [p for p, spec in outputs if replaces(p, spec, **writing)]
        known = self.path is not None and self.path.exists()
        if options.overwrite:
            clear_ledger(self.path)
            return
        if known and not options.resume and not self._done():
            raise UsageError(
                f"{self.path}: a run into {self._paths[0].name} did not finish: go on with "
                "--resume, or begin anew with --overwrite"
            )
        if there and image.info.domain == "raster" and not (options.resume and known):
            hint = "" if options.resume else ", or --resume to go on with a run"
            raise OutputError(
                f"{there[0]}: is there already: choose another name, --overwrite it{hint}"
            )

    @contextmanager
    def segmented(
        self,
        job: Job,
        record: dict[str, Any],
        recipe: Recipe,
        *,
        keep: bool = False,
        shown: int = SHOWN,
        others: Sequence[Path] = (),
    ) -> Iterator[Done | None]:
        """Every object in its outputs, whole, under temporary names; the caller gives them theirs.

        When that is done without an error the ledger is closed as finished, unless a tile failed.

        Args:
            keep: all objects are wanted in memory.
            shown: how many are kept otherwise.
            others: more files that are written with these, under temporary names too.

        Yields:
            None where --resume finds that all had been done before.

        Raises:
            UsageError: a prompt kind that the model does not take, or the ledger is of another run.
            SamovarError: as :func:`samovar.tiles.run_tiles`, or an output cannot be written.
        """
        if job.prompts is not None:
            check_kinds(job.prompts, job.model.decoder)
        identity = identity_of(job, record, recipe, self._options, self._writing)
        if self._finished(identity):
            yield None
            return
        with ExitStack() as stack:
            ledger = self._ledger(job.image)
            if ledger is not None:
                stack.callback(ledger.close)
                for path, spec in self._outputs:
                    sweep(path, written_suffix(path, spec))
                for path in others:
                    sweep(path)
                if ledger.begin(identity, soft=(SOFT,)):
                    LOG.warning(
                        "the tiles so far were made with another runtime or processor: outlines "
                        "may differ by a pixel"
                    )
            run = tile_run(self._options, ledger, crew_of(self._options, job, recipe))
            head = head_of(job.image, record, job.prompts, semantic=self._options.semantic)
            streams = Streams(self._outputs, head, job.image, self._writing, keep=keep)
            stack.callback(streams.abort)
            summary = Summary(shown)
            failed = run_tiles(job, run, Both(streams, summary))
            staged, objects = streams.finish(job.prompts)
            if not streams.keeps:
                objects = Objects(objects.grid, tuple(summary.first), objects.provenance, job.image)
            yield Done(staged, objects, summary.count, summary.empty, failed)
            if ledger is not None and not failed:
                ledger.finish(keep=self._options.resume)

    def _finished(self, identity: Mapping[str, Any]) -> bool:
        """Whether --resume finds that everything was done before."""
        if not self._options.resume or not self._done():
            return False
        assert self.path is not None
        with Ledger(self.path) as ledger:
            ledger.begin(identity, soft=(SOFT,))
        if all(p.exists() for p in self._paths):
            return True
        remove_ledger(self.path)
        return False

    def _ledger(self, image: Image) -> Ledger | None:
        """Where results are kept; None for small runs that nobody wants to resume."""
        if self.path is None or (one_view(image) is not None and not self._options.resume):
            return None
        return Ledger(self.path)

    def _done(self) -> bool:
        if self.path is None or not self.path.exists():
            return False
        with Ledger(self.path) as ledger:
            return ledger.done


def identity_of(
    job: Job,
    record: Mapping[str, Any],
    recipe: Recipe,
    options: TileOptions,
    writing: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the outputs' bytes depend on."""
    model = dict(record["model"])
    runtime = dict(model.get("runtime", {}))
    source = job.image.info.source
    file = Path(source)
    stat = file.stat() if file.is_file() else None
    opened = job.image.opened
    return {
        "samovar": record["samovar"],
        "input": {
            "path": source if stat is None else file.name,
            "bytes": None if stat is None else stat.st_size,
            "modified": None if stat is None else stat.st_mtime_ns,
            "options": None if opened is None else {**opened.options},
            "geometry": record["geometry"],
        },
        "intensity": record["intensity"],
        "model": [model.get(k) for k in ("name", "version", "weights_sha256", "mask_threshold")],
        "generator": [recipe.auto, dict(recipe.auto_options)],
        "prompts": sha256(to_json(record["prompts"]).encode()).hexdigest(),
        "--max-object-size": options.max_object_size,
        "--semantic": options.semantic,
        **{f"--{key.replace('_', '-')}": value for key, value in writing.items()},
        SOFT: [runtime.get(k) for k in ("name", "version", "precision", "instruction_set")],
    }


class Summary:
    """A taker that counts, and keeps the first rows for the screen."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self.first: list[SegmentedObject] = []
        self.empty: list[SegmentedObject] = []
        self.count = 0

    def add(self, item: SegmentedObject) -> None:
        self.count += 1
        if len(self.first) < self._shown:
            self.first.append(item)
        if item.empty:
            self.empty.append(item)


class Both:
    """Objects to the outputs and to the summary."""

    def __init__(self, streams: Streams, summary: Summary) -> None:
        self._streams, self._summary = streams, summary

    def add(self, item: SegmentedObject) -> None:
        self._summary.add(item)
        self._streams.add(item)

    def advance(self, row: int) -> None:
        self._streams.advance(row)


def tile_run(
    options: TileOptions, ledger: Ledger | None = None, crew: Crew | None = None
) -> TileRun:
    """The run that was asked for; with a ledger, tiles that fail do not end it."""
    return TileRun(
        Tiling(options.max_object_size),
        options.workers or 1,
        options.semantic,
        tolerant=ledger is not None,
        ledger=ledger,
        crew=crew,
    )


def crew_of(options: TileOptions, job: Job, recipe: Recipe) -> Crew | None:
    """Who looks at the tiles; None: threads of this process."""
    if options.scheduler is None:
        return None
    from samovar.scheduler import dask_crew

    return dask_crew(options.scheduler, job, recipe)
