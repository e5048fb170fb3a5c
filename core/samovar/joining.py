"""Joining: what tiles said, in raster order, becomes objects, which are handed over early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from samovar.assembly import object_of_group, object_of_part
from samovar.frontier import Frontier, Group
from samovar.identity import Names
from samovar.job import Job
from samovar.lattice import Lattice, Tiling
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart, Spill, below
from samovar.plans import Step
from samovar.second_look import Recent, look_again, needs_second_look
from samovar.semantic import Dissolver


class Taker(Protocol):
    """Whoever takes finished objects (an ObjectSink does)."""

    def add(self, item: SegmentedObject) -> None: ...

    def advance(self, row: int) -> None: ...


class Joiner:
    """Parts of tiles in raster order become objects.

    Args:
        semantic: objects of one class that touch are one.
        tolerant: where a second look fails the first one stands.
    """

    def __init__(
        self, job: Job, tiling: Tiling, taker: Taker, *, semantic: bool, tolerant: bool
    ) -> None:
        self._job, self._taker, self._tolerant = job, taker, tolerant
        self._lattice = Lattice.of(job.image, tiling)
        self._recent = Recent()
        self._spill = Spill()
        self._number = 0
        self._row = 0
        self._frontier = None if job.prompts is not None else Frontier(job.image.grid.region)
        self._prompts = {} if job.prompts is None else job.prompts.by_id()
        self._dissolver = Dissolver(job.image, self._spill) if semantic else None
        self._names = Names(job.image.origin)

    def add(self, step: Step, parts: Sequence[RestingPart]) -> None:
        if self._frontier is None:
            for part in parts:
                prompt = self._prompts[part.id]
                self._give(
                    object_of_part(
                        part, step.view, self._job.image, prompt=prompt, name=prompt.name,
                        class_id=prompt.class_id, attributes=prompt.attributes,
                    )
                )  # fmt: skip
            self._advance(step.view.region.start[0])
            return
        for group in self._frontier.add(step.view, parts):
            self._found(group)
        # a second look may see a little further up
        self._advance(self._frontier.row - self._lattice.tiling.tile)

    def finish(self) -> None:
        for group in self._frontier.finish() if self._frontier is not None else ():
            self._found(group)
        if self._dissolver is not None:
            for item in self._dissolver.finish():
                self._hand_over(item)
        self._taker.advance(self._job.image.grid.shape[0])

    def _found(self, group: Group) -> None:
        item = object_of_group(group, 0, self._job.image, self._spill)
        again = False
        if item is not None and needs_second_look(item, group, self._job.image.grid.region):
            item, again = self._look_again(item, group), True
        if item is None or not any(map(self._job.image.wanted, item.pieces())):
            return
        if self._recent.has(item, again):
            return
        self._recent.add(item, again)
        self._number += 1
        self._give(replace(item, id=self._number))

    def _look_again(self, item: SegmentedObject, group: Group) -> SegmentedObject | None:
        try:
            found = look_again(item, group, self._job, self._lattice)
        except Exception:
            if not self._tolerant:
                raise
            return item
        if found is None:
            return None
        part, step = found
        # what lies above this row was promised to be finished
        part = below(part, self._row)
        if part.region.empty:
            return None
        return object_of_part(part, step.view, self._job.image, class_id=item.class_id)

    def _give(self, item: SegmentedObject) -> None:
        if self._dissolver is None:
            self._hand_over(item)
        else:
            self._dissolver.add(item)

    def _hand_over(self, item: SegmentedObject) -> None:
        self._taker.add(replace(item, key=self._names.of(item)))

    def _advance(self, row: int) -> None:
        if row <= self._row:
            return
        self._row = row
        self._recent.forget(row)
        if self._dissolver is not None:
            for item in self._dissolver.advance(row):
                self._hand_over(item)
            row = self._dissolver.row
        if self._frontier is not None or self._dissolver is not None:
            # prompted objects come in the order of their views, not of their own rows
            self._names.forget(row)
        self._taker.advance(row)
