"""Graph sizes: parameters and multiply-accumulates of ONNX graphs, counted one way for everything.

Parameters are the elements of a graph's floating-point and 8-bit tensors. Multiply-accumulates are
those of Conv, ConvTranspose, Gemm, MatMul and Einsum (attention products included), by the true
shapes of one run: a ``Shape`` node is hung on each of their arrays, in a copy of the graph. Nothing
needs the onnx package: protobuf lets fields be appended to a message that is already written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from samovar.errors import BundleError
from samovar.graphs import external_files, fields_of
from samovar.protocols import Runtime

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum")
_WEIGHT_TYPES = (1, 2, 3, 10, 11, 16)
"""float, uint8, int8, float16, double, bfloat16 in onnx.TensorProto."""
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 7, 1, 5, 12
_PREFIX = "samovar/shape/"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """What is read of an operation."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    equation: str = ""


def parameters(graph: Path) -> int:
    """Elements of the tensors stored in a graph (or beside it). Raises BundleError."""
    return sum(prod(dims) for kind, dims in _tensors(graph) if kind in _WEIGHT_TYPES)


def gmac(graph: Path, feeds: Mapping[str, NDArray[Any]], runtime: Runtime) -> float:
    """Billions of multiply-accumulates of one run on ``feeds``.

    Raises:
        BundleError: the graph cannot be read or loaded.
        PluginError: it fails to run.
    """
    counted = [node for node in _nodes(graph) if node.kind in COUNTED]
    if not counted:
        return 0.0
    watched = list(dict.fromkeys(n for c in counted for n in (*c.inputs[:2], c.outputs[0])))
    with tempfile.TemporaryDirectory(prefix="samovar-") as folder:
        copy = _copy_with_shapes(graph, watched, Path(folder))
        names = [_PREFIX + name for name in watched]
        loaded = runtime.load(copy, threads=1)
        found = loaded.run({n: feeds[n] for n in loaded.inputs}, names)
        shapes = {
            name: tuple(int(v) for v in found[n]) for name, n in zip(watched, names, strict=True)
        }
        del loaded
    return sum(macs(node, shapes) for node in counted) / 1e9


def macs(node: Node, shapes: Mapping[str, Shape]) -> int:
    """Multiply-accumulates of one operation, its bias left out."""
    first, second = (shapes[name] for name in node.inputs[:2])
    out = shapes[node.outputs[0]]
    if node.kind == "Conv":
        return prod(out) * prod(second[1:])
    if node.kind == "ConvTranspose":
        return prod(first) * prod(second[1:])
    if node.kind == "Gemm":
        return prod(first) * out[1]
    if node.kind == "MatMul":
        return prod(out) * first[-1]
    letters = node.equation.replace(" ", "").partition("->")[0].split(",")
    sizes = dict(zip("".join(letters), (*first, *second), strict=True))
    return prod(sizes.values())


def _copy_with_shapes(graph: Path, names: Sequence[str], folder: Path) -> Path:
    """A copy whose further outputs are the shapes of ``names``."""
    copy = folder / graph.name
    shutil.copyfile(graph, copy)
    for beside in external_files(graph):
        (folder / beside).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(graph.parent / beside, folder / beside)
        except OSError:
            shutil.copyfile(graph.parent / beside, folder / beside)
    more = b"".join(_shape_node(name) + _shape_output(name) for name in names)
    with copy.open("ab") as stream:
        stream.write(_message(_MODEL_GRAPH, more))
    return copy


def _shape_node(name: str) -> bytes:
    """NodeProto: input 1, output 2, name 3, op_type 4."""
    parts = ((1, name), (2, _PREFIX + name), (3, _PREFIX + name), (4, "Shape"))
    return _message(_GRAPH_NODE, b"".join(_message(n, t.encode()) for n, t in parts))


def _shape_output(name: str) -> bytes:
    """ValueInfoProto: name 1, type 2 {tensor_type 1 {elem_type 1: int64}}."""
    int64 = _message(2, _message(1, b"\x08\x07"))
    return _message(_GRAPH_OUTPUT, _message(1, (_PREFIX + name).encode()) + int64)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _nodes(graph: Path) -> Iterator[Node]:
    for content in _parts(graph, _GRAPH_NODE):
        kind, equation, inputs, outputs = "", "", [], []
        for number, part in content:
            if isinstance(part, int):
                continue
            if number == 1:
                inputs.append(bytes(part).decode())
            elif number == 2:
                outputs.append(bytes(part).decode())
            elif number == 4:
                kind = bytes(part).decode()
            elif number == 5:
                named = {n: bytes(p) for n, p in fields_of(part) if not isinstance(p, int)}
                if named.get(1) == b"equation":
                    equation = named.get(4, b"").decode()
        yield Node(kind, tuple(inputs), tuple(outputs), equation)


def _tensors(graph: Path) -> Iterator[tuple[int, Shape]]:
    """Data type and dimensions of every initialiser."""
    for content in _parts(graph, _GRAPH_INITIALIZER):
        kind, dims = 0, []
        for number, part in content:
            if number == 2 and isinstance(part, int):
                kind = part
            elif number == 1:
                dims += [part] if isinstance(part, int) else list(_packed(part))
        yield kind, tuple(dims)


def _packed(part: memoryview) -> Iterator[int]:
    value = shift = 0
    for byte in part:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def _parts(graph: Path, wanted: int) -> Iterator[list[tuple[int, int | memoryview]]]:
    """Fields of each message ``wanted`` in the graph of a model file."""
    try:
        data = memoryview(graph.read_bytes())
        for number, part in fields_of(data):
            if number == _MODEL_GRAPH and not isinstance(part, int):
                for inner, content in fields_of(part):
                    if inner == wanted and not isinstance(content, int):
                        yield list(fields_of(content))
    except (OSError, ValueError, IndexError) as error:
        raise BundleError(f"{graph}: not an ONNX graph ({error}): export it again") from error
