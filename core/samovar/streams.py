"""Streams: objects go to several outputs as they are found, each under a temporary name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samovar.discovery import one_line
from samovar.errors import OutputError, PluginError, SamovarError
from samovar.formats import stage_objects, take_over, written_suffix
from samovar.image import Image
from samovar.objects import Objects, SegmentedObject
from samovar.options import accepted_options
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.protocols import ObjectSink, StreamHead
from samovar.room import disk_full, is_full, says_full
from samovar.specs import FormatSpec
from samovar.staging import Staged, reason, temporary_name
from samovar.tiles import in_order


@dataclass(frozen=True, eq=False)
class _Open:
    """An output that takes objects as they come."""

    staged: Staged
    sink: ObjectSink
    who: str


class Streams:
    """An ObjectSink over all outputs of a run.

    Writers that cannot stream are given all objects at the end; only then, or with ``keep``, are
    objects kept in memory.

    Args:
        outputs: files and their formats, checked.
        options: of writers; each gets those that it declares.
    """

    def __init__(
        self,
        outputs: Sequence[tuple[Path, FormatSpec]],
        head: StreamHead,
        image: Image,
        options: dict[str, Any],
        *,
        keep: bool = False,
    ) -> None:
        self._head, self._image, self._options = head, image, options
        self._paths = tuple(path for path, _ in outputs)
        self._open: list[_Open] = []
        self._waiting: list[tuple[Path, FormatSpec]] = []
        self._kept: list[SegmentedObject] = []
        try:
            for path, spec in outputs:
                self._begin(path, spec)
        except BaseException:
            self.abort()
            raise
        self._keep = keep or bool(self._waiting)

    @property
    def keeps(self) -> bool:
        """All objects are kept in memory."""
        return self._keep

    def add(self, item: SegmentedObject) -> None:
        for one in self._open:
            with _said(one):
                one.sink.add(item)
        if self._keep:
            self._kept.append(item)

    def advance(self, row: int) -> None:
        for one in self._open:
            with _said(one):
                one.sink.advance(row)

    def finish(self, prompts: Prompts | None) -> tuple[list[Staged], Objects]:
        """Every output, whole, under its temporary name; and the objects that were kept.

        Raises:
            OutputError, PluginError, DiskFull: an output cannot be written; nothing is left.
        """
        objects = Objects(
            self._head.grid, in_order(self._kept, prompts), self._head.provenance, self._image
        )
        done = []
        try:
            while self._open:
                one = self._open[0]
                with _said(one):
                    one.sink.close()
                if not one.staged.temporary.is_file():
                    raise PluginError(f"{one.staged.target}: {one.who} wrote no file")
                done.append(one.staged)
                self._open.pop(0)
            for path, spec in self._waiting:
                with _naming(path, spec.canonical):
                    done.append(stage_objects(objects, path, spec, self._image, **self._options))
        except BaseException:
            for staged in done:
                staged.discard()
            self.abort()
            raise
        return done, objects

    def abort(self) -> None:
        """Let go of every file and remove it."""
        for one in self._open:
            with suppress(Exception):
                one.sink.abort()
            one.staged.discard()
        self._open = []

    def _begin(self, path: Path, spec: FormatSpec) -> None:
        writer = registry().load(spec)
        stream: Callable[..., ObjectSink] | None = getattr(writer, "stream", None)
        if stream is None:
            self._waiting.append((path, spec))
            return
        staged = Staged(path, temporary_name(path, written_suffix(path, spec)))
        mine = accepted_options(spec, self._options)
        if spec.describes:
            mine["outputs"] = self._paths
        try:
            with _naming(path, spec.canonical):
                take_over(writer, path, staged.temporary)
                sink = stream(self._head, staged.temporary, self._image, **mine)
        except BaseException:
            staged.discard()
            raise
        self._open.append(_Open(staged, sink, spec.canonical))


def head_of(
    image: Image, provenance: dict[str, Any], prompts: Prompts | None, *, semantic: bool
) -> StreamHead:
    """What is known before the first object."""
    attributes = dict.fromkeys(k for p in prompts or () for k in p.attributes)
    highest = max((p.class_id if semantic else p.id for p in prompts or ()), default=None)
    return StreamHead(image.grid, provenance, tuple(attributes), highest, semantic)


@contextmanager
def _said(one: _Open) -> Iterator[None]:
    with _naming(one.staged.target, one.who):
        yield


@contextmanager
def _naming(target: Path, who: str) -> Iterator[None]:
    """A writer's errors in one line, with its name; what it prints goes to standard error."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        ours = isinstance(error, SamovarError)
        # asked at once, before what is half written goes and leaves room
        if says_full(error) or (not ours and is_full(target.parent)):
            raise disk_full(target) from error
        if ours:
            raise
        if isinstance(error, OSError):
            raise OutputError(f"{target}: cannot be written ({reason(error)})") from error
        raise PluginError(f"{target}: {who} failed: {one_line(error)}") from error
