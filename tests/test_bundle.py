"""Bundles: what is read, what is verified, what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from onnx_bytes import graph_bytes
from samovar.bundle import Bundle, safe_name, sha256_of
from samovar.errors import BundleError, OutputError
from samovar.resize import Normalisation, Resize

RECORD = {
    "schema": 1,
    "name": "small",
    "version": "0.3.0",
    "roles": {"encoder": "encoder.onnx", "decoder": "decoder.onnx"},
    "encode_size": [64, 96],
    "prompt_frame": [128, 192],
    "prompt_coordinates": "continuous",
    "resize": {"policy": "stretch", "interpolation": "area", "rounding": "floor", "pad_value": 1.5},
    "normalisation": {"kind": "mean-std", "mean": [1, 2, 3], "std": [4, 5, 6]},
    "channel_order": "BGR",
    "embedding": {"name": "image_embeddings", "shape": [8, 4, 6]},
    "taps": {"features_s8": [4, 8, 12]},
    "mask_size": [16, 24],
    "mask_selection": {"box": "first", "point": "best-quality"},
    "prompts": {"kinds": ["box", "point"], "max_points": 5},
    "mask_threshold": 0.25,
    "modalities": ["ct", "rgb"],
    "precision": "fp32",
    "parameters": 12,
    "encoder_gmac": 0.5,
    "licence": {"code": "Apache-2.0", "weights": "CC-BY-4.0", "note": "further fields are fine"},
    "intended_use": "tests",
    "provenance": {"seed": 1},
    "validation": {"dice": 0.5},
}


def write_bundle(folder: Path, external: str | None = None, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.onnx").write_bytes(graph_bytes(external))
    (folder / "decoder.onnx").write_bytes(graph_bytes() + b"\x1a\x00")
    record = copy.deepcopy(RECORD)
    record["files"] = {
        path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.suffix != ".json"
    }
    for key, value in changes.items():
        record[key] = value
    (folder / "bundle.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_every_field_is_read(tmp_path):
    bundle = Bundle.load(write_bundle(tmp_path / "b"))
    p = bundle.preparation
    assert (bundle.name, bundle.version) == ("small", "0.3.0")
    assert (p.encode_size, p.prompt_frame) == ((64, 96), (128, 192))
    assert (p.prompt_coordinates, p.channel_order) == ("continuous", "BGR")
    assert p.resize == Resize("stretch", "area", "floor", 1.5, False)
    assert p.normalisation == Normalisation("mean-std", (1, 2, 3), (4, 5, 6))
    assert bundle.taps == {"features_s8": (4, 8, 12)}
    assert (bundle.mask_size, bundle.mask_threshold) == ((16, 24), 0.25)
    assert (bundle.prompt_kinds, bundle.max_points) == (("box", "point"), 5)
    assert (bundle.code_licence, bundle.weights_licence) == ("Apache-2.0", "CC-BY-4.0")
    assert bundle.classic
    assert bundle.graph("encoder") == tmp_path / "b" / "encoder.onnx"


def test_a_record_survives_the_round_trip(tmp_path):
    bundle = Bundle.load(write_bundle(tmp_path / "b"))
    again = Bundle.from_document(json.loads(json.dumps(bundle.document())))
    assert again.document() == bundle.document()
    assert again.weights_hash == bundle.weights_hash


def test_the_json_itself_may_be_named(tmp_path):
    folder = write_bundle(tmp_path / "b")
    assert Bundle.load(folder / "bundle.json").folder == folder


def test_the_weights_hash_changes_with_any_weight(tmp_path):
    first = Bundle.load(write_bundle(tmp_path / "a"))
    second = Bundle.load(write_bundle(tmp_path / "b"))
    other = Bundle.read(write_bundle(tmp_path / "c", external="w.bin"))
    assert first.weights_hash == second.weights_hash
    assert first.weights_hash != other.weights_hash


def test_reading_alone_opens_no_graph(tmp_path):
    folder = write_bundle(tmp_path / "b")
    (folder / "encoder.onnx").unlink()
    assert Bundle.read(folder).name == "small"
    with pytest.raises(BundleError, match=r"encoder\.onnx.*missing"):
        Bundle.load(folder)


def test_one_changed_byte_is_noticed(tmp_path):
    folder = write_bundle(tmp_path / "b")
    content = bytearray((folder / "encoder.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "encoder.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"encoder\.onnx.*SHA-256"):
        Bundle.load(folder)


def test_a_file_cut_short_is_noticed(tmp_path):
    folder = write_bundle(tmp_path / "b")
    content = (folder / "decoder.onnx").read_bytes()
    (folder / "decoder.onnx").write_bytes(content[:-1])
    with pytest.raises(BundleError, match=r"decoder\.onnx.*bytes"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "name", ["/etc/graph.onnx", "../graph.onnx", "a/../../g.onnx", "C:\\g.onnx", "C:g.onnx",
             "a\\g.onnx", "\\\\host\\g.onnx", "", "//host/share/g.onnx"]
)  # fmt: skip
def test_no_path_leaves_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="leaves"):
        safe_name(name)
    folder = write_bundle(tmp_path / "b")
    files = {name: {"sha256": "0" * 64, "bytes": 1}}
    roles = {"encoder": name, "decoder": name}
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.read(write_bundle(folder, files=files, roles=roles))


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "b")
    outside = tmp_path / "elsewhere.onnx"
    (folder / "encoder.onnx").rename(outside)
    try:
        (folder / "encoder.onnx").symlink_to(outside)
    except OSError:
        pytest.skip("this system does not let us make links")
    with pytest.raises(BundleError, match="link"):
        Bundle.load(folder)


@pytest.mark.parametrize("location", ["../w.bin", "/tmp/w.bin", "unlisted.bin"])
def test_external_tensors_must_be_listed_files_of_the_folder(tmp_path, location):
    (tmp_path / "w.bin").write_bytes(b"0")
    folder = write_bundle(tmp_path / "b", external=location)
    with pytest.raises(BundleError, match="does not list"):
        Bundle.load(folder)


def test_external_tensors_that_are_listed_are_fine(tmp_path):
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "w.bin").write_bytes(b"0123")
    assert "w.bin" in Bundle.load(write_bundle(folder, external="w.bin")).files


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": 2}, "upgrade"),
        ({"schema": None}, "schema"),
        ({"name": 3}, "name"),
        ({"encode_size": [64]}, "encode_size"),
        ({"encode_size": [64, -1]}, "encode_size"),
        ({"encode_size": [True, 64]}, "encode_size"),
        ({"mask_size": "128"}, "mask_size"),
        ({"resize": {"policy": "crop"}}, "policy"),
        ({"resize": "pad"}, "resize"),
        ({"normalisation": {"std": [0, 1, 1]}}, "std"),
        ({"channel_order": "GBR"}, "channel_order"),
        ({"prompt_coordinates": "px"}, "prompt_coordinates"),
        ({"mask_selection": "luck"}, "mask_selection"),
        ({"mask_selection": {"point": "first"}}, "mask_selection"),
        ({"roles": {"encoder": "encoder.onnx"}}, "roles"),
        ({"roles": {"encoder": "encoder.onnx", "decoder": "x.onnx"}}, "x.onnx"),
        ({"roles": {"encoder": "encoder.onnx", "decoder": "decoder.onnx", "run": "x"}}, "run"),
        ({"files": {"encoder.onnx": {"sha256": "abc", "bytes": 1}}}, "sha256"),
        ({"files": {"encoder.onnx": {"sha256": "0" * 64}}}, "bytes"),
        ({"embedding": {}}, r"embedding\.shape"),
        ({"prompts": {"kinds": "box"}}, "kinds"),
        ({"mask_threshold": "0"}, "mask_threshold"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path, changes, named):
    with pytest.raises(BundleError, match=named) as caught:
        Bundle.read(write_bundle(tmp_path / "b", **changes))
    assert str(tmp_path / "b") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\x00"])
def test_what_is_no_json_object_is_one_clear_line(tmp_path, text):
    folder = write_bundle(tmp_path / "b")
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.read(folder)


def test_a_folder_without_a_record_names_the_remedy(tmp_path):
    with pytest.raises(BundleError, match="models bundle"):
        Bundle.read(tmp_path)


def test_saving_writes_what_loads(tmp_path):
    source = Bundle.load(write_bundle(tmp_path / "a"))
    files = {name: source.folder / name for name in source.files}
    saved = replace(source, name="copy").save(tmp_path / "b", files)
    assert saved.name == "copy"
    assert saved.weights_hash == source.weights_hash
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_saving_does_not_overwrite(tmp_path):
    source = Bundle.load(write_bundle(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="already there"):
        source.save(tmp_path / "b", {n: source.folder / n for n in source.files})
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["thesis.txt"]


def test_a_failed_save_leaves_nothing(tmp_path):
    source = Bundle.load(write_bundle(tmp_path / "a"))
    with pytest.raises(OutputError, match="cannot be written"):
        source.save(tmp_path / "b", {"encoder.onnx": tmp_path / "gone.onnx"})
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_saving_into_a_missing_folder_says_so(tmp_path):
    source = Bundle.load(write_bundle(tmp_path / "a"))
    with pytest.raises(OutputError, match="parent folder"):
        source.save(tmp_path / "x" / "y", {})
