"""``--runtime auto``: timed once, remembered, said; never a precision that did not pass."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from graph_fakes import FakeClassicDecoder
from samovar import choice
from samovar.bundle import Bundle
from samovar.errors import BundleError, DependencyError, PluginError, UsageError
from samovar.folders import cache_folder
from samovar.models import load_model
from samovar.plugins import registry, reset
from samovar.protocols import RuntimeInfo
from samovar.specs import RuntimeSpec
from test_bundle import write_bundle
from test_bundle_precisions import write_with_int8
from test_models import FakeEncoder, plugin

SECONDS: dict[tuple[str, str], float] = {}
"""(runtime, precision) → what one picture takes on the clock of these tests."""
LOADED: list[tuple[str, str, str]] = []
CLOCK = [0.0]


class Encoder(FakeEncoder):
    def __init__(self, runtime, precision):
        super().__init__()
        self.info = RuntimeInfo(runtime, "1.0", "cpu", precision, 1, "none")

    def compute(self, feeds):
        taken = SECONDS[self.info.runtime, self.info.precision]
        if taken < 0:
            raise PluginError(f"{self.info.runtime} fell over")
        CLOCK[0] += taken
        return super().compute(feeds)


class Runtime:
    name = ""

    def devices(self):
        return ("cpu",)

    def load(self, graph, *, threads=None, device="cpu", precision=""):
        LOADED.append((self.name, precision, graph.name))
        if graph.name.startswith("encoder"):
            if (self.name, precision) not in SECONDS:
                raise BundleError(f"{self.name} cannot load it")
            return Encoder(self.name, precision)
        return FakeClassicDecoder()


class First(Runtime):
    name = "onnxruntime"


class Second(Runtime):
    name = "openvino"


FIRST = RuntimeSpec(
    name="onnxruntime", target="test_choice:First", precisions=("fp32", "int8"), requires=("numpy",)
)
SECOND = RuntimeSpec(name="openvino", target="test_choice:Second", precisions=("fp32", "int8"))


@pytest.fixture
def both(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "nobody")
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "test_choice", sys.modules[__name__])
    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=lambda: CLOCK[0]))
    reset()
    LOADED.clear()
    SECONDS.clear()
    SECONDS.update({("onnxruntime", "fp32"): 0.4, ("openvino", "fp32"): 0.1})
    registry().register(plugin(samovar_runtimes=[FIRST, SECOND]), "acme")
    yield
    reset()


def used(model):
    return model.runtime_info.runtime, model.runtime_info.precision


def test_the_faster_runs_and_the_manifest_says_why(both, tmp_path):
    model = load_model(write_bundle(tmp_path / "b"), runtime="auto")
    assert used(model) == ("openvino", "fp32")
    said = model.describe()["runtime_choice"]
    assert said["asked"] == "auto"
    assert said["why"].startswith("acme/openvino in fp32 0.1 s; acme/onnxruntime in fp32 0.4 s for")
    assert not said["remembered"]
    assert [t["encode_s"] for t in said["timings"]] == [pytest.approx(0.4), pytest.approx(0.1)]
    json.dumps(said)


def test_without_being_asked_nothing_is_timed_and_the_first_runs(both, tmp_path):
    model = load_model(write_bundle(tmp_path / "b"))
    assert used(model) == ("onnxruntime", "fp32")
    assert "runtime_choice" not in model.describe()
    assert not (cache_folder() / "timings").exists()


def test_it_is_timed_once_and_remembered(both, tmp_path):
    folder = write_bundle(tmp_path / "b")
    first = load_model(folder, runtime="auto")
    SECONDS["openvino", "fp32"] = 9.0  # a busy moment later changes nothing
    LOADED.clear()
    second = load_model(folder, runtime="auto")
    assert used(second) == used(first) == ("openvino", "fp32")
    assert {name for name, _, _ in LOADED} == {"openvino"}
    said = second.describe()["runtime_choice"]
    assert said["remembered"]
    assert said["timings"] == first.describe()["runtime_choice"]["timings"]


@pytest.mark.parametrize("change", ["threads", "weights", "processor", "version", "corrupt"])
def test_what_a_timing_depends_on_makes_it_time_again(both, tmp_path, monkeypatch, change):
    folder, threads = write_bundle(tmp_path / "b"), 1
    load_model(folder, runtime="auto", threads=threads)
    SECONDS["openvino", "fp32"] = 9.0
    if change == "threads":
        threads = 2
    elif change == "weights":
        folder = write_with_int8(tmp_path / "c")
        (folder / "encoder.onnx").write_bytes((folder / "encoder.int8.onnx").read_bytes())
        record = json.loads((folder / "bundle.json").read_text())
        record["files"]["encoder.onnx"] = record["files"]["encoder.int8.onnx"]
        (folder / "bundle.json").write_text(json.dumps(record))
    elif change == "processor":
        monkeypatch.setattr(choice, "processor_name", lambda: "another")
    elif change == "version":
        monkeypatch.setattr(choice, "_version", lambda name: f"{name} 99")
    else:
        [file] = (cache_folder() / "timings").glob("*.json")
        file.write_text(file.read_text()[:100])
    model = load_model(folder, runtime="auto", threads=threads)
    assert used(model) == ("onnxruntime", "fp32")
    assert not model.describe()["runtime_choice"]["remembered"]


def test_noise_does_not_change_the_runtime(both, tmp_path):
    SECONDS["openvino", "fp32"] = 0.4 * 0.97
    assert used(load_model(write_bundle(tmp_path / "b"), runtime="auto"))[0] == "onnxruntime"


def test_with_one_runtime_there_is_nothing_to_time(both, tmp_path):
    reset()
    registry().register(plugin(samovar_runtimes=[SECOND]), "acme")
    model = load_model(write_bundle(tmp_path / "b"), runtime="auto")
    assert used(model) == ("openvino", "fp32")
    assert "nothing else can run it here" in model.describe()["runtime_choice"]["why"]
    assert not (cache_folder() / "timings").exists()


def test_with_no_runtime_the_pip_command_is_named(both, tmp_path):
    reset()
    with pytest.raises(DependencyError, match="pip install samovar-laptop"):
        load_model(write_bundle(tmp_path / "b"), runtime="auto")


@pytest.mark.parametrize("how", ["does not load", "does not run"])
def test_one_that_fails_is_passed_over_and_said(both, tmp_path, how):
    if how == "does not load":
        del SECONDS["openvino", "fp32"]
    else:
        SECONDS["openvino", "fp32"] = -1
    model = load_model(write_bundle(tmp_path / "b"), runtime="auto")
    assert used(model) == ("onnxruntime", "fp32")
    said = model.describe()["runtime_choice"]
    assert "acme/openvino in fp32 failed" in said["why"]
    assert [bool(t["failed"]) for t in said["timings"]] == [False, True]


def test_when_all_fail_the_first_one_s_reason_is_given(both, tmp_path):
    SECONDS.clear()
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        load_model(write_bundle(tmp_path / "b"), runtime="auto")
    assert not (cache_folder() / "timings").exists()


GOOD = {"passed": True}


@pytest.mark.parametrize(
    ("int8", "gate", "wanted"),
    [
        (0.05, GOOD, ("onnxruntime", "int8")),
        (0.3, GOOD, ("openvino", "fp32")),  # slower than what is there
        (0.098, GOOD, ("openvino", "fp32")),  # faster by less than what noise does
        (0.05, {"passed": False}, ("openvino", "fp32")),
        (0.05, None, ("openvino", "fp32")),
    ],
)
def test_int8_runs_where_it_is_faster_and_passed_its_gate(both, tmp_path, int8, gate, wanted):
    SECONDS.update({("onnxruntime", "int8"): int8, ("openvino", "int8"): 2.0})
    entry = {} if gate is None else {"gate": gate}
    folder = write_with_int8(tmp_path / "b", **entry)
    if gate is None:
        record = json.loads((folder / "bundle.json").read_text())
        del record["precisions"]["int8"]["gate"]
        (folder / "bundle.json").write_text(json.dumps(record))
    model = load_model(folder, runtime="auto")
    assert used(model) == wanted
    said = model.describe()
    if gate == GOOD:
        assert len(said["runtime_choice"]["timings"]) == 4
    else:
        assert "int8 has not passed its gate" in said["runtime_choice"]["why"]
        assert ("onnxruntime", "int8", "encoder.int8.onnx") not in LOADED
    assert ("gate" in said) == (wanted[1] == "int8")


def test_a_precision_that_is_asked_for_runs_and_its_gate_is_recorded(both, tmp_path):
    SECONDS.update({("onnxruntime", "int8"): 0.05})
    folder = write_with_int8(tmp_path / "b", gate={"passed": False, "rule": "r"})
    model = load_model(folder, precision="int8")
    assert used(model) == ("onnxruntime", "int8")
    assert model.describe()["gate"] == {"passed": False, "rule": "r", "table": {}}
    assert model.weights_hash != load_model(folder).weights_hash
    [embedding] = model.encode([np.zeros((3, 10, 20), dtype=np.float32)])
    assert embedding.model.endswith("+int8")


def test_by_default_a_bundle_runs_in_its_own_precision(both, tmp_path):
    SECONDS.update({("onnxruntime", "int8"): 0.001})
    assert used(load_model(write_with_int8(tmp_path / "b"))) == ("onnxruntime", "fp32")


def test_auto_keeps_to_a_precision_that_is_named(both, tmp_path):
    SECONDS.update({("onnxruntime", "int8"): 0.3, ("openvino", "int8"): 0.2})
    model = load_model(write_with_int8(tmp_path / "b"), runtime="auto", precision="int8")
    assert used(model) == ("openvino", "int8")
    with pytest.raises(UsageError, match="has precision fp32, int8, bf16, not fp16"):
        load_model(tmp_path / "b", runtime="auto", precision="fp16")


def test_the_workload_is_the_same_every_time_and_fits_the_model(tmp_path):
    bundle = Bundle.load(write_bundle(tmp_path / "b"))
    picture, prompts = choice.workload(bundle)
    again, _ = choice.workload(bundle)
    np.testing.assert_array_equal(picture, again)
    assert picture.shape == (3, 64, 96)
    assert len(prompts) == choice.OBJECTS
    for prompt in prompts:
        x0, y0, x1, y1 = prompt.box
        assert 0 <= x0 < x1 <= 96
        assert 0 <= y0 < y1 <= 64
    points = Bundle.load(write_bundle(tmp_path / "p", prompts={"kinds": ["point"]}))
    assert all(p.points and p.box is None for p in choice.workload(points)[1])
