"""Checkpoints in: what is accepted, what is refused and in which words; graphs against torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from deterministic import fill
from safetensors.torch import save_file
from torch import Tensor, nn

from samovar_encoders import checkpoint, registry
from samovar_encoders.checkpoint import load_weights
from samovar_encoders.errors import CheckpointError, UnknownModel
from samovar_encoders.importing import import_bundle, import_checkpoint
from samovar_encoders.registry import record

NAME = "mobile-sam"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return fill(record(NAME).build()).state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


class Whole(nn.Module):
    """A module pickled whole, as some projects publish theirs."""


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s, "optimizer": {}, "epoch": 3},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    ],
    ids=["flat", "training", "parallel", "half", "no-counters"],
)
def test_usual_wrappings(tmp_path: Path, state: dict[str, Tensor], wrap) -> None:
    loaded = import_checkpoint([saved(tmp_path / "m.pt", wrap(state))], NAME)
    key = "image_encoder.neck.2.weight"
    torch.testing.assert_close(loaded.module.state_dict()[key], state[key], atol=1e-3, rtol=1e-3)
    assert not loaded.module.training


def test_safetensors(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "m.safetensors")
    loaded = import_checkpoint([tmp_path / "m.safetensors"], NAME)
    assert loaded.sources[0].bytes == (tmp_path / "m.safetensors").stat().st_size


def test_a_pickled_object_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "whole.pt", Whole())
    with pytest.raises(CheckpointError, match=r"pickled object.*refused"):
        import_checkpoint([path], NAME)


def test_a_cut_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = saved(tmp_path / "m.pt", state)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cut off or not a checkpoint"):
        import_checkpoint([path], NAME)


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors"])
def test_no_checkpoint_at_all(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>not found</html>")
    with pytest.raises(CheckpointError, match="cut off or not"):
        import_checkpoint([tmp_path / name], NAME)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        import_checkpoint([tmp_path / "none.pt"], NAME)


def test_another_model_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = saved(tmp_path / "m.pt", state)
    with pytest.raises(CheckpointError, match=r"not repvit-sam: .*missing.*mobile-sam"):
        import_checkpoint([path], "repvit-sam")


def test_a_renamed_key(tmp_path: Path, state: dict[str, Tensor]) -> None:
    changed = dict(state)
    changed["image_encoder.kneck.2.weight"] = changed.pop("image_encoder.neck.2.weight")
    path = saved(tmp_path / "m.pt", changed)
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint([path], NAME)
    assert "1 missing (image_encoder.neck.2.weight)" in str(caught.value)
    assert "1 unexpected (image_encoder.kneck.2.weight)" in str(caught.value)


def test_a_misshapen_tensor(tmp_path: Path, state: dict[str, Tensor]) -> None:
    changed = {**state, "image_encoder.neck.1.bias": torch.zeros(7)}
    with pytest.raises(CheckpointError, match=r"neck.1.bias is \(7,\) instead of \(256,\)"):
        import_checkpoint([saved(tmp_path / "m.pt", changed)], NAME)


def test_nan_weights(tmp_path: Path, state: dict[str, Tensor]) -> None:
    broken = {**state, "image_encoder.neck.1.bias": torch.full((256,), float("nan"))}
    with pytest.raises(CheckpointError, match=r"1 tensors hold NaN.*neck.1.bias"):
        import_checkpoint([saved(tmp_path / "m.pt", broken)], NAME)


def test_nanosam_comes_in_two_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    nano = fill(record("nanosam").build())
    encoder = dict(nano.image_encoder.state_dict().items())
    first = saved(tmp_path / "checkpoint.pth", {"model": encoder, "optimizer": {}})
    second = saved(tmp_path / "mobile_sam.pt", state)
    loaded = load_weights(record("nanosam"), [first, second])
    ours = loaded.module.state_dict()
    torch.testing.assert_close(ours["image_encoder.up_1.0.bias"], encoder["up_1.0.bias"])
    torch.testing.assert_close(
        ours["mask_decoder.iou_token.weight"], state["mask_decoder.iou_token.weight"]
    )


def test_unknown_name() -> None:
    with pytest.raises(UnknownModel, match="mobile-sam"):
        import_checkpoint(["m.pt"], "mobilesam")


def test_identify(state: dict[str, Tensor]) -> None:
    assert checkpoint.identify(state) == ["mobile-sam", "tiny-sam"]


def test_records_need_no_torch() -> None:
    code = (
        "import sys, samovar_encoders.plugin, samovar_encoders.registry as r;"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'scipy', 'PIL'} & set(sys.modules);"
        "assert not heavy - {'scipy', 'PIL'}, heavy; assert len(r.RECORDS) > 20"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_record_is_complete() -> None:
    for rules in registry.RECORDS.values():
        assert rules.citation, rules.name
        assert rules.homepage, rules.name
        assert rules.checkpoints, rules.name
        assert rules.weights_licence, rules.name


@pytest.mark.slow
def test_a_checkpoint_becomes_a_bundle(tmp_path: Path) -> None:
    """Export, verification against torch, the bundle's own checks; test_bundles has every model."""
    path = saved(tmp_path / "m.pt", fill(record("nanosam").build()).state_dict())
    bundle = import_bundle([path], "nanosam", tmp_path / "bundle")
    assert bundle.name == "nanosam"
    assert set(bundle.roles) == {"encoder", "prompt_encoder", "mask_decoder", "decoder_roi"}
    assert max(bundle.validation["onnx_against_torch"].values()) < 2e-4
    assert bundle.provenance["checkpoints"][0]["bytes"] == path.stat().st_size
    assert bundle.provenance["architecture"] == "samovar-encoders/nanosam"
