"""Masks: what a decoder answers for one view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region


@dataclass(frozen=True, eq=False)
class PixelMask:
    """Pixels of one object inside its bounding region; everything outside is background."""

    region: Region
    inside: NDArray[np.bool_]
    """Shaped as ``region``."""

    @property
    def empty(self) -> bool:
        return self.region.empty

    @classmethod
    def of(cls, array: NDArray[np.bool_], offset: tuple[int, ...] | None = None) -> PixelMask:
        """The tight mask of the True pixels of ``array``, whose first pixel lies at ``offset``."""
        start, stop = [], []
        for axis in range(array.ndim):
            others = tuple(a for a in range(array.ndim) if a != axis)
            hits = np.flatnonzero(array.any(axis=others))
            if hits.size == 0:
                zero = (0,) * array.ndim
                return cls(Region(zero, zero), np.zeros(zero, dtype=bool))
            start.append(int(hits[0]))
            stop.append(int(hits[-1]) + 1)
        tight = Region(tuple(start), tuple(stop))
        inside = np.ascontiguousarray(array[tight.slices])
        return cls(tight.shift(offset or (0,) * array.ndim), inside)

    def flat(self, axis: int) -> PixelMask:
        """A 3-D mask one index thick along ``axis`` → the same mask in 2-D."""
        start = tuple(v for a, v in enumerate(self.region.start) if a != axis)
        stop = tuple(v for a, v in enumerate(self.region.stop) if a != axis)
        return PixelMask(Region(start, stop), np.squeeze(self.inside, axis=axis))


@dataclass(frozen=True, eq=False)
class WindowLogits:
    """Logits of one object over a window of a picture instead of over the whole mask frame.

    So a small object keeps its resolution from one decoding to the next.
    """

    values: NDArray[np.float32]
    """``(h, w)``; cells of equal size."""
    window: tuple[float, float, float, float]
    """x0, y0, x1, y1: edges, where pixel ``i`` of the picture covers ``[i, i + 1)``."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


LowRes = NDArray[np.float32] | WindowLogits
"""One object's logits as a decoder gave them, over its mask frame or over a window."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Answers of a decoder, one row a prompted object, in the order of the prompts."""

    ids: tuple[int, ...]
    masks: tuple[PixelMask, ...]
    """In pixels of the view's picture."""
    quality: NDArray[np.float32]
    """``(n,)`` predicted IoU, 0…1."""
    low_res: NDArray[np.float32] | tuple[LowRes, ...]
    """One a row, what ``Prompt.mask`` of the next decode takes: ``(h, w)`` logits in the decoder's
    mask frame, or over a window where only that was decoded."""
    stability: NDArray[np.float32]
    """``(n,)`` IoU of the masks at the threshold ± 1 logit."""

    def __len__(self) -> int:
        return len(self.ids)
