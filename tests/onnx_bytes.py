"""Bytes of tiny ONNX files, written by hand: field numbers of onnx.proto."""

from __future__ import annotations


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(location: str) -> bytes:
    """A TensorProto whose data lies in another file."""
    entry = field(1, b"location") + field(2, location.encode())
    return field(8, b"w") + field(13, entry)


def graph_bytes(external: str | None = None) -> bytes:
    """A ModelProto with an ir_version and an empty graph, or one external initializer."""
    graph = field(2, b"g") + (field(5, tensor(external)) if external else b"")
    return varint(1 << 3) + varint(8) + field(7, graph)
