"""Parts at rest: what one tile says, as bytes, for the spool, the ledger and other machines."""

from __future__ import annotations

import struct
import tempfile
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np

from samovar.errors import SamovarError
from samovar.grid import Region
from samovar.link import Part
from samovar.masks import PixelMask
from samovar.view import View

_HEAD = struct.Struct("<4q3q2dI")
"""Region start and stop, id, class, pixels, quality, stability, bytes of the mask."""


@dataclass(frozen=True, eq=False)
class RestingPart:
    """A part of a 2-D object whose mask is kept small: one bit a pixel, deflated."""

    region: Region
    id: int
    """The prompted object's id; 0 for parts that nobody asked for by number."""
    class_id: int
    pixels: int
    quality: float
    stability: float
    bits: bytes

    @classmethod
    def of(cls, part: Part) -> RestingPart:
        mask = part.mask
        return cls(
            mask.region,
            part.id,
            part.class_id,
            int(np.count_nonzero(mask.inside)),
            part.quality,
            part.stability,
            deflate(mask),
        )

    @property
    def mask(self) -> PixelMask:
        return inflate(self.region, self.bits)


def below(part: RestingPart, row: int) -> RestingPart:
    """What of a part lies in ``row`` and the rows after it."""
    if part.region.start[0] >= row:
        return part
    mask = part.mask
    inside = mask.inside[row - mask.region.start[0] :]
    kept = PixelMask.of(inside, (max(row, mask.region.start[0]), mask.region.start[1]))
    return replace(
        part,
        region=kept.region,
        pixels=int(np.count_nonzero(kept.inside)),
        bits=deflate(kept),
    )


def deflate(mask: PixelMask) -> bytes:
    """The pixels of a mask, one bit each, compressed."""
    return zlib.compress(np.packbits(mask.inside).tobytes(), 1)


def inflate(region: Region, bits: bytes) -> PixelMask:
    """The mask over ``region`` whose pixels :func:`deflate` kept."""
    size = int(np.prod(region.shape))
    flat = np.unpackbits(np.frombuffer(zlib.decompress(bits), dtype=np.uint8), count=size)
    return PixelMask(region, flat.view(bool).reshape(region.shape))


def to_bytes(parts: Sequence[RestingPart]) -> bytes:
    """Parts of one tile as one string of bytes; the same parts give the same bytes."""
    chunks = []
    for p in parts:
        numbers = (*p.region.start, *p.region.stop, p.id, p.class_id, p.pixels)
        chunks.append(_HEAD.pack(*numbers, p.quality, p.stability, len(p.bits)))
        chunks.append(p.bits)
    return b"".join(chunks)


def from_bytes(data: bytes) -> list[RestingPart]:
    """What :func:`to_bytes` was given.

    Raises:
        SamovarError: the bytes were cut short.
    """
    parts, at = [], 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise SamovarError("a tile's result is damaged: run again with --overwrite")
        y0, x0, y1, x1, id, class_id, pixels, quality, stability, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        bits = data[at : at + size]
        at += size
        region = Region((y0, x0), (y1, x1))
        parts.append(RestingPart(region, id, class_id, pixels, quality, stability, bits))
    return parts


class Spill:
    """A temporary file for masks that would take too much memory; gone with the object."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0
        self._lock = threading.Lock()

    def put(self, data: bytes) -> tuple[int, int]:
        """Keep bytes; returns where they are.

        Raises:
            OSError: the disk is full.
        """
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="samovar-")  # noqa: SIM115
            self._file.seek(self._end)
            self._file.write(data)
            place = self._end, len(data)
            self._end += len(data)
            return place

    def get(self, place: tuple[int, int]) -> bytes:
        with self._lock:
            assert self._file is not None
            self._file.seek(place[0])
            return self._file.read(place[1])

    def clear(self) -> None:
        """Forget everything that was kept."""
        with self._lock:
            if self._file is not None:
                self._file.seek(0)
                self._file.truncate()
            self._end = 0

    def __len__(self) -> int:
        return self._end


def stands_cut(region: Region, view: View, image: Region) -> bool:
    """Whether something reaches an edge of its view beyond which the image goes on."""
    return any(
        (a <= low and low > edge0) or (b >= high and high < edge1)
        for a, b, low, high, edge0, edge1 in zip(
            region.start,
            region.stop,
            view.region.start,
            view.region.stop,
            image.start,
            image.stop,
            strict=True,
        )
    )
