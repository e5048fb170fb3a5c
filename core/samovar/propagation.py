"""Propagation: how an object is followed from its key slices to the others.

The next slice is asked with the previous mask as prior and with a box that is the bounding box of
that mask and a margin, never larger than the prompt's own box. Where the answer does not look like
a cross-section of the same object (low quality, a jump, a burst), the slice is asked a second
time without the prior, and the better answer is taken. Where an object may end, every slice is
asked both ways: it ends where the two answers differ (a prior alone goes on for ever), where it
outgrows its key slice, or where what it covers looks nothing like there.

What was asked is remembered beside each answer. When prompts change, only slices on which
something else would be asked are asked again: the result is that of asking everything afresh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from samovar.bounds import Box, grown
from samovar.chains import Chain, Course, box_slices, slice_index, slice_view
from samovar.drift import better, doubtful, iou
from samovar.grid import Grid
from samovar.masks import Masks, PixelMask
from samovar.plans import Step
from samovar.prompts import Prompt, Prompts
from samovar.slice_answers import SliceAnswer

AGREED = 0.7
"""IoU of the answers with and without the prior below which an object has ended."""
OUTGROWN = 2.0
"""An object has ended where its mask is this many times as large as on its key slice."""
FAINT = 2.0
"""Least deviation, in 0…255, that counts: a flat key slice is not sure to the last grey."""
UNLIKE = 4.0
"""An object has ended where its mean grey lies this many of its key slice's deviations away."""
WELL, CLEARLY = 0.5, 2.5
"""Least score of a slice that may become the anchor instead of the middle one, and how many times
that one's score it has to be."""


@dataclass
class Propagation:
    """Prompts for each step of a volume's slices, from the answers of the steps before.

    Args:
        grid: the volume's.
        axis: array axis of the slices.
        uses_mask: the decoder takes a previous mask.
        remember: keep priors, so that later corrections redo only what they touch.
        grey: mean and standard deviation, in 0…255, of what a mask covers on a step's picture.
    """

    grid: Grid
    axis: int
    uses_mask: bool = True
    remember: bool = True
    grey: Callable[[Step, PixelMask], tuple[float, float]] | None = None
    prompts: dict[int, Prompt] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    answers: dict[int, dict[int, SliceAnswer]] = field(default_factory=dict)
    """Of each object, by slice."""
    _chains: dict[int, tuple[Chain, ...]] = field(default_factory=dict)
    _chain_at: dict[int, dict[int, Chain]] = field(default_factory=dict)
    """Of each object, by slice; keys belong to none."""
    _last: dict[tuple[int, Chain], SliceAnswer] = field(default_factory=dict)
    """The newest answer of each object's chain; at first that of its key."""
    _waiting: dict[int, set[int]] = field(default_factory=dict)
    """Of each object that was planned, the slices that are still to be asked."""
    _asked: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _greys: dict[tuple[int, int], tuple[SliceAnswer, tuple[float, float]]] = field(
        default_factory=dict
    )
    """Of keys, with the answers that they are of."""

    def set(self, prompt: Prompt, course: Course) -> None:
        """Follow one object, new or changed."""
        id = prompt.id
        self.prompts[id], self.courses[id] = prompt, course
        self._chains[id] = tuple(course.chains(self.grid.shape[self.axis]))
        self._chain_at[id] = {p: chain for chain in self._chains[id] for p in chain.positions()}
        places = {*self._chain_at[id], *course.keys}
        known = self.answers.get(id, {})
        self.answers[id] = {p: a for p, a in known.items() if p in places}
        self._waiting.pop(id, None)

    def forget(self, id: int) -> None:
        """Follow an object no longer."""
        kept = self.prompts, self.courses, self.answers, self._chains, self._chain_at, self._waiting
        for table in kept:
            table.pop(id, None)

    def probes(self) -> list[Step]:
        """Steps that find the anchors: ask them, weigh the answers, then :meth:`settle`."""
        asked: dict[int, list[int]] = defaultdict(list)
        for id, course in self.courses.items():
            for position in course.probes():
                asked[position].append(id)
        return [self._step(position, asked[position], 0) for position in sorted(asked)]

    def ask_probe(self, step: Step) -> Prompts:
        """The 3-D boxes of the objects of a probed slice, alone."""
        return Prompts(tuple(self._said(id, step) for id in step.objects or ()))

    def settle(self, scores: Mapping[int, Mapping[int, float]]) -> None:
        """Move an object's anchor to its best slice where the middle one fits its box badly."""
        for id, found in scores.items():
            course = self.courses[id]
            (middle,) = course.keys
            best = max(sorted(found), key=found.__getitem__)
            if found[best] >= max(WELL, CLEARLY * found[middle]):
                course = replace(course, keys=(best,))
            self.set(self.prompts[id], replace(course, settled=True))

    def plan(self) -> list[Step]:
        """What has to be looked at: keys, then upwards, then downwards."""
        self._last.clear()
        waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
        for id in self.courses:
            stale = self._stale(id)
            self._waiting[id] = {position for _, position in stale}
            for place in stale:
                waiting[place].append(id)
        order = sorted(waiting, key=lambda w: ((0, 1, -1).index(w[0]), w[1] * (w[0] or 1)))
        return [self._step(position, waiting[sweep, position], sweep) for sweep, position in order]

    def needed(self, step: Step) -> bool:
        """Whether any object of the step is still being followed."""
        return any(self._alive(id, step) for id in step.objects or ())

    def ask(self, step: Step) -> Prompts:
        """2-D prompts in index coordinates of the step's picture; what is known is not asked."""
        prompts = []
        for id in step.objects or ():
            if not self._alive(id, step):
                continue
            prompt, digest = self._question(id, step)
            known = self.answers[id].get(step.position)
            if known is not None and known.asked == digest:
                self._advance(id, step, known)
            elif prompt.empty and self.painted(id, step.position) is None:
                self._advance(id, step, SliceAnswer.nothing(digest, self._may_end(id, step)))
            else:
                self._asked[id, step.position] = digest
                if not prompt.empty:
                    prompts.append(prompt)
        return Prompts(tuple(prompts))

    def drawn(self, step: Step) -> Iterator[tuple[int, PixelMask]]:
        """Objects that :meth:`ask` left out because their mask here was painted by hand."""
        for id in step.objects or ():
            mask = self.painted(id, step.position)
            if mask is not None and (id, step.position) in self._asked:
                yield id, mask

    def doubts(self, step: Step, masks: Masks) -> Prompts:
        """What to ask once more, without priors; the answers go to :meth:`learn` as well."""
        again = []
        for i, id in enumerate(masks.ids):
            before = self._before(id, step)
            if before is None or (masks.masks[i].empty and self._may_end(id, step)):
                continue
            if self._may_end(id, step) or doubtful(before.unpack(), masks, i):
                again.append(self._afresh(id, step, before))
        return Prompts(tuple(again))

    def learn(self, step: Step, masks: Masks, second: Masks | None = None) -> None:
        """Take a step's answers, and those of the second look, as what is known of the slice."""
        rows = {} if second is None else {id: i for i, id in enumerate(second.ids)}
        for i, id in enumerate(masks.ids):
            before = self._before(id, step)
            taken, row = masks, i
            other = None
            if before is not None and second is not None and id in rows:
                other = second.masks[rows[id]]
                taken, row = better(before.unpack(), (masks, i), (second, rows[id]))
            mask, ended = taken.masks[row], False
            if self._may_end(id, step):
                lost = before is not None and doubtful(before.unpack(), taken, row)
                differs = other is not None and iou(masks.masks[i], other) < AGREED
                ended = mask.empty or lost or differs or self._unlike_its_key(id, step, mask)
            asked = self._asked.pop((id, step.position))
            sure = float(taken.quality[row]), float(taken.stability[row])
            answer = SliceAnswer.of(asked, mask, *sure, taken.low_res[row], ended)
            self._advance(id, step, answer)

    def learn_drawn(self, id: int, step: Step, prior: NDArray[np.float32]) -> None:
        """Take a painted mask for the answer; ``prior``: its logits in the mask frame."""
        mask = self.painted(id, step.position)
        assert mask is not None
        asked = self._asked.pop((id, step.position))
        self._advance(id, step, SliceAnswer.of(asked, mask, 1.0, 1.0, prior))

    def painted(self, id: int, position: int) -> PixelMask | None:
        """What was painted on a slice, in pixels of its picture."""
        for mask in self.prompts[id].painted:
            if mask.region.start[self.axis] == position:
                return mask.flat(self.axis)
        return None

    def finished(self, id: int) -> bool:
        """Whether nothing about an object is left to be asked."""
        return self._waiting.get(id) == set()

    def _stale(self, id: int) -> list[tuple[int, int]]:
        """Sweep and slice of everything that may have to be asked, beyond what is known."""
        waiting = [(0, key) for key in self.courses[id].keys if not self._still_true(id, key, 0)]
        stale = {key for _, key in waiting}
        for chain in self._chains[id]:
            fresh = not stale & {chain.key, chain.toward}
            for position in chain.positions():
                if fresh and self._last[id, chain].ended:
                    break
                fresh = fresh and self._still_true(id, position, chain.direction)
                if not fresh:
                    waiting.append((chain.direction, position))
        return waiting

    def _still_true(self, id: int, position: int, sweep: int) -> bool:
        """Whether a known answer answers what would be asked now; it is then taken."""
        known = self.answers[id].get(position)
        if known is None:
            return False
        step = self._step(position, [id], sweep)
        if known.asked != self._question(id, step)[1]:
            return False
        self._advance(id, step, known)
        return True

    def _step(self, position: int, ids: list[int], sweep: int) -> Step:
        certain = sweep == 0 or any(self._chain_at[id][position].bound(position) for id in ids)
        view = slice_view(self.grid, self.axis, position)
        return Step(view, tuple(ids), sweep, position, certain)

    def _advance(self, id: int, step: Step, answer: SliceAnswer) -> None:
        """Make an answer the newest of its chain, or of the chains that its key begins."""
        known, chain = self.answers[id], self._chain_at[id].get(step.position)
        known[step.position] = answer.kept() if self.remember else answer.without_prior()
        waiting = self._waiting.get(id, set())
        waiting.discard(step.position)
        if chain is None:
            for begun in self._chains[id]:
                if begun.key == step.position:
                    self._last[id, begun] = answer
            return
        self._last[id, chain] = answer
        if answer.ended:
            for beyond in chain.positions():
                if (beyond - step.position) * chain.direction > 0:
                    known.pop(beyond, None)
                    waiting.discard(beyond)

    def _alive(self, id: int, step: Step) -> bool:
        chain = self._chain_at[id].get(step.position)
        if chain is None:
            return True
        last = self._last.get((id, chain))
        return last is None or not last.ended

    def _may_end(self, id: int, step: Step) -> bool:
        """Whether the object may have come to its end on this slice, or before it."""
        chain = self._chain_at[id].get(step.position)
        if chain is None:
            course = self.courses[id]
            return course.is_open and course.first == course.last
        return not chain.bound(step.position)

    def _key_of(self, id: int, step: Step) -> tuple[int, SliceAnswer] | None:
        """The key that a slice is followed from, and its answer."""
        chain = self._chain_at[id].get(step.position)
        key = None if chain is None else self.answers[id].get(chain.key)
        return None if chain is None or key is None or key.empty else (chain.key, key)

    def _unlike_its_key(self, id: int, step: Step, mask: PixelMask) -> bool:
        """Whether a mask is too large, too dark or too bright to be of the object of its key."""
        found = self._key_of(id, step)
        if found is None:
            return False
        position, key = found
        if np.count_nonzero(mask.inside) > OUTGROWN * key.pixels:
            return True
        if self.grey is None:
            return False
        if self._greys.get((id, position), (None,))[0] is not key:
            grey = self.grey(self._step(position, [id], 0), key.unpack())
            self._greys[id, position] = key, grey
        mean, deviation = self._greys[id, position][1]
        return abs(self.grey(step, mask)[0] - mean) > UNLIKE * max(deviation, FAINT)

    def _before(self, id: int, step: Step) -> SliceAnswer | None:
        """The answer that a slice is followed from; None on keys and after an empty one."""
        chain = self._chain_at[id].get(step.position)
        last = None if chain is None else self._last.get((id, chain))
        return None if last is None or last.empty else last

    def _question(self, id: int, step: Step) -> tuple[Prompt, bytes]:
        """The prompt of a slice, and a digest of all that its answer depends on."""
        painted = self.painted(id, step.position)
        if painted is not None:
            text = f"painted {painted.region} {np.packbits(painted.inside).tobytes()!r}"
            return Prompt(id), blake2b(text.encode(), digest_size=16).digest()
        before, prompt = self._before(id, step), self._said(id, step)
        said = (prompt.box, prompt.points, prompt.labels, self._may_end(id, step))
        if before is not None:
            box = grown(before.region.start, before.region.stop, prompt.box)
            prompt = replace(prompt, box=box, mask=before.low_res if self.uses_mask else None)
        digest = blake2b(repr(said).encode(), digest_size=16)
        digest.update(b"" if before is None else before.digest)
        if self._may_end(id, step) and (key := self._key_of(id, step)) is not None:
            digest.update(key[1].bits)
        return prompt, digest.digest()

    def _said(self, id: int, step: Step) -> Prompt:
        """What is known of an object on a slice without having looked at its neighbours.

        Its box is the user's own of that slice, else their 3-D box, else what two keys suggest.
        """
        prompt, course, here = self.prompts[id], self.courses[id], step.position
        count = self.grid.shape[self.axis]
        own = [b for b in prompt.boxes if box_slices(b, self.axis, count) == (here, here)]
        if not own and course.box is not None and course.first <= here <= course.last:
            own = [course.box]
        box = step.view.box_to_picture(own[0]) if own else self._between(id, here)
        points = [
            (step.view.point_to_picture(point), label)
            for point, label in zip(prompt.points, prompt.labels, strict=True)
            if slice_index(point[2 - self.axis], count) == here
        ]
        positions, labels = tuple(p for p, _ in points), tuple(label for _, label in points)
        return Prompt(id, prompt.name, box, positions, labels, class_id=prompt.class_id)

    def _between(self, id: int, position: int) -> Box | None:
        """Between two keys: the box around their masks, and a margin."""
        chain = self._chain_at[id].get(position)
        if chain is None or chain.toward is None:
            return None
        ends = [self.answers[id].get(key) for key in (chain.key, chain.toward)]
        regions = [e.region for e in ends if e is not None and not e.empty]
        if len(regions) < 2:
            return None
        around = regions[0].union(regions[1])
        return grown(around.start, around.stop, None)

    def _afresh(self, id: int, step: Step, before: SliceAnswer) -> Prompt:
        """The same slice without its prior, within the box that is surest there."""
        prompt = self._said(id, step)
        if prompt.box is None:
            prompt = replace(prompt, box=grown(before.region.start, before.region.stop, None))
        return prompt
