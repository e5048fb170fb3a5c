"""View: one 2-D window of an image. Everything after it is the same for patients and cities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region


@dataclass(frozen=True)
class View:
    """A 2-D window: a slice of a volume, a tile of a raster, or a whole picture.

    ``region`` is what is read (halo included), ``core`` the part that this view answers for.
    A slice's region is one index thick along ``axis``.
    """

    key: str
    """Name within its plan; stable from run to run (``z17``, ``r3c5``)."""
    region: Region
    core: Region
    axis: int | None = None
    """Array axis that a slice cuts; None for 2-D images."""
    size: tuple[int, int] | None = None
    """Rows and columns to read when coarser than the region's own; None: full resolution."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the region (at full resolution)."""
        kept = [n for a, n in enumerate(self.region.shape) if a != self.axis]
        return kept[0], kept[1]

    @property
    def picture_shape(self) -> tuple[int, int]:
        return self.size if self.size is not None else self.shape

    def point_to_picture(self, point: tuple[float, ...]) -> tuple[float, float]:
        """Image index ``x, y[, z]`` → picture index ``x, y`` (pixel centres)."""
        x, y = self._drop(point)
        (oy, ox), (sy, sx) = self._offset, self._scale
        return (x + 0.5 - ox) * sx - 0.5, (y + 0.5 - oy) * sy - 0.5

    def box_to_picture(self, box: tuple[float, ...]) -> tuple[float, float, float, float]:
        """Image index box (max exclusive; z of volumes is dropped) → picture index box."""
        half = len(box) // 2
        (x0, y0), (x1, y1) = self._drop(box[:half]), self._drop(box[half:])
        (oy, ox), (sy, sx) = self._offset, self._scale
        return (x0 - ox) * sx, (y0 - oy) * sy, (x1 - ox) * sx, (y1 - oy) * sy

    def squeeze(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        """``(channels, *region)`` → ``(channels, rows, columns)``."""
        return block if self.axis is None else np.squeeze(block, axis=self.axis + 1)

    def expand(self, region: Region) -> Region:
        """A region of the picture at full resolution → the same region of the image."""
        start, stop = list(region.start), list(region.stop)
        if self.axis is not None:
            start.insert(self.axis, 0)
            stop.insert(self.axis, 1)
        return Region(tuple(start), tuple(stop)).shift(self.region.start)

    def _drop(self, point: tuple[float, ...]) -> tuple[float, float]:
        if len(point) == 2:
            return point[0], point[1]
        kept = [v for a, v in zip((2, 1, 0), point, strict=True) if a != self.axis]
        return kept[0], kept[1]

    @property
    def _offset(self) -> tuple[int, int]:
        kept = [v for a, v in enumerate(self.region.start) if a != self.axis]
        return kept[0], kept[1]

    @property
    def _scale(self) -> tuple[float, float]:
        rows, columns = self.shape
        return self.picture_shape[0] / rows, self.picture_shape[1] / columns
