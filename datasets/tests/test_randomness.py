"""Random numbers by place."""

from __future__ import annotations

import numpy as np

from samovar_datasets.randomness import noise, unit


def test_one_number_is_the_same_alone_and_in_an_array():
    a, b = np.meshgrid(np.arange(-3, 4), np.arange(-2, 3))
    many = unit(7, a, b, 5)
    for i, j, value in zip(a.ravel().tolist(), b.ravel().tolist(), many.ravel(), strict=True):
        assert unit(7, i, j, 5) == value


def test_numbers_are_uniform_and_depend_on_every_key():
    values = unit(1, np.arange(20000))
    assert abs(values.mean() - 0.5) < 0.01
    assert abs(values.var() - 1 / 12) < 0.003
    assert values.min() >= 0
    assert values.max() < 1
    assert len({unit(1, 2, 3), unit(2, 2, 3), unit(1, 3, 2), unit(1, 2, 4), unit(1, -2, 3)}) == 5


def test_noise_is_smooth_and_the_same_in_any_block():
    u, v = np.meshgrid(np.arange(0, 40, 0.25), np.arange(0, 30, 0.25))
    field = noise(3, u, v, 8.0)
    assert np.array_equal(field[20:50, 30:90], noise(3, u[20:50, 30:90], v[20:50, 30:90], 8.0))
    assert np.abs(np.diff(field, axis=1)).max() < 0.15
    assert field.std() > 0.2
