"""The bundled model's torch side: by hook, with the weights of its graphs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from samovar.architectures import build_architecture
from samovar.errors import InputError
from samovar_train.architecture import TinyArchitecture
from samovar_train.export import INPUTS


@pytest.fixture(scope="module")
def trained() -> TinyArchitecture:
    torch.manual_seed(2)
    made = TinyArchitecture()
    for module in made.module.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
    for parameter in made.module.parameters():  # the exporter merges initialisers that are equal
        torch.nn.init.normal_(parameter, std=0.05) if parameter.ndim == 1 else None
    return made


def test_it_is_reached_by_hook() -> None:
    assert isinstance(build_architecture("tiny"), TinyArchitecture)


def test_weights_come_back_from_the_graphs(trained: TinyArchitecture, tmp_path: Path) -> None:
    bundle = trained.export(tmp_path / "bundle")
    assert set(bundle.roles) == set(INPUTS)
    other = TinyArchitecture()
    other.load([bundle.folder])
    for role in INPUTS:
        inputs = trained.samples(role, 2, 3, seed=4)
        with torch.no_grad():
            wanted, got = trained.role(role)(*inputs), other.role(role)(*inputs)
        for a, b in zip(wanted, got, strict=True):
            assert torch.allclose(a, b, atol=1e-3 * max(1.0, float(a.abs().max())))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"ema": {"a": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="another model"):
        TinyArchitecture().load([tmp_path / "other.pt"])
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(InputError, match="no checkpoint"):
        TinyArchitecture().load([tmp_path / "text.pt"])
