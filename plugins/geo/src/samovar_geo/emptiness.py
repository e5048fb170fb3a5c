"""Blocks of a TIFF that were never written: they hold no data, and asking costs no read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from samovar.grid import Region

Missing = Callable[[Any, Region], bool]
"""``(dataset, region in the file's pixels)`` → whether none of it was ever written."""


def missing_blocks(dataset: Any, indexes: tuple[int, ...], remote: bool) -> Missing | None:
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

    def missing(handle: Any, region: Region) -> bool:
        (top, left), (bottom, right) = region.start, region.stop
        return all(
            handle.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=band) is None
            for y in range(top // height, -(-bottom // height))
            for x in range(left // width, -(-right // width))
            for band in indexes
        )

    return missing
