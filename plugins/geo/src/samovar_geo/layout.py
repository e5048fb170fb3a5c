"""How a raster's pixels lie in its file: in which blocks, and how much is read with one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Interleaving, MaskFlags
from rasterio.errors import RasterioError

from samovar.image import Blocks

COUNTED = 320
"""Bytes that GDAL counts for a block of one band beside its pixels."""


def blocks_of(dataset: Any, indexes: Sequence[int], scale: tuple[float, float]) -> Blocks:
    """The blocks that reading some bands of an opened dataset comes down to.

    Args:
        indexes: bands that are read, from 1.
        scale: pixels of the file a pixel of the grid, along rows and columns.
    """
    (rows, columns), together = _stored(dataset)
    # otherwise each band has blocks of its own, and those of the others stay where they are
    kept = range(1, dataset.count + 1) if together else indexes
    sizes = [_itemsize(dataset.dtypes[i - 1]) for i in kept]
    if any(MaskFlags.per_dataset in dataset.mask_flag_enums[i - 1] for i in indexes):
        sizes.append(1)
    finer = [f for f in dataset.overviews(indexes[0]) if f <= min(scale)]
    over = max(finer, default=1)
    shape = max(1.0, rows * over / scale[0]), max(1.0, columns * over / scale[1])
    return Blocks(shape, sum(rows * columns * size + COUNTED for size in sizes))


def _stored(dataset: Any) -> tuple[tuple[int, int], bool]:
    """Block shape of the file that pixels come from, and whether its bands are read together.

    Of a virtual raster, those of its first file: its own blocks are never read.
    """
    if dataset.driver == "VRT":
        for name in dataset.files:
            if name != dataset.name:
                with suppress(RasterioError), rasterio.open(name) as source:
                    return _stored(source)
    return dataset.block_shapes[0], dataset.interleaving is Interleaving.pixel


def _itemsize(name: str) -> int:
    # what numpy has no name for has at most eight bytes
    return np.dtype(name).itemsize if name in np.sctypeDict else 8
