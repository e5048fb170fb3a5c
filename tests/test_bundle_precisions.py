"""Graphs of a model in several precisions, in one bundle."""

from __future__ import annotations

import copy
import json

import pytest

from onnx_bytes import graph_bytes
from samovar.bundle import Bundle
from samovar.bundle_files import sha256_of
from samovar.errors import BundleError
from test_bundle import write_bundle

GATE = {
    "passed": True,
    "rule": "Dice within 0.01",
    "table": {"ct": {"fp32": 0.84, "int8": 0.83}},
}


def write_with_int8(folder, **entry):
    """A bundle with a second encoder; ``entry`` replaces fields of its record."""
    write_bundle(folder)
    (folder / "encoder.int8.onnx").write_bytes(graph_bytes() + b"\x1a\x00\x1a\x00")
    record = json.loads((folder / "bundle.json").read_text())
    extra = folder / "encoder.int8.onnx"
    record["files"][extra.name] = {"sha256": sha256_of(extra), "bytes": extra.stat().st_size}
    own = {"roles": {"encoder": extra.name}, "gate": copy.deepcopy(GATE)}
    record["precisions"] = {"int8": {**own, **entry}}
    (folder / "bundle.json").write_text(json.dumps(record))
    return folder


def test_the_further_graphs_are_read_and_written_again(tmp_path):
    bundle = Bundle.load(write_with_int8(tmp_path / "b"))
    assert bundle.precision_names == ("fp32", "int8")
    assert bundle.precisions["int8"].passed
    assert bundle.precisions["int8"].gate.table["ct"]["int8"] == 0.83
    again = Bundle.from_document(json.loads(json.dumps(bundle.document())))
    assert again.document()["precisions"] == bundle.document()["precisions"]
    saved = bundle.save(tmp_path / "c", {name: bundle.folder / name for name in bundle.files})
    assert saved.precision_names == ("fp32", "int8")


def test_one_precision_has_its_graphs_and_those_that_it_shares(tmp_path):
    bundle = Bundle.load(write_with_int8(tmp_path / "b"))
    small = bundle.in_precision("int8")
    assert small.graph("encoder").name == "encoder.int8.onnx"
    assert small.graph("decoder") == bundle.graph("decoder")
    assert set(small.files) == {"encoder.int8.onnx", "decoder.onnx"}
    assert small.gate.passed
    assert (small.precision, small.precision_names) == ("int8", ("int8",))
    own = bundle.in_precision("fp32")
    assert set(own.files) == {"encoder.onnx", "decoder.onnx"}
    assert own.gate is None
    small.verify()
    own.verify()


def test_the_hash_is_of_what_runs(tmp_path):
    plain = Bundle.load(write_bundle(tmp_path / "a"))
    both = Bundle.load(write_with_int8(tmp_path / "b"))
    assert both.weights_hash == plain.weights_hash == both.in_precision("fp32").weights_hash
    assert both.in_precision("int8").weights_hash != plain.weights_hash


def test_without_a_gate_it_has_not_passed(tmp_path):
    folder = write_with_int8(tmp_path / "b")
    record = json.loads((folder / "bundle.json").read_text())
    del record["precisions"]["int8"]["gate"]
    (folder / "bundle.json").write_text(json.dumps(record))
    assert not Bundle.load(folder).precisions["int8"].passed


def test_a_changed_graph_of_any_precision_is_refused(tmp_path):
    folder = write_with_int8(tmp_path / "b")
    (folder / "encoder.int8.onnx").write_bytes(graph_bytes() + b"\x1a\x00\x1a\x01")
    with pytest.raises(BundleError, match=r"encoder\.int8\.onnx"):
        Bundle.load(folder)


def test_a_precision_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(BundleError, match="has fp32, int8, bf16, not fp16"):
        Bundle.load(write_with_int8(tmp_path / "b")).in_precision("fp16")


def test_a_converted_precision_runs_the_bundle_s_own_graphs_and_has_passed_no_gate(tmp_path):
    bundle = Bundle.load(write_with_int8(tmp_path / "b"))
    half = bundle.in_precision("bf16")
    assert half.roles == bundle.roles
    assert half.weights_hash == bundle.weights_hash
    assert half.precision == "bf16"
    assert not half.gate.passed
    with pytest.raises(BundleError, match="has int8, not bf16"):  # what is converted is fp32
        bundle.in_precision("int8").in_precision("bf16")


def test_a_converted_precision_may_name_its_gate_alone(tmp_path):
    folder = write_with_int8(tmp_path / "b")
    record = json.loads((folder / "bundle.json").read_text())
    record["precisions"]["bf16"] = {"roles": {}, "gate": GATE}
    (folder / "bundle.json").write_text(json.dumps(record))
    bundle = Bundle.load(folder)
    assert bundle.possible_precisions == ("fp32", "int8", "bf16")
    assert bundle.in_precision("bf16").gate.passed


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"roles": {"encoder": "other.onnx"}}, 'which "files" does not list'),
        ({"roles": {"encoder": "../e.onnx"}}, "leaves the bundle's folder"),
        ({"roles": {"mask_decoder": "encoder.int8.onnx"}}, 'mask_decoder, "roles" has not'),
        ({"gate": {"passed": "yes"}}, "\"precisions.int8.gate.passed\" is 'yes'"),
        ({"gate": {}}, "passed"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, entry, message):
    with pytest.raises(BundleError, match=message):
        Bundle.read(write_with_int8(tmp_path / "b", **entry))


def test_the_bundle_s_own_precision_has_no_second_entry(tmp_path):
    folder = write_with_int8(tmp_path / "b")
    record = json.loads((folder / "bundle.json").read_text())
    record["precisions"]["fp32"] = {"roles": {}}
    (folder / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(BundleError, match="own precision"):
        Bundle.read(folder)
