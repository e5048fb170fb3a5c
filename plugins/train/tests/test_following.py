"""What the region decoder is asked when an object is followed: prior and box belong together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from samovar_train.data.sampling import (
    NOTHING,
    ObjectView,
    PromptMix,
    RegionMix,
    draw_region,
    reframed,
    window_around,
)
from samovar_train.following import bounds, carried_on
from samovar_train.model.region import GRID, MARGIN


def disc(radius: float = 40, centre: tuple[float, float] = (70, 110)) -> ObjectView:
    y, x = np.mgrid[:150, :200] + 0.5
    return ObjectView((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2, 512 / 200, 512)


def test_a_prior_lies_in_the_new_window_where_it_lay_in_the_old() -> None:
    view = disc()
    old = window_around(view.box, 0.5)
    new = window_around(view.box + np.array([20, -8, 60, 30]), 0.1)
    soft = view.region(old, GRID)
    expected = view.region(new, GRID) > 0.5
    found = reframed((soft - 0.5) * 12, old, new, GRID) > 0
    assert (found == expected).mean() > 0.98
    assert 0.1 < expected.mean() < 0.9


def test_beyond_the_old_window_a_prior_says_nothing() -> None:
    old, new = np.array([100.0, 100, 148, 148]), np.array([124.0, 76, 172, 124])
    moved = reframed(np.full((GRID, GRID), 5, np.float32), old, new, GRID)
    assert (moved[26:, :22] == 5).all()
    assert (moved[:22] == NOTHING).all() and (moved[:, 26:] == NOTHING).all()


def test_a_followed_box_goes_by_the_prior_and_not_by_the_object() -> None:
    view, only = disc(), RegionMix(0, 0, 0, 0, 1)
    beyond = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        prompt, window, soft = draw_region(rng, view, 2, PromptMix(), MARGIN, GRID, only)
        assert prompt.prior is not None and prompt.labels == [2, 3]
        box = np.array(prompt.coords).ravel()
        assert window == pytest.approx(window_around(box, MARGIN))
        beyond += bool((view.box[:2] < box[:2] - 2).any() or (view.box[2:] > box[2:] + 2).any())
        ys, xs = np.nonzero(prompt.prior > 0)
        size = (window[2:] - window[:2]) / GRID
        low = window[:2] + np.array([xs.min(), ys.min()]) * size
        high = window[:2] + np.array([xs.max() + 1, ys.max() + 1]) * size
        assert (low > box[:2] - 0.25 * (box[2:] - box[:2])).all() and (high > box[:2]).all()
        assert soft.max() > 0.9
    assert 4 < beyond < 36  # the object may reach out of the box, as it does on a next slice


def test_an_answer_is_carried_on_with_its_own_bounds() -> None:
    soft = torch.zeros(2, 1, 48, 48)
    soft[0, 0, 10:30, 8:40] = 1  # wide
    windows = torch.tensor([[100.0, 50, 196, 98], [0.0, 0, 48, 48]])
    next_ = carried_on(soft * 12 - 6, soft, windows, torch.Generator().manual_seed(3))
    assert next_.labels.tolist() == [[2, 3], [2, 3]]
    size = next_.coords[:, 1] - next_.coords[:, 0]
    assert size[0, 0] == pytest.approx(64 * 1.12, rel=0.4)  # 32 cells of 2 px and the margin
    assert size[0, 1] == pytest.approx(20 + 0.12 * 64, rel=0.4)
    assert (size[1] > 40).all()  # an empty answer: the whole window
    area = (next_.windows[0, 2:] - next_.windows[0, :2]).prod() / 48**2
    assert float(next_.target[0].sum() * area) == pytest.approx(64 * 20, rel=0.1)
    first, last = bounds(next_.prior[:, 0] > 0)
    assert (first[0] > 0.08).all() and (last[0] < 0.92).all()
    assert next_.prior[1].max() == NOTHING


def test_without_change_prior_and_target_coincide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samovar_train.following.ZOOM", 0.0)
    monkeypatch.setattr("samovar_train.following.SHIFT", 0.0)
    view = disc()
    window = window_around(view.box, MARGIN)
    soft = torch.from_numpy(view.region(window, GRID))[None, None]
    logits = (soft - 0.5) * 12
    where = torch.tensor(window, dtype=torch.float32)[None]
    next_ = carried_on(logits, soft, where, torch.Generator().manual_seed(0))
    assert ((next_.prior > 0) == (next_.target > 0.5)).float().mean() > 0.99


def test_what_is_trained_is_what_the_host_does() -> None:
    from samovar import bounds, mask_frame
    from samovar_train.data.sampling import FOLLOW_MARGIN

    assert FOLLOW_MARGIN == bounds.MARGIN
    assert -NOTHING == mask_frame.MASK_LOGIT
