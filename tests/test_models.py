"""Names, folders, licences and runtimes: from a word to a model that works."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graph_fakes import INFO, FakeClassicDecoder, FakeGraph
from samovar import hookimpl
from samovar.errors import BundleError, DependencyError, PluginError, UsageError
from samovar.models import describe_model, list_models, load_model, verify_model
from samovar.plugins import registry, reset
from samovar.prompts import Prompt, Prompts
from samovar.specs import DecoderSpec, EncoderSpec, OptionSpec, RuntimeSpec
from test_bundle import write_bundle

LOADED: list[tuple] = []


class FakeEncoder(FakeGraph):
    def __init__(self):
        super().__init__(
            inputs={"image": (1, 3, 64, 96)},
            outputs={"image_embeddings": (1, 8, 4, 6), "features_s8": (1, 4, 8, 12)},
        )

    def compute(self, feeds):
        return {
            "image_embeddings": np.zeros((1, 8, 4, 6), dtype=np.float32),
            "features_s8": np.zeros((1, 4, 8, 12), dtype=np.float32),
        }


class FakeRuntime:
    def devices(self):
        return ("cpu",)

    def load(self, graph, *, threads=None, device="cpu", precision=""):
        LOADED.append((graph.name, threads, device, precision))
        return FakeEncoder() if graph.name == "encoder.onnx" else FakeClassicDecoder()


class PlainEncoder:
    def __init__(self, threads=None):
        self.threads = threads

    def encode(self, pictures):
        return {"image_embeddings": pictures[:, :, ::8, ::8]}


class PlainDecoder:
    prompt_kinds = frozenset({"box"})

    def decode(self, embedding, prompts):
        raise NotImplementedError

    def mask_prompt(self, mask, embedding):
        raise NotImplementedError


def plugin(**hooks):
    """A plugin object with these hooks."""
    marked = {name: hookimpl(lambda specs=specs: specs) for name, specs in hooks.items()}
    return SimpleNamespace(PLUGIN_API=(1, 0), **marked)


RUNTIME = RuntimeSpec(name="fake", target="test_models:FakeRuntime")


@pytest.fixture
def installed(monkeypatch):
    """An empty registry to register plugins in."""
    monkeypatch.setenv("SAMOVAR_PLUGINS", "nobody")
    monkeypatch.setitem(sys.modules, "test_models", sys.modules[__name__])
    reset()
    LOADED.clear()
    yield registry()
    reset()


@pytest.fixture
def fake_runtime(installed):
    installed.register(plugin(samovar_runtimes=[RUNTIME]), "acme-run")
    return installed


def with_bundle(installed, monkeypatch, tmp_path, name="small", stated="", **changes):
    """A registered spec whose bundle lies in a package."""
    package = tmp_path / f"pkg_{name}"
    write_bundle(package / "bundles" / name, **changes)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    spec = EncoderSpec(name=name, bundle=f"pkg_{name}:bundles/{name}", weights_licence=stated)
    installed.register(plugin(samovar_encoders=[spec]), f"acme-{name}")
    return package / "bundles" / name


def test_a_folder_is_loaded_and_answers(fake_runtime, tmp_path):
    folder = write_bundle(tmp_path / "b")
    model = load_model(folder, threads=3)
    assert LOADED == [("encoder.onnx", 3, "cpu", "fp32"), ("decoder.onnx", 3, "cpu", "fp32")]
    [embedding] = model.encode([np.zeros((3, 10, 20), dtype=np.float32)])
    assert embedding.model == f"small@{model.weights_hash}"
    masks = model.decoder.decode(embedding, Prompts((Prompt(1, box=(0, 0, 5, 5)),)))
    assert masks.ids == (1,)
    assert model.modalities == ("ct", "rgb")
    assert model.runtime_info == INFO


def test_a_description_has_what_a_manifest_needs(fake_runtime, tmp_path):
    said = load_model(write_bundle(tmp_path / "b")).describe()
    assert said["name"] == "small"
    assert said["version"] == "0.3.0"
    assert len(said["weights_sha256"]) == 64
    assert said["licence"] == {"code": "Apache-2.0", "weights": "CC-BY-4.0"}
    assert said["runtime"] == {
        "name": "fake",
        "version": "1",
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "instruction_set": "none",
    }
    assert said["prompt_kinds"] == ["box", "point"]


def test_a_name_finds_the_bundle_without_importing_its_package(fake_runtime, monkeypatch, tmp_path):
    with_bundle(fake_runtime, monkeypatch, tmp_path)
    assert load_model("small").name == "acme-small/small"
    assert load_model("acme-small/small").spec is not None


def test_names_win_over_folders_unless_written_as_paths(fake_runtime, monkeypatch, tmp_path):
    with_bundle(fake_runtime, monkeypatch, tmp_path)
    write_bundle(tmp_path / "small", name="mine")
    monkeypatch.chdir(tmp_path)
    assert load_model("small").name == "acme-small/small"
    assert load_model("./small").name == "mine"
    assert load_model(Path("small")).name == "mine"
    assert load_model("small/bundle.json").name == "mine"


def test_a_folder_that_is_no_name_is_found_in_the_working_directory(
    fake_runtime, monkeypatch, tmp_path
):
    write_bundle(tmp_path / "models" / "own")
    monkeypatch.chdir(tmp_path)
    assert load_model("models/own").name == "small"


def test_an_unknown_name_gives_the_nearest(fake_runtime, monkeypatch, tmp_path):
    with_bundle(fake_runtime, monkeypatch, tmp_path)
    with pytest.raises(UsageError, match="nearest: small"):
        load_model("smal")


def test_a_missing_path_is_not_taken_for_a_name(fake_runtime, tmp_path):
    with pytest.raises(BundleError, match="no such folder"):
        load_model(str(tmp_path / "gone"))
    with pytest.raises(BundleError, match="models bundle"):
        load_model(tmp_path)


def test_a_tampered_graph_never_reaches_the_runtime(fake_runtime, tmp_path):
    folder = write_bundle(tmp_path / "b")
    (folder / "decoder.onnx").write_bytes(b"\x08\x08evil")
    with pytest.raises(BundleError, match=r"decoder\.onnx"):
        load_model(folder)
    assert LOADED == []


def test_restricted_weights_of_a_plugin_need_consent(fake_runtime, monkeypatch, tmp_path):
    with_bundle(fake_runtime, monkeypatch, tmp_path, stated="CC-BY-NC-4.0")
    with pytest.raises(UsageError, match="--accept-license small"):
        load_model("small")
    assert LOADED == []
    for answer in ("small", "acme-small/small", "CC-BY-NC-4.0"):
        load_model("small", accept_license=[answer])


def test_the_bundle_s_own_licence_counts_where_the_spec_is_silent(
    fake_runtime, monkeypatch, tmp_path
):
    with_bundle(fake_runtime, monkeypatch, tmp_path, licence={})
    with pytest.raises(UsageError, match="no licence is stated"):
        load_model("small")


@pytest.mark.parametrize("licence", ["", "unknown", "MIT"])
def test_somebody_s_own_folder_needs_no_consent(fake_runtime, tmp_path, licence):
    assert load_model(write_bundle(tmp_path / "b", licence={"weights": licence})).bundle


def test_a_restriction_that_a_folder_states_is_asked_about(fake_runtime, tmp_path):
    folder = write_bundle(tmp_path / "b", licence={"weights": "CC-BY-NC-4.0"})
    with pytest.raises(UsageError, match="--accept-license small"):
        load_model(folder)
    assert load_model(folder, accept_license=["small"]).name == "small"


def test_without_a_runtime_the_pip_command_is_named(installed, tmp_path):
    for runtime in ("auto", "onnxruntime"):
        with pytest.raises(DependencyError, match="pip install samovar-laptop"):
            load_model(write_bundle(tmp_path / "b"), runtime=runtime)


def test_a_runtime_whose_library_is_missing_is_passed_over(installed, tmp_path):
    absent = RuntimeSpec(name="onnxruntime", target="a:B", requires=("no_such_module_here",))
    installed.register(plugin(samovar_runtimes=[absent]), "acme-absent")
    folder = write_bundle(tmp_path / "b")
    with pytest.raises(DependencyError, match="samovar-laptop"):
        load_model(folder)
    installed.register(plugin(samovar_runtimes=[RUNTIME]), "acme-run")
    assert load_model(folder).runtime_info.runtime == "fake"
    with pytest.raises(DependencyError, match="pip install no_such_module_here"):
        load_model(folder, runtime="onnxruntime")


def test_auto_prefers_by_its_stated_order_and_not_by_registration(installed, tmp_path):
    other = RuntimeSpec(name="aaa", target="missing_module:Runtime")
    known = RuntimeSpec(name="onnxruntime", target="test_models:FakeRuntime")
    installed.register(plugin(samovar_runtimes=[other]), "aaa")
    installed.register(plugin(samovar_runtimes=[known]), "zzz")
    assert load_model(write_bundle(tmp_path / "b"))


def test_a_precision_that_the_bundle_has_not_is_refused(fake_runtime, tmp_path):
    folder = write_bundle(tmp_path / "b")
    assert load_model(folder, precision="fp32")
    with pytest.raises(UsageError, match="precision fp32, bf16, not int8"):
        load_model(folder, precision="int8")


def test_a_runtime_that_cannot_do_the_precision_is_refused(fake_runtime, tmp_path):
    folder = write_bundle(tmp_path / "b", precision="int8")
    for runtime in ("auto", "fake"):
        with pytest.raises(UsageError, match="int8"):
            load_model(folder, runtime=runtime)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_at_least_one(fake_runtime, tmp_path, threads):
    with pytest.raises(UsageError, match="--threads"):
        load_model(write_bundle(tmp_path / "b"), threads=threads)


def test_an_encoder_of_a_plugin_is_paired_with_the_decoder_it_names(installed):
    encoder = EncoderSpec(
        name="plain",
        target="test_models:PlainEncoder",
        decoder="plain",
        encode_size=(64, 64),
        weights_licence="MIT",
        options=(OptionSpec("--threads", "threads", int),),
        sha256="0" * 64,
    )
    decoder = DecoderSpec(name="plain", target="test_models:PlainDecoder", weights_licence="MIT")
    installed.register(plugin(samovar_encoders=[encoder], samovar_decoders=[decoder]), "acme-plain")
    model = load_model("plain", threads=2)
    [embedding] = model.encode([np.zeros((3, 30, 64), dtype=np.float32)])
    assert embedding.fit.content == (30, 64)
    assert embedding.arrays["image_embeddings"].shape == (1, 3, 8, 8)
    assert embedding.model == "acme-plain/plain@" + "0" * 64
    assert isinstance(model.decoder, PlainDecoder)
    assert model.bundle is None
    assert model.describe()["runtime"]["name"] == "acme-plain"


@pytest.mark.parametrize(
    ("fields", "named"),
    [({}, "names no decoder"), ({"decoder": "plain", "resize": {"policy": "?"}}, "policy")],
)
def test_a_spec_that_cannot_work_names_its_distribution(installed, fields, named):
    spec = EncoderSpec(name="odd", target="a:B", weights_licence="MIT", **fields)
    decoder = DecoderSpec(name="plain", target="test_models:PlainDecoder", weights_licence="MIT")
    installed.register(plugin(samovar_encoders=[spec], samovar_decoders=[decoder]), "acme-odd")
    with pytest.raises(PluginError, match=f"acme-odd/odd.*{named}"):
        load_model("odd")


def test_the_decoder_s_weights_need_consent_too(installed):
    encoder = EncoderSpec(name="e", target="a:B", decoder="d", weights_licence="MIT")
    decoder = DecoderSpec(name="d", target="a:B", weights_licence="CC-BY-NC-4.0")
    installed.register(plugin(samovar_encoders=[encoder], samovar_decoders=[decoder]), "acme")
    with pytest.raises(UsageError, match="CC-BY-NC"):
        load_model("e")


def test_the_list_says_what_is_broken_and_hashes_nothing(installed, monkeypatch, tmp_path):
    good = with_bundle(installed, monkeypatch, tmp_path)
    (good / "encoder.onnx").unlink()  # would fail a verification
    installed.register(
        plugin(samovar_encoders=[EncoderSpec(name="gone", bundle="no_such_package:x")]), "acme-gone"
    )
    listed = {one.name: one for one in list_models()}
    assert list(listed) == ["acme-gone/gone", "acme-small/small"]
    assert "no_such_package" in listed["acme-gone/gone"].problem
    small = listed["acme-small/small"]
    assert (small.problem, small.version, small.encode_size) == ("", "0.3.0", (64, 96))
    assert (small.weights_licence, small.needs_consent) == ("CC-BY-4.0", False)


def test_one_model_is_described_by_name_or_folder(installed, monkeypatch, tmp_path):
    folder = with_bundle(installed, monkeypatch, tmp_path)
    assert describe_model("small").name == "acme-small/small"
    record = describe_model(folder).record
    assert record["licence"]["weights"] == "CC-BY-4.0"
    assert record["licence"]["note"] == "further fields are fine"
    assert len(record["weights_sha256"]) == 64


def test_verifying_finds_the_changed_file(installed, monkeypatch, tmp_path):
    folder = with_bundle(installed, monkeypatch, tmp_path)
    assert verify_model("small").name == "small"
    (folder / "encoder.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        verify_model("small")


def test_code_has_no_files_to_verify(installed):
    spec = EncoderSpec(name="plain", target="a:B", decoder="d")
    installed.register(plugin(samovar_encoders=[spec]), "acme")
    with pytest.raises(UsageError, match="no files to verify"):
        verify_model("plain")


def test_a_model_closes():
    from samovar.models import Model

    gone = []
    with Model("m", "0", None, None, INFO, release=lambda: gone.append(1)):
        pass
    assert gone == [1]
