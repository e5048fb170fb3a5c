"""Encoders that can be chosen: within their budgets, trainable, and the same once exported."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from samovar.errors import InputError
from samovar_train.export import export_graph, fold, load_checkpoint
from samovar_train.loop import run
from samovar_train.model.choice import ENCODERS, FRAMES, Choice
from samovar_train.model.cost import multiply_accumulates
from samovar_train.model.encoder import Encoder, count_macs
from samovar_train.model.tiny import Tiny
from samovar_train.recipe import Recipe, load_recipe

SMALL = [
    Choice("repvit", "relu", 256),
    Choice("efficientvit", "hardswish", 256),
    Choice("tinyvit", "gelu", 256),
]


def settled(model: nn.Module) -> nn.Module:
    """With norms and residual branches that do something, as after training."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.5)
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", ENCODERS)
def test_budget_and_shapes(name: str, frame: int) -> None:
    model = Tiny(Choice(name, "relu", frame)).eval()
    picture = torch.zeros(1, 3, frame, frame)
    assert 0.9e9 < multiply_accumulates(model.encoder, picture) <= 1.5e9
    assert sum(p.numel() for p in model.parameters()) <= 6_000_000
    with torch.no_grad():
        shapes = [tuple(t.shape[1:]) for t in model.encoder(picture)]
    assert shapes == [(c, frame // s, frame // s) for c, s in ((128, 16), (32, 8), (16, 4))]


def test_the_default_is_the_bundled_model() -> None:
    assert type(Tiny().encoder) is Encoder and Tiny().choice == Choice("tiny", "relu", 512)
    torch.manual_seed(3)
    ours = Tiny(Choice()).state_dict()
    torch.manual_seed(3)
    plain = Encoder().state_dict()
    assert all(torch.equal(ours[f"encoder.{k}"], v) for k, v in plain.items())


def test_multiply_accumulates_sees_attention() -> None:
    picture = torch.zeros(1, 3, 256, 256)
    plain, attending = Encoder().eval(), Choice("tinyvit", "relu", 256).build().eval()
    assert multiply_accumulates(plain, picture) == count_macs(plain, picture)
    assert multiply_accumulates(attending, picture) > count_macs(attending, picture)


@pytest.mark.parametrize("choice", SMALL, ids=lambda c: f"{c.encoder}-{c.activation}-{c.frame}")
def test_export_is_the_same(choice: Choice, tmp_path: Path) -> None:
    """`export_graph` compares with the folded model; here it is compared with the unfolded one."""
    model = Tiny(choice)
    settled(model)
    folded = fold(model)
    picture = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for a, b in zip(model.encoder(picture), folded.encoder(picture), strict=True):
            assert float((a - b).abs().max()) < 1e-3 * max(1.0, float(a.abs().max()))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.encoder.modules())
    export_graph(folded, "encoder", tmp_path / "encoder.onnx")


@pytest.mark.parametrize("name", ["repvit", "efficientvit", "tinyvit"])
def test_every_weight_learns(name: str) -> None:
    encoder = Choice(name, "gelu", 256).build()
    settled(encoder)
    encoder.train()
    sum(t.square().mean() for t in encoder(torch.randn(2, 3, 64, 64))).backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


def test_a_window_does_not_see_the_next_one() -> None:
    from samovar_train.model.tinyvit import WindowAttention

    torch.manual_seed(0)
    attention = WindowAttention(64).eval()
    cells = torch.randn(1, 16, 16, 64)
    other = cells.clone()
    other[:, 8:, 8:] = torch.randn(1, 8, 8, 64)
    with torch.no_grad():
        moved = (attention(cells) - attention(other)).abs().amax(-1)[0] > 1e-6
    assert moved[8:, 8:].all() and not moved[:8].any() and not moved[8:, :8].any()


def test_linear_attention_is_attention() -> None:
    """Keys and values summed first give what weights over all cells give."""
    from samovar_train.model.efficientvit import EPSILON, LinearAttention

    torch.manual_seed(0)
    attention = LinearAttention(32).eval()
    qkv = torch.randn(1, 96, 4, 4)
    q, k, v = qkv.reshape(3, 2, 16, 16).unbind(0)  # (heads, width, cells)
    weights = torch.relu(q).transpose(1, 2) @ torch.relu(k)  # (heads, cells asking, cells told)
    wanted = (weights @ v.transpose(1, 2)) / (weights.sum(-1, keepdim=True) + EPSILON)
    with torch.no_grad():
        got = attention.attend(qkv)
    assert torch.allclose(got.reshape(2, 16, 16), wanted.transpose(1, 2), atol=1e-4)


def test_a_recipe_chooses(toy_pack: Path, tmp_path: Path) -> None:
    choice = Choice("repvit", "gelu", 256)
    recipe = Recipe(
        name="toy", seed=1, steps=2, pack=toy_pack, run=tmp_path / "r", images=2, prompts=2,
        regions=2, warmup=1, sizes=((0.0, (64,)),), model=choice,
    )  # fmt: skip
    model, state = load_checkpoint(run(recipe, validate=False, workers=0))
    assert asdict(model.choice) == asdict(choice) and state["step"] == 2
    with pytest.raises(InputError, match="repvit"):
        run(replace(recipe, model=Choice()), validate=False, workers=0)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ('encoder = "resnet"', "resnet"),
        ('activation = "gelu"', "'gelu': there is relu"),
        ("frame = 300", "300"),
        ('encode = "tiny"', "encode"),
    ],
)
def test_recipe_errors(tmp_path: Path, table: str, word: str) -> None:
    path = tmp_path / "r.toml"
    base = 'name = "a"\nseed = 1\nsteps = 2\npack = "p"\nrun = "r"\n[model]\n'
    path.write_text(base + table + "\n")
    with pytest.raises(ValueError, match=word):
        load_recipe(path)
