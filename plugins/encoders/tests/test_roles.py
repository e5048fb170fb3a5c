"""The graphs' own modules answer what the model answers, for the tokens that the host feeds."""

from __future__ import annotations

import pytest
import torch
from deterministic import fill
from torch import Tensor

from samovar_encoders.model import PromptableModel
from samovar_encoders.registry import ModelRecord, record
from samovar_encoders.roles import DecoderRole, PromptRole, names_of

NAMES = ("nanosam", "efficient-sam-ti", "hq-sam-light", "edgetam", "lite-medsam")
BOX = torch.tensor([[301.5, 220.25, 640.75, 512.5]])
POINTS = torch.tensor([[[400.0, 300.5], [500.0, 90.0]]])
LABELS = torch.tensor([[1, 0]])


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> tuple[ModelRecord, PromptableModel]:
    rules = record(request.param)
    return rules, fill(rules.build())


def random_features(rules: ModelRecord, module: PromptableModel) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    shapes = module.feature_shapes(rules.grid)
    return {name: torch.randn(1, *shape, generator=g) for name, shape in shapes.items()}


def host_tokens(scale: float, with_box: bool, with_points: bool) -> tuple[Tensor, Tensor]:
    """Points, then the box's corners, or one padding token where there is no box."""
    coords, labels = [], []
    if with_points:
        coords.append(POINTS * scale)
        labels.append(LABELS)
    if with_box:
        coords.append((BOX * scale).reshape(1, 2, 2))
        labels.append(torch.tensor([[2, 3]]))
    else:
        coords.append(torch.zeros(1, 1, 2))
        labels.append(torch.tensor([[-1]]))
    return torch.cat(coords, 1), torch.cat(labels, 1)


@torch.no_grad()
@pytest.mark.parametrize(("with_box", "with_points"), [(True, False), (False, True), (True, True)])
def test_host_tokens(model, with_box: bool, with_points: bool) -> None:
    rules, module = model
    features, scale = random_features(rules, module), rules.frame.size / 1024
    box = BOX * scale
    if rules.frame.whole_boxes:
        box = box.floor()
    sparse, dense = module.prompts(
        POINTS * scale if with_points else None,
        LABELS if with_points else None,
        box if with_box else None,
    )
    wanted = module.single_first(*module.decode(features, sparse, dense))
    coords, labels = host_tokens(scale, with_box, with_points)
    side = 4 * rules.grid
    asked = (coords, labels, torch.zeros(1, 1, side, side), torch.zeros(1, 1))
    asked = asked[: len(names_of(module, rules, "prompt_encoder")[0])]
    embeddings = PromptRole(module, rules)(*asked)
    got = DecoderRole(module, rules)(*features.values(), *embeddings)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_a_batch_of_boxes_and_points_is_each_alone(model) -> None:
    rules, module = model
    features, scale = random_features(rules, module), rules.frame.size / 1024
    one = host_tokens(scale, True, False)  # two tokens
    other = (torch.cat([POINTS[:, :1] * scale, torch.zeros(1, 1, 2)], 1), torch.tensor([[1, -1]]))
    side = 4 * rules.grid
    count = len(names_of(module, rules, "prompt_encoder")[0])

    def answer(coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        n = len(coords)
        asked = (coords, labels, torch.zeros(n, 1, side, side), torch.zeros(n, 1))[:count]
        embeddings = PromptRole(module, rules)(*asked)
        return DecoderRole(module, rules)(*features.values(), *embeddings)

    both = answer(torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]]))
    for row, alone in enumerate((answer(*one), answer(*other))):
        for ours, theirs in zip(both, alone, strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs, atol=2e-5, rtol=1e-4)


def test_initialisers_keep_the_checkpoints_names() -> None:
    module = record("daft-l0").build()
    keys = set(module.state_dict())
    named = {
        name.removeprefix("model.")
        for name, _ in DecoderRole(module, record("daft-l0")).named_parameters()
    }
    assert named <= keys
