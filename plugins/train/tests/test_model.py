"""Budgets, shapes, and that every kind of prompt is heard."""

from __future__ import annotations

import pytest
import torch

from samovar_train.export import sample_prompts
from samovar_train.model.encoder import count_macs
from samovar_train.model.tiny import Tiny, normalise


@pytest.fixture(scope="module")
def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


def test_budget(model: Tiny) -> None:
    assert sum(p.numel() for p in model.parameters()) <= 6_000_000
    assert count_macs(model.encoder, torch.zeros(1, 3, 512, 512)) <= 1.5e9


def test_count_macs_knows_convolutions() -> None:
    conv = torch.nn.Conv2d(3, 8, 3, 2, 1)
    assert count_macs(conv, torch.zeros(1, 3, 16, 16)) == 8 * 8 * 8 * 27
    up = torch.nn.ConvTranspose2d(4, 2, 2, 2)
    assert count_macs(up, torch.zeros(1, 4, 8, 8)) == 8 * 8 * 4 * 2 * 4


@pytest.mark.parametrize(("side", "n", "p"), [(512, 3, 2), (384, 1, 5)])
def test_shapes(model: Tiny, side: int, n: int, p: int) -> None:
    prompts = sample_prompts(n, p)
    prompts["mask_input"] = prompts["mask_input"][:, :, : side // 4, : side // 4]
    with torch.no_grad():
        taps = model.encoder(torch.zeros(1, 3, side, side))
        masks, quality = model.decode(taps, prompts)
    assert [tuple(t.shape) for t in taps] == [
        (1, 128, side // 16, side // 16),
        (1, 32, side // 8, side // 8),
        (1, 16, side // 4, side // 4),
    ]
    assert masks.shape == (n, 4, side // 4, side // 4)
    assert quality.shape == (n, 4)
    assert float(quality.min()) >= 0 and float(quality.max()) <= 1


def maps_of(model: Tiny, coords: list[list[float]], labels: list[float]) -> torch.Tensor:
    kinds = torch.stack([(torch.tensor([labels]) == k).float() for k in range(-1, 4)], -1)
    zeros = torch.zeros(1, 1, 128, 128)
    return model.prompt_encoder.maps(torch.tensor([coords]), kinds, zeros, torch.zeros(1, 1))[0]


def test_box_is_drawn_to_the_fraction_of_a_pixel(model: Tiny) -> None:
    inside = maps_of(model, [[10.0, 20.0], [30.5, 41.25]], [2, 3])[0]
    assert float(inside.sum()) * 16 == pytest.approx(20.5 * 21.25, rel=1e-5)
    assert float(inside[5, 2]) == pytest.approx(0.5)  # x 8..12 is covered from 10 on


def test_points_are_drawn_where_they_are(model: Tiny) -> None:
    maps = maps_of(model, [[102.0, 202.0], [302.0, 50.0]], [1, 0])
    positive, negative = maps[4], maps[5]
    assert divmod(int(positive.argmax()), 128) == (50, 25)
    assert divmod(int(negative.argmax()), 128) == (12, 75)


def test_padding_draws_nothing(model: Tiny) -> None:
    maps = maps_of(model, [[102.0, 202.0]], [-1])
    assert float(maps.abs().max()) == 0


@pytest.mark.parametrize("change", ["negative", "prior", "box"])
def test_every_prompt_changes_the_answer(model: Tiny, change: str) -> None:
    taps = model.encoder(torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(1)))
    base = {
        "point_coords": torch.tensor([[[100.0, 100.0], [200.0, 220.0], [150.0, 150.0]]]),
        "point_labels": torch.tensor([[2.0, 3.0, -1.0]]),
        "mask_input": torch.zeros(1, 1, 128, 128),
        "has_mask_input": torch.zeros(1, 1),
    }
    other = {k: v.clone() for k, v in base.items()}
    if change == "negative":
        other["point_labels"][0, 2] = 0
    elif change == "prior":
        other["mask_input"] += 5
        other["has_mask_input"] += 1
    else:
        other["point_coords"][0, 1] += 30
    with torch.no_grad():
        a, b = model.decode(taps, base)[0], model.decode(taps, other)[0]
    assert float((a - b).abs().max()) > 1e-3


def test_mask_input_is_ignored_unless_it_is_said_to_count(model: Tiny) -> None:
    taps = model.encoder(torch.zeros(1, 3, 512, 512))
    prompts = sample_prompts(1, 2)
    prompts["has_mask_input"] = torch.zeros(1, 1)
    with torch.no_grad():
        a = model.decode(taps, prompts)[0]
        b = model.decode(taps, prompts | {"mask_input": prompts["mask_input"] + 9})[0]
    assert torch.equal(a, b)


def test_normalise_makes_the_pad_colour_zero() -> None:
    pad = torch.tensor([124, 116, 104], dtype=torch.uint8).view(1, 3, 1, 1)
    assert float(normalise(pad).abs().max()) < 0.01
