"""Unpacking gzip and zlib streams to their end, so that their checksums are seen."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from samovar.errors import InputError

_GZIP_OR_ZLIB = 47
_CHUNK = 1 << 18


def unpacked(path: str, file: Path, offset: int, promised: int) -> Iterator[bytes]:
    """Content of a compressed stream, piece by piece; several members are one content.

    Args:
        path: what the user gave, for the message.
        file: holds the stream from byte ``offset`` on.
        promised: bytes that are wanted; what follows them after the end of a member is ignored.

    Raises:
        InputError: the stream is damaged, or ends before its end.
    """
    count, unpacker = 0, zlib.decompressobj(_GZIP_OR_ZLIB)
    with file.open("rb") as packed:
        packed.seek(offset)
        while chunk := packed.read(_CHUNK):
            while chunk and not (unpacker.eof and count >= promised):
                if unpacker.eof:
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                try:
                    piece = unpacker.decompress(chunk)
                except zlib.error as error:
                    raise InputError(
                        f"{path}: its compressed data are damaged: copy or export it again"
                    ) from error
                count += len(piece)
                yield piece
                chunk = unpacker.unused_data
    if not unpacker.eof:
        raise InputError(
            f"{path}: is truncated (its compressed data end early): copy or export it again"
        )
