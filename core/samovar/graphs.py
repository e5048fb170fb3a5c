"""Graphs: which other files an ONNX graph would read, found without the onnx package.

An ONNX file may keep tensors in files beside it ("external data"), under any path that its maker
wrote. A bundle must know them all, so the protobuf is walked just far enough to list them.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from samovar.errors import BundleError

# Field numbers of onnx.proto: message → {field: message inside}
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}  # fmt: skip
_DEEPEST = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_files(graph: Path) -> frozenset[str]:
    """Locations of external tensor data that the graph names, as written in it.

    Raises:
        BundleError: the file is not an ONNX graph, or is cut short.
    """
    if graph.stat().st_size == 0:
        raise BundleError(f"{graph}: the graph is empty: copy the bundle again")
    with graph.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return frozenset(_locations(data, 0, len(data), "model", 0))
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise BundleError(
                f"{graph}: not an ONNX graph, or cut short ({error}): export it again"
            ) from error


def _locations(data: mmap.mmap, at: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    inside = _MESSAGES[message]
    for number, start, stop in _fields(data, at, end):
        kind = inside.get(number)
        if kind == "entry":
            parts = {n: data[a:b] for n, a, b in _fields(data, start, stop)}
            if parts.get(1) == b"location":
                yield parts.get(2, b"").decode("utf-8")
        elif kind is not None:
            yield from _locations(data, start, stop, kind, depth + 1)


def fields_of(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and content of each field of a protobuf message: whole numbers, or bytes.

    Fixed-width fields are left out. Raises ValueError or IndexError for bytes that are none.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field reaches beyond the end")
            yield key >> 3, data[at : at + size]
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("unknown wire type")


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Field number, start and stop of each length-delimited field."""
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field reaches beyond the end")
            yield key >> 3, at, at + size
            at += size
        elif wire == _VARINT:
            _, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("unknown wire type")
    if at != end:
        raise ValueError("a field reaches beyond the end")


def _varint(data: mmap.mmap | memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")
