"""Blocks of a TIFF that were never written: they hold no data, and asking costs no read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from samovar.grid import Region

Handle = Callable[[], AbstractContextManager[Any]]


class MissingBlocks:
    """Which blocks of a file are missing: asked for once, one byte a block.

    Args:
        dataset: opened, of whose blocks is asked.
        indexes: bands that are looked at.
    """

    def __init__(self, dataset: Any, indexes: tuple[int, ...]) -> None:
        self._block = dataset.block_shapes[0]
        self._count = -(-dataset.height // self._block[0]), -(-dataset.width // self._block[1])
        self._indexes = indexes
        self._lock = Lock()
        self._written: NDArray[np.bool_] | None = None

    def all(self, region: Region, handle: Handle) -> bool:
        """Whether no pixel of ``region``, in the file's pixels, was ever written.

        Args:
            handle: opens the file, the first time.
        """
        with self._lock:
            if self._written is None:
                with handle() as dataset:
                    self._written = self._ask(dataset)
        rows, columns = (
            slice(max(0, a) // n, -(-b // n))
            for a, b, n in zip(region.start, region.stop, self._block, strict=True)
        )
        return not self._written[rows, columns].any()

    def _ask(self, dataset: Any) -> NDArray[np.bool_]:
        written = np.zeros(self._count, dtype=bool)
        for row, column in np.ndindex(written.shape):
            name = f"BLOCK_OFFSET_{column}_{row}"
            written[row, column] = any(
                dataset.get_tag_item(name, "TIFF", bidx=band) is not None for band in self._indexes
            )
        return written


def missing_blocks(dataset: Any, indexes: tuple[int, ...], remote: bool) -> MissingBlocks | None:
    """How to ask a dataset for missing blocks; None where they mean nothing.

    A missing block reads as nodata, and as transparent where there is an alpha band. With neither
    it reads as zeros, which are data.
    """
    if dataset.driver not in ("GTiff", "COG") or remote:
        return None
    if any(dataset.nodatavals[i - 1] is None for i in indexes):
        colours = zip(dataset.indexes, dataset.colorinterp, strict=True)
        indexes = tuple(i for i, colour in colours if colour is ColorInterp.alpha)
        if not indexes:
            return None
    height, width = dataset.block_shapes[0]
    if height == 1 or width == dataset.width:
        return None
    return MissingBlocks(dataset, indexes)
