"""Propagation: how an object is followed from its anchor slice to the next ones.

The next slice is asked with the previous mask as prior and with a box that is the bounding box of
that mask and a margin, never larger than the prompt's own box; an empty mask falls back to the
prompt's box alone. An object prompted by points only ends where its mask does.

The anchor is the middle slice, unless the box fits another slice clearly better: a 3-D box is as
wide as the object's widest slice, and where the object is narrow it says little. A few slices are
probed with the box alone; the best is the one whose mask is sure, steady and fills the box.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Grid
from samovar.masks import Masks, PixelMask
from samovar.plans import Extent, Step, plan_probes, slice_index
from samovar.prompts import Prompt, Prompts
from samovar.suppression import box_iou, overlap

MARGIN = 0.06
"""Share of the previous mask's larger side by which its box grows for the next slice."""
ENDED = 0.3
"""Open-ended objects stop at a mask of lower quality, one that shares less than this part of the
smaller of it and the mask before, or one that is GROWN times as large as that."""
GROWN = 3.0
PROBES = 9
"""Slices of an object that are looked at to find its anchor."""
CLEARLY = 1.1
"""How many times better than the middle slice another must be to become the anchor."""


@dataclass
class _Trace:
    """What is known of one object while a sweep runs."""

    mask: PixelMask | None = None
    low_res: NDArray[np.float32] | None = None
    ended: bool = False


@dataclass
class Propagation:
    """Prompts for each step of a slice plan, from the masks of the steps before.

    Args:
        grid: the volume's.
        axis: array axis of the slices.
        prompts: 3-D, in index coordinates, by id.
        extents: of the same ids.
        uses_mask: the decoder takes a previous mask.
    """

    grid: Grid
    axis: int
    prompts: dict[int, Prompt]
    extents: dict[int, Extent]
    uses_mask: bool = True
    _traces: dict[tuple[int, int], _Trace] = field(default_factory=dict)
    _probed: dict[int, dict[int, float]] = field(default_factory=dict)

    def probes(self) -> list[Step]:
        """Steps that find the anchors: ask them, then :meth:`weigh` the answers, then settle."""
        return plan_probes(self.grid, self.extents, self.axis, PROBES)

    def weigh(self, step: Step, masks: Masks) -> None:
        """Remember how well each object's box fits this slice."""
        for id, mask, quality, stability in zip(
            masks.ids, masks.masks, masks.quality, masks.stability, strict=True
        ):
            box = self.prompts[id].box
            assert box is not None
            fit = _fit(mask, step.view.box_to_picture(box))
            self._probed.setdefault(id, {})[step.position] = float(quality * stability) * fit

    def settle(self) -> None:
        """Move each probed object's anchor to its best slice, if that is clearly better."""
        for id, scores in self._probed.items():
            span = self.extents[id]
            best = max(sorted(scores), key=scores.__getitem__)
            if scores[best] > CLEARLY * scores[span.anchor]:
                span = replace(span, anchor=best)
            self.extents[id] = replace(span, settled=True)

    def needed(self, step: Step) -> bool:
        """Whether any object of the step is still being followed."""
        return any(not self._trace(id, step).ended for id in step.objects or ())

    def ask(self, step: Step) -> Prompts:
        """2-D prompts of a step, in index coordinates of its picture."""
        alive = (id for id in step.objects or () if not self._trace(id, step).ended)
        return Prompts(tuple(self._prompt(id, step) for id in alive))

    def learn(self, step: Step, masks: Masks) -> list[int]:
        """Take a step's answer as the prior of the next.

        Returns:
            Positions of the masks that belong to their objects; an open-ended object that has
            just ended does not keep the mask that ended it.
        """
        kept = []
        for i, (id, mask) in enumerate(zip(masks.ids, masks.masks, strict=True)):
            trace, first = self._trace(id, step), step.position == self.extents[id].anchor
            if self.prompts[id].box is None:
                lost = not first and (
                    masks.quality[i] < ENDED or not _continues(trace.mask, mask)
                )
                trace.ended = mask.empty or lost
            if mask.empty:
                trace.mask = trace.low_res = None
            else:
                trace.mask, trace.low_res = mask, masks.low_res[i]
            if first:
                self._traces[id, -1] = replace(trace)
            if not trace.ended:
                kept.append(i)
        return kept

    def _trace(self, id: int, step: Step) -> _Trace:
        return self._traces.setdefault((id, step.sweep), _Trace())

    def _prompt(self, id: int, step: Step) -> Prompt:
        prompt, trace = self.prompts[id], self._trace(id, step)
        box = None if prompt.box is None else step.view.box_to_picture(prompt.box)
        prior = None
        if trace.mask is not None and step.position != self.extents[id].anchor:
            box = _grown(trace.mask, box)
            prior = trace.low_res if self.uses_mask else None
        points, labels = self._points(prompt, step)
        return Prompt(id, prompt.name, box, points, labels, prior, class_id=prompt.class_id)

    def _points(
        self, prompt: Prompt, step: Step
    ) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
        along = 2 - self.axis
        here = [
            (step.view.point_to_picture(point), label)
            for point, label in zip(prompt.points, prompt.labels, strict=True)
            if slice_index(point[along], self.grid.shape[self.axis]) == step.position
        ]
        return tuple(p for p, _ in here), tuple(label for _, label in here)


def _grown(
    mask: PixelMask, limit: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float]:
    """Bounding box of a picture mask and its margin, inside ``limit``."""
    (y0, x0), (y1, x1) = mask.region.start, mask.region.stop
    margin = max(1.0, MARGIN * max(y1 - y0, x1 - x0))
    box = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    if limit is None:
        return box
    low = tuple(max(a, b) for a, b in zip(box[:2], limit[:2], strict=True))
    high = tuple(min(a, b) for a, b in zip(box[2:], limit[2:], strict=True))
    if any(b <= a for a, b in zip(low, high, strict=True)):
        return limit
    return low[0], low[1], high[0], high[1]


def _fit(mask: PixelMask, box: tuple[float, float, float, float]) -> float:
    """IoU of a mask's bounding box with a box."""
    if mask.empty:
        return 0.0
    own = (*mask.region.start[::-1], *mask.region.stop[::-1])
    return float(box_iou(np.array([own, box]))[0, 1])


def _continues(before: PixelMask | None, mask: PixelMask) -> bool:
    """Whether a mask can be the next cross-section of the same object."""
    if before is None or mask.empty:
        return False
    areas = np.count_nonzero(before.inside), np.count_nonzero(mask.inside)
    both, _ = overlap(before, mask)
    return bool(both >= ENDED * min(areas) and areas[1] <= GROWN * areas[0] + 50)
