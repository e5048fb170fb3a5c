"""The torch side of every model through the host's hook."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from deterministic import fill

from samovar.architectures import architecture_specs, build_architecture
from samovar.errors import UsageError
from samovar.models import load_model
from samovar.plugins import registry
from samovar_encoders.architectures import SamArchitecture, function_name
from samovar_encoders.checkpoint import fill_from_graphs
from samovar_encoders.errors import CheckpointError
from samovar_encoders.export import export_role
from samovar_encoders.registry import RECORDS, record

OURS = [s for s in architecture_specs() if s.distribution == "samovar-encoders"]


def test_every_record_is_registered() -> None:
    assert len(OURS) == len(RECORDS)
    assert not [p for p in registry().problems if p.distribution == "samovar-encoders"]
    assert len({function_name(r) for r in RECORDS.values()}) == len(RECORDS)


@pytest.mark.parametrize("spec", OURS, ids=lambda s: s.name)
def test_its_builder_builds_it(spec) -> None:
    with torch.device("meta"):
        architecture = registry().resolve(
            spec.__class__(**{**vars(spec), "target": spec.builder})
        )()
    assert architecture.name.replace("+", "-plus") == spec.name
    assert architecture.roles[0] == "encoder"
    layers = dict(architecture.module.named_modules())
    hit = [n for n in layers if n.endswith(spec.lora_targets)]
    assert len(hit) >= 4, "adapters find layers"
    assert all(isinstance(layers[n], torch.nn.Linear | torch.nn.Conv2d) for n in hit)
    assert all(getattr(layers[n], "groups", 1) == 1 for n in hit)


def test_roles_take_the_arrays_that_they_name() -> None:
    architecture = build_architecture("nanosam")
    for role in architecture.roles[1:]:
        arrays = architecture.samples(role, prompts=2, points=3)
        inputs, outputs = architecture.names(role)
        assert len(arrays) == len(inputs)
        with torch.no_grad():
            assert len(architecture.role(role)(*arrays)) == len(outputs)


def test_weights_go_into_the_graphs_and_back(tmp_path: Path) -> None:
    rules = record("mobile-sam")
    first = fill(rules.build())
    paths = [tmp_path / f"{role}.onnx" for role in ("prompt_encoder", "mask_decoder")]
    for path in paths:
        export_role(first, rules, path.stem, path)
    again = rules.build()
    fill_from_graphs(again, rules, paths)
    for key, value in first.state_dict().items():
        if not key.startswith("image_encoder"):
            torch.testing.assert_close(again.state_dict()[key], value, atol=0, rtol=0)
    with pytest.raises(CheckpointError, match="not sam-med2d"):
        fill_from_graphs(record("efficient-sam-ti").build(), record("sam-med2d"), paths)


def test_an_architecture_says_how_to_get_weights() -> None:
    with pytest.raises(UsageError, match="comes without weights: `samovar models pull mobile-sam`"):
        load_model("samovar-encoders/mobile-sam")


def test_a_folder_of_the_same_name_is_meant(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mobile-sam").mkdir()
    (tmp_path / "mobile-sam" / "bundle.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="schema"):
        load_model("mobile-sam")


def test_a_prompt_free_model_has_its_encoder_alone() -> None:
    architecture = SamArchitecture(record("esp-medsam"))
    assert architecture.roles == ("encoder",)
    with pytest.raises(UsageError, match="takes no prompts"):
        architecture.export("nowhere")
