"""Finding external tensor files in an ONNX graph without the onnx package."""

from __future__ import annotations

import pytest

from onnx_bytes import field, graph_bytes, tensor
from samovar.errors import BundleError
from samovar.graphs import external_files


def write(path, content: bytes):
    path.write_bytes(content)
    return path


def test_a_graph_without_external_data_names_nothing(tmp_path):
    assert external_files(write(tmp_path / "a.onnx", graph_bytes())) == frozenset()


def test_locations_are_found_wherever_a_tensor_may_stand(tmp_path):
    constant = field(5, tensor("in-attribute.bin"))  # attribute.t
    node = field(5, constant)
    branch = field(6, field(5, tensor("in-branch.bin")))  # attribute.g → graph.initializer
    sparse = field(1, tensor("in-sparse.bin"))
    graph = (
        field(5, tensor("in-initializer.bin"))
        + field(1, node)
        + field(1, field(5, branch))
        + field(15, sparse)
    )
    function = field(25, field(7, field(5, field(5, tensor("in-function.bin")))))
    model = field(7, graph) + function
    assert external_files(write(tmp_path / "a.onnx", model)) == {
        "in-attribute.bin", "in-branch.bin", "in-sparse.bin", "in-initializer.bin",
        "in-function.bin",
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\x3a\xff\xff\x03abc", b"not a graph at all", b"\x3a"])
def test_what_is_no_graph_is_named(tmp_path, content):
    with pytest.raises(BundleError, match=r"a\.onnx"):
        external_files(write(tmp_path / "a.onnx", content))


def test_endless_nesting_is_refused(tmp_path):
    inner = b""
    for _ in range(400):
        inner = field(1, field(5, field(6, inner)))
    with pytest.raises(BundleError, match="nested"):
        external_files(write(tmp_path / "a.onnx", field(7, inner)))
