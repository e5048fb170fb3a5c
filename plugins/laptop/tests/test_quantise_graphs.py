"""From a float graph to an int8 one: the same answers, integer kernels, no silent float."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from laptop_graphs import HEADER
from onnx.parser import parse_model
from quantise_graphs import attentive, convolutional, error, run

from samovar.errors import BundleError
from samovar_laptop.quantise.attention import attentions, rounded_softmax
from samovar_laptop.quantise.calibrate import Calibration
from samovar_laptop.quantise.kernels import onnxruntime_kernels, openvino_kernels
from samovar_laptop.quantise.places import find_places
from samovar_laptop.quantise.prepare import prepared
from samovar_laptop.quantise.ptq import Recipe, gains, models


def pictures(count: int = 4):
    rng = np.random.default_rng(3)
    return [{"image": rng.normal(size=(1, 3, 32, 32)).astype(np.float32)} for _ in range(count)]


def token_rows(count: int = 4):
    rng = np.random.default_rng(4)
    return [{"tokens": rng.normal(size=(1, 64, 32)).astype(np.float32)} for _ in range(count)]


def calibrated(path, feeds, **options) -> Calibration:
    calibration = Calibration(path, threads=1, **options)
    for one in feeds:
        calibration.see(one)
    return calibration


def int8(path, feeds, recipe: Recipe = Recipe(percentile=100), **options):
    return models({"encoder": calibrated(path, feeds, **options)}, recipe)["encoder"]


@pytest.fixture
def graph(folder):
    return convolutional(folder / "graph.onnx")


def test_preparing_changes_no_number(graph):
    ready = prepared(graph)
    kinds = {n.op_type for n in ready.nodes}
    assert "BatchNormalization" not in kinds
    assert "ConvTranspose" not in kinds
    assert "DepthToSpace" in kinds
    feeds = pictures(1)[0]
    before, after = run(graph, feeds), run(ready.proto(), feeds)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-5)


def test_a_file_that_is_no_graph_is_named(folder):
    (folder / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"bad\.onnx"):
        prepared(folder / "bad.onnx")


def test_int8_answers_as_float_does(graph):
    feeds = pictures()
    model = int8(graph, feeds)
    onnx.checker.check_model(model, full_check=True)
    before, after = run(graph, feeds[0]), run(model, feeds[0])
    assert set(before) == set(after)
    for name in before:
        assert 0 < error(before[name], after[name]) < 0.04, name


def test_weights_are_stored_in_int8_and_nothing_is_signed_that_should_not_be(graph):
    model = int8(graph, pictures())
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    large = [t for t in model.graph.initializer if np.prod(t.dims) > 100]
    assert large
    assert all(t.data_type == onnx.TensorProto.INT8 for t in large)
    activations = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert activations
    assert all(kinds[n.input[2]] == onnx.TensorProto.UINT8 for n in activations)


def test_every_convolution_is_an_integer_kernel_in_onnx_runtime(graph, folder):
    onnx.save(int8(graph, pictures()), folder / "int8.onnx")
    found = onnxruntime_kernels(folder / "int8.onnx")
    assert found.integer["QLinearConv"] == 6  # the upscaling is one of them
    assert found.integer["QLinearAdd"] == 1
    assert found.floating == ()
    assert found.products == 6


def test_the_float_graph_has_none(graph):
    found = onnxruntime_kernels(graph)
    assert found.integer == {}
    assert len(found.floating) == 6


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_every_convolution_is_an_integer_kernel_in_openvino(graph, folder):
    onnx.save(int8(graph, pictures()), folder / "int8.onnx")
    found = openvino_kernels(folder / "int8.onnx")
    assert found.floating == ()
    assert sum(found.integer.values()) == 6


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_both_runtimes_read_the_same_graph(graph, folder):
    from samovar_laptop.openvino_runtime import OpenvinoRuntime

    feeds = pictures()
    onnx.save(int8(graph, feeds), folder / "int8.onnx")
    there = OpenvinoRuntime().load(folder / "int8.onnx", threads=1, precision="int8")
    before, after = run(folder / "int8.onnx", feeds[0]), there.run(feeds[0])
    for name in before:
        assert error(before[name], after[name]) < 0.03  # ties are rounded either way


def test_nodes_may_be_kept_in_float_by_name(graph, folder):
    onnx.save(int8(graph, pictures(), keep=("second",)), folder / "int8.onnx")
    found = onnxruntime_kernels(folder / "int8.onnx")
    assert len(found.floating) == 2  # with the one that feeds it
    assert found.integer["QLinearConv"] == 4


def test_seven_bits_are_seven_bits(graph):
    model = int8(graph, pictures(), Recipe(percentile=100, bits=7))
    whole = [
        onnx.numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4
    ]
    assert len(whole) == 6
    assert max(int(np.abs(w.astype(int)).max()) for w in whole) == 63


def test_attention_stays_in_float_by_default(folder):
    path = attentive(folder / "a.onnx")
    onnx.save(int8(path, token_rows()), folder / "int8.onnx")
    found = onnxruntime_kernels(folder / "int8.onnx")
    assert found.products == 4  # q, k, v and the output
    assert found.floating == ()
    assert error(*(run(p, token_rows()[0])["mixed"] for p in (path, folder / "int8.onnx"))) < 0.03


def test_uint8_attention_is_fused(folder):
    path = attentive(folder / "a.onnx")
    onnx.save(int8(path, token_rows(), way="uint8"), folder / "int8.onnx")
    assert onnxruntime_kernels(folder / "int8.onnx").products == 6


def test_keys_with_two_humps_get_one_and_nothing_else_changes(folder):
    path = attentive(folder / "a.onnx")
    plain = calibrated(path, token_rows())
    changed = calibrated(path, token_rows(), way="ptq4sam")
    weights = plain.graph.constants["k.weight"], changed.graph.constants["k.weight"]
    flipped = np.flatnonzero((weights[0] == -weights[1]).all(axis=0))
    assert flipped.tolist() == [i for i in range(32) if i % 2 == 0]
    queries = plain.graph.constants["q.weight"], changed.graph.constants["q.weight"]
    assert np.flatnonzero((queries[0] == -queries[1]).all(axis=0)).tolist() == flipped.tolist()
    np.testing.assert_array_equal(
        plain.graph.constants["v.weight"], changed.graph.constants["v.weight"]
    )
    wide = calibrated(path, token_rows(), way="uint8").scales(100)
    name = changed.places.scale_of(attentions(prepared(path))[0].keys)
    assert changed.scales(100)[name].step < 0.75 * wide[name].step


def test_ptq4sam_answers_as_float_does(folder):
    path = attentive(folder / "a.onnx")
    model = int8(path, token_rows(), way="ptq4sam")
    assert error(run(path, token_rows()[0])["mixed"], run(model, token_rows()[0])["mixed"]) < 0.05
    assert {"Log", "Round", "Exp"} <= {n.op_type for n in model.graph.node}


def test_softmax_in_powers_of_two():
    share = np.array([1.0, 0.5, 0.3, 1e-9, 0.0], np.float32)
    one = rounded_softmax(share, 1)
    np.testing.assert_allclose(one[:3], [1, 0.5, 0.25])
    fine = rounded_softmax(share, 16)
    assert abs(fine[2] - 0.3) < 0.3 * 0.03
    assert one[4] < 1e-20


def test_a_graph_that_gains_nothing_is_seen(graph):
    calibration = calibrated(graph, pictures())
    same = onnx.load(str(graph))
    assert 0.4 < gains(calibration, same, 1) < 2.5


APART = """
apart (float[1,16,8,8] x) => (float[1,1,8,8] y)
<int64[1] axis = {1}>
{
  first = Conv<kernel_shape=[1,1]>(x, mix)
  there = Relu(first)
  each = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=16>(there, own)
  y = ReduceSum<keepdims=1>(each, axis)
}
"""


def test_a_convolution_channel_by_channel_that_is_summed_stays_in_float(folder):
    model = parse_model(HEADER + APART)
    rng = np.random.default_rng(0)
    for name, shape in (("mix", (16, 16, 1, 1)), ("own", (16, 1, 3, 3))):
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, folder / "apart.onnx")
    graph = prepared(folder / "apart.onnx")
    places = find_places(graph, {node.name: 100 for node in graph.nodes})
    first, apart = (n.name for n in graph.nodes if n.op_type == "Conv")
    assert list(places.left) == [apart]
    assert "summed" in places.left[apart]
    assert first in places.inputs
