"""Outlines have the mask's area, and filling them gives the mask back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import points_in_poly

from samovar_medical.outlines import outlines


def area(ring):
    x, y = np.array(ring).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def filled(rings, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    total = np.zeros(shape, dtype=int)
    for ring in rings:
        total += points_in_poly(centres, np.array(ring)).reshape(shape)
    return total


@pytest.mark.parametrize("seed", range(40))
def test_random_masks_come_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((11, 14)) < rng.random()
    if seed % 2:
        mask = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 2) > 0
    rings = outlines(mask)
    assert np.array_equal(filled(rings, mask.shape), mask)
    assert sum(area(r) for r in rings) == pytest.approx(mask.sum())


def test_holes_in_holes():
    mask = np.zeros((21, 21), dtype=bool)
    for i, inside in enumerate((True, False, True, False, True)):
        mask[2 * i : 21 - 2 * i, 2 * i : 21 - 2 * i] = inside
    rings = outlines(mask)
    # two frames with a keyhole each, and the middle
    assert len(rings) == 3
    assert all(area(r) > 0 for r in rings)
    assert np.array_equal(filled(rings, mask.shape), mask)


def test_parts_that_touch_at_a_corner_are_two():
    assert len(outlines(np.eye(2, dtype=bool))) == 2
    assert len(outlines(np.fliplr(np.eye(2, dtype=bool)))) == 2


def test_a_hole_that_touches_the_outside_at_a_corner():
    mask = np.ones((4, 4), dtype=bool)
    mask[1, 1] = mask[0, 0] = False
    assert np.array_equal(filled(outlines(mask), mask.shape), mask)


def test_only_corners_are_kept():
    (ring,) = outlines(np.ones((30, 40), dtype=bool))
    assert sorted(ring) == [(-0.5, -0.5), (-0.5, 29.5), (39.5, -0.5), (39.5, 29.5)]
    assert outlines(np.zeros((3, 3), dtype=bool)) == []
