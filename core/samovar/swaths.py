"""Swaths: the order in which tiles are looked at, so that a file is read once.

A file is stored in blocks, and a tile with its halo touches several. Row by row, a block is met
again a row of tiles later; where a whole row of blocks is more than may be kept in memory it would
be read again. Then several rows of tiles are looked at together, column by column: what has to be
kept is two columns of blocks, whatever the width of the scene, and only the blocks between two
swaths are read twice. Results are joined in raster order all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from samovar.image import Blocks
from samovar.lattice import Lattice

LEAST_KEPT = 32 << 20
"""Bytes of blocks that are kept in any case."""
MOST_KEPT = 256 << 20
SPARE = 0.05
"""Share of a file that may be read twice rather than keep more of it."""
ROOM = 1.1
"""What a cache needs beside the blocks themselves."""


@dataclass(frozen=True)
class Swath:
    """How a lattice is looked at.

    ``rows`` of tiles together, and ``kept`` bytes of blocks in memory. ``again`` is how often a
    byte of the file is read at most, as far as it is known beforehand.
    """

    rows: int = 1
    kept: int = LEAST_KEPT
    again: float = 1.0


def swath_of(lattice: Lattice, blocks: Blocks | None) -> Swath:
    """The swath in which the fewest blocks are read twice, within :data:`MOST_KEPT` bytes."""
    if blocks is None:
        return Swath()
    tile, stride = lattice.tiling.tile, lattice.tiling.stride
    (high, wide), (rows, columns) = blocks.shape, lattice.shape
    across = math.ceil(columns / wide)
    line = _touched(min(tile, rows), high) * across * blocks.nbytes * ROOM
    column = min(_touched(tile, wide), across) * blocks.nbytes * ROOM

    def needed(count: int) -> float:
        return _touched(count * stride + tile - stride, high) * column

    wanted = math.ceil(high / (SPARE * stride))
    while wanted > 1 and needed(wanted) > MOST_KEPT:
        wanted -= 1
    fits = line <= MOST_KEPT
    if fits and (line <= LEAST_KEPT or line <= needed(wanted)):
        return Swath(1, max(LEAST_KEPT, math.ceil(line)))
    if needed(wanted) <= MOST_KEPT:
        again = 1 + high / (wanted * stride)
        return Swath(wanted, max(LEAST_KEPT, math.ceil(needed(wanted))), again)
    # a line of the file is longer than memory allows: every tile of a row reads all of it anew
    return Swath(1, MOST_KEPT, max(1.0, columns / stride))


def _touched(length: float, block: float) -> int:
    """Blocks that so many pixels reach into at most."""
    return math.ceil((length - 1) / block) + 1
