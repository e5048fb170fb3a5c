"""The region decoder: its windows, its sampling, its drawings, and that every prompt is heard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from samovar_train.data.sampling import ObjectView, PromptMix, RegionMix, draw_region
from samovar_train.export import sample_prompts
from samovar_train.model.encoder import count_macs
from samovar_train.model.region import GRID, MARGIN, RegionDecoder, draw, sample, window_of
from samovar_train.model.tiny import Tiny


def test_window_is_the_box_and_its_margin() -> None:
    window = window_of(torch.tensor([[100.0, 200.0, 150.0, 300.0]]), margin=0.2)
    assert window.tolist() == [[90.0, 180.0, 160.0, 320.0]]
    degenerate = window_of(torch.tensor([[5.0, 5.0, 5.0, 5.0]]))
    assert bool((degenerate[:, 2:] > degenerate[:, :2]).all())


def test_sampling_is_bilinear_interpolation_of_each_images_own_map() -> None:
    feature = torch.randn(2, 5, 12, 16, generator=torch.Generator().manual_seed(0))
    low = torch.tensor([[3.0, 5.0], [17.0, 1.0], [-9.0, 20.0], [40.0, 30.0]])
    windows = torch.cat([low, low + torch.tensor([[31.0, 17.0]])], 1)
    got = sample(feature, windows, 6, stride=4)
    for i, (x0, y0, x1, y1) in enumerate(windows.tolist()):
        at = (torch.arange(6) + 0.5) / 6
        x = ((x0 + (x1 - x0) * at) / 64) * 2 - 1  # the map is 64 x 48 px
        y = ((y0 + (y1 - y0) * at) / 48) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
        image = feature[i // 2][None]
        wanted = F.grid_sample(image, grid, padding_mode="border", align_corners=False)[0]
        assert torch.allclose(got[i], wanted, atol=1e-5)


def test_box_and_points_are_drawn_in_the_windows_own_frame() -> None:
    box = torch.tensor([[100.0, 50.0, 164.0, 82.0]])
    windows = window_of(box)
    coords = torch.cat([box.reshape(1, 2, 2), torch.tensor([[[116.0, 74.0]]])], 1)
    labels = torch.tensor([[2.0, 3.0, 1.0]])
    drawn = draw(windows, coords, labels, torch.zeros(1, 1, GRID, GRID), torch.zeros(1, 1))[0]
    side = GRID / (1 + 2 * MARGIN)
    assert float(drawn[0].sum()) == pytest.approx(side * side, rel=1e-4)
    y, x = divmod(int(drawn[4].argmax()), GRID)
    first = GRID * MARGIN / (1 + 2 * MARGIN)
    assert x == int(first + side * 16 / 64) and y == int(first + side * 24 / 32)


@pytest.fixture(scope="module")
def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


def arguments(n: int, p: int = 3) -> dict[str, torch.Tensor]:
    prompts = sample_prompts(n, p)
    prompts["mask_input"] = prompts["mask_input"][:, :, :GRID, :GRID]
    return {"windows": window_of(prompts["point_coords"][:, :2].flatten(1))} | prompts


def test_cost_is_an_eighth_of_the_full_decode(model: Tiny) -> None:
    taps = model.encoder(torch.zeros(1, 3, 512, 512))
    prompts = sample_prompts(1, 2)
    sparse, dense = model.prompt_encoder(*prompts.values())
    full = count_macs(model.prompt_encoder, *prompts.values())
    full += count_macs(model.mask_decoder, *taps, sparse, dense)
    assert count_macs(model.decoder_roi, *taps, *arguments(1, 2).values()) * 8 <= full


def test_objects_do_not_change_each_other(model: Tiny) -> None:
    generator = torch.Generator().manual_seed(1)
    taps = model.encoder(torch.randn(1, 3, 512, 512, generator=generator))
    given = arguments(4)
    with torch.no_grad():
        together = model.decoder_roi(*taps, *given.values())
        for i in range(4):
            alone = model.decoder_roi(*taps, *(v[i : i + 1] for v in given.values()))
            assert torch.allclose(together[0][i], alone[0][0], atol=1e-4)
            assert torch.allclose(together[1][i], alone[1][0], atol=1e-5)
    assert together[0].shape == (4, 1, GRID, GRID) and together[1].shape == (4, 1)


def test_windows_belong_to_their_images() -> None:
    torch.manual_seed(1)
    decoder = RegionDecoder().eval()
    taps = tuple(torch.randn(2, c, s, s) for c, s in ((128, 8), (32, 16), (16, 32)))
    given = arguments(4)
    with torch.no_grad():
        both = decoder(*taps, *given.values())[0]
        second = decoder(*(t[1:] for t in taps), *(v[2:] for v in given.values()))[0]
    assert torch.allclose(both[2:], second, atol=1e-4)


@pytest.mark.parametrize("change", ["point", "prior", "box"])
def test_every_prompt_changes_the_answer(model: Tiny, change: str) -> None:
    taps = model.encoder(torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(1)))
    base = {
        "windows": torch.tensor([[80.0, 76.0, 220.0, 244.0]]),
        "point_coords": torch.tensor([[[100.0, 100.0], [200.0, 220.0], [150.0, 150.0]]]),
        "point_labels": torch.tensor([[2.0, 3.0, -1.0]]),
        "mask_input": torch.zeros(1, 1, GRID, GRID),
        "has_mask_input": torch.zeros(1, 1),
    }
    other = {k: v.clone() for k, v in base.items()}
    if change == "point":
        other["point_labels"][0, 2] = 0
    elif change == "prior":
        other["mask_input"] += 5
        other["has_mask_input"] += 1
    else:
        other["point_coords"][0, 1] -= 30
    with torch.no_grad():
        a = model.decoder_roi(*taps, *base.values())[0]
        b = model.decoder_roi(*taps, *other.values())[0]
    assert float((a - b).abs().max()) > 1e-3


def test_drawn_prompts_cover_the_object_where_it_is() -> None:
    mask = np.zeros((200, 300), bool)
    mask[50:90, 120:200] = True
    view = ObjectView(mask, 512 / 300, 512)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        prompt, window, soft = draw_region(rng, view, 3, PromptMix(), MARGIN, GRID, RegionMix())
        cell = np.prod((window[2:] - window[:2]) / GRID)
        inside = float(soft.sum() * cell)
        assert inside <= mask.sum() * view.scale**2 * 1.03
        assert prompt.labels[:2] == [2, 3] and soft.shape == (GRID, GRID)
        if np.all(window[:2] <= view.box[:2]) and np.all(window[2:] >= view.box[2:]):
            assert inside == pytest.approx(mask.sum() * view.scale**2, rel=0.03)
