"""Pruning takes out what does not matter, everywhere that it says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from samovar.bundle import Bundle
from samovar.errors import InputError, OutputError
from samovar_train.architecture import tiny
from samovar_train.command import train
from samovar_train.distil.learner import build
from samovar_train.distil.prune import disturbed, hidden_channels, prune, shrink, widths_in
from samovar_train.model.encoder import count_macs
from samovar_train.model.tiny import Tiny


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(8, 16)
        self.fc2 = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(torch.relu(self.fc1(x)))


def body() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(4, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 4, 3, 1, 1), nn.BatchNorm2d(4)),
    )


def gradients(module: nn.Module, x: torch.Tensor) -> None:
    disturbed(module(x), torch.Generator().manual_seed(0)).backward()


def test_channels_without_influence_go_first_and_nothing_changes() -> None:
    torch.manual_seed(0)
    mlp = Mlp().eval()
    with torch.no_grad():
        mlp.fc2.weight[:, [1, 3, 5, 7, 8, 10, 12, 14]] = 0
        mlp.fc1.weight[[1, 3, 5, 7, 8, 10, 12, 14]] *= 1e-3
    x = torch.randn(5, 8)
    before = mlp(x).detach()
    gradients(mlp, x)
    assert prune(mlp, 0.5) == {".fc1": 8}
    assert mlp.fc1.out_features == mlp.fc2.in_features == 8
    assert torch.allclose(mlp(x), before, atol=1e-6)


def test_norms_between_convolutions_are_cut_with_them() -> None:
    torch.manual_seed(0)
    convs = body()
    for norm in (convs[0][1], convs[1][1]):
        nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    dead = [0, 2, 4, 6, 9, 11, 13, 15]
    with torch.no_grad():
        convs[1][0].weight[:, dead] = 0
        convs[0][0].weight[dead] *= 1e-3
    convs.eval()
    x = torch.randn(2, 4, 6, 6)
    before = convs(x).detach()
    gradients(convs, x)
    assert list(prune(convs, 0.5).values()) == [8]
    assert convs[0][1].num_features == 8
    assert torch.allclose(convs(x), before, atol=1e-5)


def test_shrinking_makes_an_empty_module_alike() -> None:
    torch.manual_seed(0)
    pruned, empty = body().eval(), body().eval()
    x = torch.randn(1, 4, 6, 6)
    gradients(pruned, x)
    shrink(empty, prune(pruned, 0.4))
    empty.load_state_dict(pruned.state_dict())
    assert torch.equal(empty(x), pruned(x))


def test_depthwise_and_shared_widths_stay() -> None:
    class Depthwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), nn.Flatten(), nn.Linear(8, 8)
            )

    assert not list(hidden_channels(Depthwise()))


def test_the_bundled_model_can_be_pruned() -> None:
    model = Tiny().eval()
    names = [h.name for h in hidden_channels(model)]
    assert len(names) == len(set(names)) > 3
    before = sum(p.numel() for p in model.parameters())
    x = torch.randn(1, 3, 64, 64)
    disturbed(model.encoder(x)[0], torch.Generator().manual_seed(0)).backward()
    prune(model, 0.5)
    assert sum(p.numel() for p in model.parameters()) < 0.8 * before
    assert model.encoder(x)[0].shape == (1, 128, 4, 4)


def test_widths_are_told_by_the_weights() -> None:
    torch.manual_seed(0)
    pruned, empty = body().eval(), body().eval()
    gradients(pruned, torch.randn(1, 4, 6, 6))
    widths = prune(pruned, 0.4)
    assert widths_in(empty, pruned.state_dict()) == widths
    assert widths_in(pruned, pruned.state_dict()) == {}


def test_a_pruned_student_becomes_a_bundle_and_comes_back(toy_pack: Path, tmp_path: Path) -> None:
    """Distilled by the command, exported, and taken as weights again: as file and as folder."""
    recipe = tmp_path / "prune.toml"
    recipe.write_text(
        f"""name = "pruned"
seed = 1
student = "tiny"
teacher = "tiny"
pack = "{toy_pack.as_posix()}"
run = "run"
[[stages]]
prune = 0.5
steps = 1
learn = "encoder"
embedding = 1.0
"""
    )
    folder = tmp_path / "bundle"
    assert train(str(recipe), export=str(folder)) == 0
    bundle = Bundle.load(folder)
    whole = tiny()
    picture = whole.samples("encoder", 1, 2)[0]
    assert bundle.encoder_gmac < 0.7 * count_macs(whole.module.encoder, picture) / 1e9
    answers = []
    for weights in (tmp_path / "run" / "last.pt", folder):
        student = build("tiny", weights)
        assert sum(p.numel() for p in student.module.parameters()) < 0.8 * sum(
            p.numel() for p in whole.module.parameters()
        )
        with torch.no_grad():
            answers.append(student.module.eval().encoder(picture)[0])
    architecture = tiny()
    architecture.load([tmp_path / "run" / "last.pt"])
    with torch.no_grad():
        answers.append(architecture.module.eval().encoder(picture)[0])
    assert torch.allclose(answers[0], answers[1], atol=1e-4) and torch.equal(answers[0], answers[2])
    with pytest.raises(OutputError, match="already there"):
        train(str(recipe), export=str(folder))
    with pytest.raises(InputError, match="distillation of tiny"):
        build("mobile-sam", tmp_path / "run" / "last.pt")
