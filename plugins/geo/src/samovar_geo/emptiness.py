"""Blocks of a TIFF that were never written: they hold no data, and asking costs no read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region

Handle = Callable[[], AbstractContextManager[Any]]


class MissingBlocks:
    """Which blocks of a file are missing, remembered row by row: one byte a block.

    Args:
        dataset: opened, of whose blocks is asked.
        indexes: bands that are looked at.
    """

    def __init__(self, dataset: Any, indexes: tuple[int, ...]) -> None:
        self._block = dataset.block_shapes[0]
        self._columns = -(-dataset.width // self._block[1])
        self._indexes = indexes
        self._rows: dict[int, NDArray[np.bool_]] = {}

    def all(self, region: Region, handle: Handle) -> bool:
        """Whether no pixel of ``region``, in the file's pixels, was ever written.

        Args:
            handle: opens the file, where a row of blocks was not asked for before.
        """
        (top, left), (bottom, right) = region.start, region.stop
        height, width = self._block
        columns = slice(max(0, left) // width, -(-right // width))
        for row in range(max(0, top) // height, -(-bottom // height)):
            if row not in self._rows:
                with handle() as dataset:
                    self._rows[row] = self._written(dataset, row)
            if self._rows[row][columns].any():
                return False
        return True

    def _written(self, dataset: Any, row: int) -> NDArray[np.bool_]:
        written = np.zeros(self._columns, dtype=bool)
        for column in range(self._columns):
            name = f"BLOCK_OFFSET_{column}_{row}"
            written[column] = any(
                dataset.get_tag_item(name, "TIFF", bidx=band) is not None for band in self._indexes
            )
        return written


def missing_blocks(dataset: Any, indexes: tuple[int, ...], remote: bool) -> MissingBlocks | None:
    """How to ask a dataset for missing blocks; None where they mean nothing.

    A missing block reads as nodata. Without a nodata value it reads as zeros, which are data.
    """
    if dataset.driver not in ("GTiff", "COG") or remote:
        return None
    if any(dataset.nodatavals[i - 1] is None for i in indexes):
        return None
    height, width = dataset.block_shapes[0]
    if height == 1 or width == dataset.width:
        return None
    return MissingBlocks(dataset, indexes)
