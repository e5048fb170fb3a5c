"""Parameters and multiply-accumulates of graphs, against sums done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samovar.benchmark.graph_sizes import Node, gmac, macs, parameters
from samovar.bundle import Bundle
from samovar.errors import BundleError
from samovar.plugins import registry

onnx = pytest.importorskip("onnx", reason="onnx makes the graphs of these tests")

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,10,10] image, float[n,6] rows)
  => (float[1,8,10,10] a, float[n,5] b, float[1,2,20,20] c)
{
  a = Conv<group=2, pads=[1,1,1,1]>(image, w)
  b = Gemm<transB=1>(rows, m, bias)
  c = ConvTranspose<strides=[2,2]>(image, up)
}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    model = onnx.parser.parse_model(GRAPH)
    for name, shape in (("w", (8, 2, 3, 3)), ("m", (5, 6)), ("bias", (5,)), ("up", (4, 2, 2, 2))):
        array = np.ones(shape, dtype=np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.zeros(3, dtype=np.int64), "index")
    )
    path = tmp_path / "g.onnx"
    onnx.save(model, path)
    return path


def runtime():
    return registry().load(registry().find("runtime", "onnxruntime"))


def test_floating_tensors_are_counted_and_indices_are_not(graph):
    assert parameters(graph) == 8 * 2 * 9 + 30 + 5 + 32


def test_multiply_accumulates_follow_the_shapes_of_the_run(graph):
    conv, transposed = 8 * 100 * 2 * 9, 4 * 100 * 2 * 4
    for rows in (1, 7):
        feeds = {
            "image": np.zeros((1, 4, 10, 10), np.float32), "rows": np.zeros((rows, 6), np.float32)
        }  # fmt: skip
        assert gmac(graph, feeds, runtime()) * 1e9 == pytest.approx(conv + transposed + rows * 30)


def test_products_and_einsums():
    shapes = {
        "a": (2, 3, 4, 5),
        "b": (2, 3, 5, 6),
        "o": (2, 3, 4, 6),
        "q": (3, 4, 7),
        "r": (4, 9, 7),
    }
    assert macs(Node("MatMul", ("a", "b"), ("o",)), shapes) == 2 * 3 * 4 * 6 * 5
    einsum = Node("Einsum", ("q", "r"), ("o",), "bhc, hkc -> bhk")
    assert macs(einsum, shapes) == 3 * 4 * 7 * 9


def test_the_bundled_model_costs_what_its_bundle_says():
    """The figure there is torch's count of the module, attention products included."""
    import samovar_laptop

    bundle = Bundle.read(Path(samovar_laptop.__file__).parent / "bundles" / "tiny")
    size = bundle.preparation.encode_size
    feeds = {"image": np.zeros((1, 3, *size), np.float32)}
    assert gmac(bundle.graph("encoder"), feeds, runtime()) == pytest.approx(
        bundle.encoder_gmac, abs=0.002
    )
    counted = sum(parameters(bundle.graph(r)) for r in bundle.roles)
    assert counted == pytest.approx(bundle.parameters, rel=0.1)


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x3a\x80\x80", b"\x3a\x04\x0a\x7f\x00\x00"])
def test_what_is_no_graph_is_named(tmp_path, content):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"x\.onnx"):
        parameters(path)
