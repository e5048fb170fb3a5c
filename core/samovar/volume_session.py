"""A volume under work: objects are asked for, corrected and asked again, slice by slice.

>>> session = VolumeSession(job)                                # doctest: +SKIP
>>> session.ask(prompts)                                        # doctest: +SKIP
>>> session.update()               # looks at what is needed    # doctest: +SKIP
>>> session.correct(3, negative=[(88, 90, 41)])                 # doctest: +SKIP
>>> session.update()               # and now at what changed    # doctest: +SKIP
>>> objects = session.objects()                                 # doctest: +SKIP

Embeddings are kept, one a slice whatever the number of objects; slices that no object touches are
never encoded. What comes out depends on the prompts alone, never on the order of corrections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from samovar.answers import check_answer, check_kinds
from samovar.bounds import fit
from samovar.cache import EmbeddingCache
from samovar.chains import Following, box_slices, course, slice_view
from samovar.embedding import Embedding
from samovar.errors import PromptError, UsageError
from samovar.job import Job
from samovar.looking import Seen, look
from samovar.masks import Masks, PixelMask
from samovar.objects import SegmentedObject
from samovar.plans import Step
from samovar.prompts import Prompt, Prompts, describe
from samovar.propagation import Propagation


class VolumeSession:
    """Objects of one volume, followed from prompts that may change.

    Args:
        job: image, model, intensity and how to follow; its prompts, if any, are asked for at
            once. Without a cache the session has one of its own.
        remember: keep what a later correction needs; without it :meth:`update` works once.

    Raises:
        UsageError: the image is no volume, or has no such axis.
    """

    def __init__(self, job: Job, *, remember: bool = True) -> None:
        grid = job.image.grid
        if grid.ndim != 3:
            raise UsageError("only volumes are followed slice by slice")
        self.following = job.following if job.following is not None else Following()
        self.axis = self.following.array_axis(grid)
        self._job = job if job.cache is not None else replace(job, cache=EmbeddingCache())
        uses_mask = "mask" in job.model.decoder.prompt_kinds
        self._follow = Propagation(grid, self.axis, uses_mask, remember, self._grey)
        if job.prompts is not None:
            self.ask(job.prompts)

    @property
    def prompts(self) -> Prompts:
        """What is asked for, corrections included, in index coordinates."""
        return Prompts(tuple(self._follow.prompts.values()))

    def ask(self, prompts: Prompts) -> None:
        """Ask for objects; one with the number of a known object replaces its prompt.

        Raises:
            PromptError: a prompt that lies outside, or that the model does not take.
        """
        grid = self._job.image.grid
        asked = prompts.to_index(grid)
        asked.check(grid)
        check_kinds(asked, self._job.model.decoder)
        ways = [
            (p, course(p, grid, self.axis, self.following.extent, self.following.anchor))
            for p in asked
        ]
        for prompt, way in ways:
            self._follow.set(prompt, way)

    def correct(
        self,
        id: int,
        *,
        positive: Iterable[Sequence[float]] = (),
        negative: Iterable[Sequence[float]] = (),
        box: Sequence[float] | None = None,
        painted: PixelMask | None = None,
    ) -> None:
        """Say more about an object, on any slice; :meth:`update` then redoes what it touches.

        Args:
            id: of an object that was asked for.
            positive: positions x, y, z on the object; their slices become key slices.
            negative: positions off it; their slice and those followed from it are asked again.
            box: ``x0, y0, z0, x1, y1, z1`` of one slice; it replaces an earlier one of that slice.
            painted: its pixels on one slice, in image coordinates, one index thick along the
                slicing axis: taken as they are, and followed from. It replaces an earlier one.

        Raises:
            PromptError: no such object, or something outside the image.
        """
        said, way = self._known(id), self._follow.courses[id]
        if way.automatic and way.settled:
            said = replace(said, anchor=way.keys[0])
        for label, points in ((1, positive), (0, negative)):
            for point in points:
                position = tuple(float(v) for v in point)
                points_now, labels_now = (*said.points, position), (*said.labels, label)
                said = replace(said, points=points_now, labels=labels_now)
        if box is not None:
            said = self._with_box(said, tuple(float(v) for v in box))
        if painted is not None:
            here = painted.region.start[self.axis]
            others = [m for m in said.painted if m.region.start[self.axis] != here]
            said = replace(said, painted=(*others, painted))
        self.ask(Prompts((said,)))

    def forget(self, id: int) -> None:
        """Ask for an object no longer."""
        self._follow.forget(self._known(id).id)

    def update(self) -> None:
        """Look at every slice on which something else is to be asked than was answered.

        Raises:
            Cancelled: the token was set, or the user interrupted; what was answered is kept, and
                the next update goes on from there.
            PluginError: the model failed.
        """
        self._find_anchors()
        steps = self._follow.plan()
        look(self._job, steps, self._follow.needed, self._answer, self._describe)

    def mask(self, id: int, position: int) -> PixelMask | None:
        """An object's mask on a slice, in pixels of that slice; None where it is not (yet)."""
        self._known(id)
        answer = self._follow.answers[id].get(position)
        return None if answer is None or answer.empty else answer.unpack()

    def finished(self) -> tuple[int, ...]:
        """Objects of which nothing is left to be asked."""
        return tuple(id for id in self._follow.courses if self._follow.finished(id))

    def objects(self, ids: Iterable[int] | None = None) -> tuple[SegmentedObject, ...]:
        """Objects in the order of asking; empty where nothing was found."""
        wanted = self._follow.prompts if ids is None else ids
        return tuple(self._object(self._known(id)) for id in wanted)

    def _with_box(self, prompt: Prompt, box: tuple[float, ...]) -> Prompt:
        count = self._job.image.grid.shape[self.axis]
        if len(box) != 6:
            raise PromptError(f"{describe(prompt)}: a box of a slice has 6 numbers, not {len(box)}")
        here = box_slices(box, self.axis, count)
        if here[0] != here[1]:
            raise PromptError(f"{describe(prompt)}: a correction is a box of one slice")
        kept = [b for b in prompt.boxes if box_slices(b, self.axis, count) != here]
        first, *others = (*kept, box)
        return replace(prompt, box=first, key_boxes=tuple(others))

    def _known(self, id: int) -> Prompt:
        if id not in self._follow.prompts:
            raise PromptError(f"object {id} was never asked for")
        return self._follow.prompts[id]

    def _find_anchors(self) -> None:
        scores: dict[int, dict[int, float]] = {}

        def weigh(seen: Seen) -> None:
            assert seen.embedding is not None
            prompts = self._follow.ask_probe(seen.step)
            masks = self._decode(seen.embedding, prompts)
            for i, prompt in enumerate(prompts):
                assert prompt.box is not None
                sure = float(masks.quality[i] * masks.stability[i])
                fits = sure * fit(masks.masks[i], prompt.box)
                scores.setdefault(prompt.id, {})[seen.step.position] = fits

        probing = replace(self._job, progress=None)
        look(probing, self._follow.probes(), lambda step: True, weigh)
        self._follow.settle(scores)

    def _answer(self, seen: Seen) -> None:
        step, embedding = seen.step, seen.embedding
        assert embedding is not None
        prompts = self._follow.ask(step)
        for id, mask in list(self._follow.drawn(step)):
            self._follow.learn_drawn(id, step, self._prior_of(mask, embedding))
        if not prompts.objects:
            return
        masks = self._decode(embedding, prompts)
        doubts = self._follow.doubts(step, masks)
        second = self._decode(embedding, doubts) if doubts.objects else None
        self._follow.learn(step, masks, second)

    def _decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        masks = self._job.model.decoder.decode(embedding, prompts)
        check_answer(masks, len(prompts), "the decoder")
        return masks

    def _grey(self, step: Step, mask: PixelMask) -> tuple[float, float]:
        block = self._job.image.read(step.view.expand(mask.region))
        picture = self._job.intensity.apply(step.view.squeeze(block))
        values = picture[:, mask.inside].mean(axis=0)
        return float(values.mean()), float(values.std())

    def _prior_of(self, mask: PixelMask, embedding: Embedding) -> NDArray[np.float32]:
        if "mask" not in self._job.model.decoder.prompt_kinds:
            return np.zeros((1, 1), dtype=np.float32)
        picture = np.zeros(embedding.fit.picture, dtype=bool)
        picture[mask.region.slices] = mask.inside
        return self._job.model.decoder.mask_prompt(picture, embedding)

    def _describe(self, step: Step) -> str:
        return f"{step.view.key}, {len(self.finished())} of {len(self._follow.courses)} objects"

    def _object(self, prompt: Prompt) -> SegmentedObject:
        grid, image = self._job.image.grid, self._job.image
        known = self._follow.answers[prompt.id]
        found = {p: known[p] for p in sorted(known) if not known[p].empty}
        weights = [a.pixels for a in found.values()]
        sure = [(a.quality, a.quality * a.stability) for a in found.values()]
        score, steady = np.average(sure, axis=0, weights=weights) if found else (0.0, 0.0)
        item = SegmentedObject.from_slices(
            prompt.id,
            self.axis,
            {p: (a.region, a.unpack) for p, a in found.items()},
            name=prompt.name,
            class_id=prompt.class_id,
            score=float(score),
            uncertainty=1.0 - float(steady),
            prompt=prompt,
            views=tuple(slice_view(grid, self.axis, p).key for p in found),
            attributes=prompt.attributes,
        )
        return replace(item, measures=image.measure(item))
