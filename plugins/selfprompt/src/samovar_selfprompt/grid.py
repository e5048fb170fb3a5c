"""The grid of points that Segment Anything calls its automatic mode (Kirillov et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samovar.embedding import Embedding
from samovar.errors import UsageError
from samovar.masks import Masks
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Context
from samovar.suppression import suppress
from samovar.view import View


class GridGenerator:
    """One positive point a cell, one round a view.

    Args:
        points: cells along the longer side of a view's picture; they are square.
        quality: masks with a lower predicted IoU are dropped.
        stability: masks that change more between thresholds are dropped.
        suppress: of two masks that overlap by more than this IoU the worse is dropped.
        largest: masks that fill more than this share of the picture are dropped (background).
        smallest: masks of fewer pixels are dropped.

    Raises:
        UsageError: an option outside its range.
    """

    def __init__(
        self,
        points: int = 16,
        quality: float = 0.6,
        stability: float = 0.5,
        suppress: float = 0.5,
        largest: float = 0.5,
        smallest: int = 25,
    ) -> None:
        if not 1 <= points <= 128:
            raise UsageError(f"grid: points={points} is not between 1 and 128")
        for name, value in (("quality", quality), ("stability", stability),
                            ("suppress", suppress), ("largest", largest)):
            if not 0 <= value <= 1:
                raise UsageError(f"grid: {name}={value:g} is not between 0 and 1")
        self._points = points
        self._limits = quality, stability, suppress, largest, smallest
        self._area = 0

    def propose(
        self, view: View, embedding: Embedding, prior: Masks | None, context: Context
    ) -> Prompts | None:
        """The grid in round 0, nothing afterwards."""
        if context.round > 0:
            return None
        rows, columns = view.picture_shape
        self._area = rows * columns
        step = max(1.0, max(rows, columns) / self._points)
        ys = (np.arange(max(1, round(rows / step))) + 0.5) * rows / max(1, round(rows / step)) - 0.5
        xs = np.arange(max(1, round(columns / step))) + 0.5
        xs = xs * columns / max(1, round(columns / step)) - 0.5
        valid = context.image.valid(view.region, size=view.size)
        cells = [
            (float(x), float(y))
            for y in ys
            for x in xs
            if valid is None or valid[round(y), round(x)]
        ]
        if not cells:
            return None
        return Prompts(tuple(Prompt(i + 1, points=(p,), labels=(1,)) for i, p in enumerate(cells)))

    def select(self, masks: Masks) -> Sequence[int]:
        """Masks that are sure, stable, of a likely size and not said twice; best first."""
        quality, stability, threshold, largest, smallest = self._limits
        pixels = np.array([np.count_nonzero(m.inside) for m in masks.masks])
        good = (
            (masks.quality >= quality)
            & (masks.stability >= stability)
            & (pixels >= smallest)
            & (pixels <= largest * self._area)
        )
        chosen = np.flatnonzero(good)
        if chosen.size == 0:
            return []
        kept = suppress(
            [masks.masks[i] for i in chosen], (masks.quality * masks.stability)[chosen], threshold
        )
        return [int(chosen[k]) for k in kept]
