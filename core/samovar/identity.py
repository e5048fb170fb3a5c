"""Identity: names of objects that come from their pixels, never from the order in which they came.

A name says where an object's pixels lie in the whole image and which they are. It is the same for
any extent that was asked for, any tiles, workers and order, whatever else is found beside it, and
whether a prompt or a generator found it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from samovar.grid import Region

if TYPE_CHECKING:
    from samovar.objects import SegmentedObject

PIECE = 1 << 22
"""Pixels that are looked at together."""
DIGEST = 8
"""Bytes of a name. Two of a million objects share one by chance once in 40 million scenes."""


def name_of(item: SegmentedObject, origin: tuple[int, ...] | None = None) -> str:
    """Sixteen hexadecimal digits made of an object's pixels; empty for an object without any.

    Args:
        origin: of the image in the one that it was cut from (``Image.origin``).
    """
    if item.empty:
        return ""
    region = item.region
    place = region if origin is None else region.shift(origin)
    digest = hashlib.blake2b(repr((place.start, place.stop)).encode(), digest_size=DIGEST)
    if item.bits:
        digest.update(item.bits)
    else:
        # a large object's pieces lie on disk
        for rows in _strips(region):
            digest.update(np.packbits(item.window(rows)).tobytes())
    return digest.hexdigest()


class Names:
    """Names that are given once: a second object of the very same pixels gets another.

    Only prompts give such objects, two on one house. The first of them has the plain name, in the
    order of the prompts' views, from the top row down.
    """

    def __init__(self, origin: tuple[int, ...] | None) -> None:
        self._origin = origin
        self._given: dict[str, tuple[int, int]] = {}

    def of(self, item: SegmentedObject) -> str:
        """The name of one more object."""
        name = name_of(item, self._origin)
        if not name:
            return name
        count, _ = self._given.get(name, (0, 0))
        self._given[name] = count + 1, item.region.stop[0]
        if not count:
            return name
        return hashlib.blake2b(f"{name} {count}".encode(), digest_size=DIGEST).hexdigest()

    def forget(self, row: int) -> None:
        """No object that is still to come has a pixel above ``row``."""
        self._given = {n: known for n, known in self._given.items() if known[1] > row}


def _strips(region: Region) -> Iterator[Region]:
    """A region in strips of about PIECE pixels, whole rows."""
    first, last = region.start[0], region.stop[0]
    one = int(np.prod(region.shape[1:]))
    # eight rows are whole bytes, so that the strips' bits are those of the whole mask
    tall = max(8, PIECE // max(1, one) // 8 * 8)
    for row in range(first, last, tall):
        yield Region((row, *region.start[1:]), (min(row + tall, last), *region.stop[1:]))
