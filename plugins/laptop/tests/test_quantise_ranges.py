"""Ranges and scales: what is covered, what is cut, and that nothing is exactly nothing."""

from __future__ import annotations

import numpy as np
import pytest

from samovar_laptop.quantise.ranges import Histogram, Scale, channel_steps, rounded_weights


@pytest.mark.parametrize("ends", [(0.0, 6.0), (-3.0, 5.0), (-2.0, 0.0), (1.0, 4.0), (0.0, 0.0)])
def test_zero_is_represented_exactly_and_the_range_is_covered(ends):
    scale = Scale.of(*ends)
    assert scale.rounded(np.zeros(1))[0] == 0
    values = np.linspace(*ends, 100)
    assert np.abs(scale.rounded(values) - values).max() <= scale.step / 2 + 1e-6
    assert 0 <= scale.zero <= 255


def test_after_relu_the_zero_point_is_zero_so_that_relu_is_absorbed():
    histogram = Histogram()
    histogram.add(np.abs(np.random.default_rng(0).normal(size=10_000)).astype(np.float32))
    assert histogram.scale().zero == 0


def test_the_percentile_is_that_of_the_values():
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    histogram = Histogram()
    for part in np.split(values, 10):
        histogram.add(part)
    low, high = histogram.scale(99.0).range
    step = histogram.scale(99.0).step
    assert low == pytest.approx(np.percentile(values, 0.5), abs=2 * step)
    assert high == pytest.approx(np.percentile(values, 99.5), abs=2 * step)
    low, high = histogram.scale(100.0).range
    assert low <= values.min() + step
    assert high >= values.max() - step


def test_one_outlier_does_not_widen_the_range():
    values = np.random.default_rng(0).uniform(0, 1, 100_000).astype(np.float32)
    values[7] = 1000
    histogram = Histogram()
    histogram.add(values)
    assert histogram.scale(99.99).range[1] < 2
    assert histogram.scale(100).range[1] > 999


def test_bins_widen_when_larger_values_come_later():
    small, large = np.linspace(0, 1, 1000), np.linspace(0, 8, 1000)
    one, two = Histogram(), Histogram()
    one.add(small.astype(np.float32))
    one.add(large.astype(np.float32))
    two.add(large.astype(np.float32))
    two.add(small.astype(np.float32))
    assert one.counts.sum() == two.counts.sum() == 2000
    assert one.scale(90).step == pytest.approx(two.scale(90).step, rel=0.01)


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_rounded_by_channel(bits, axis):
    weights = np.random.default_rng(0).normal(size=(6, 5, 3, 3)).astype(np.float32)
    weights[2] *= 100
    steps = channel_steps(weights, axis, bits)
    whole = rounded_weights(weights, steps, axis, bits)
    limit = 2 ** (bits - 1) - 1
    assert whole.dtype == np.int8
    assert np.abs(whole.astype(int)).max() == limit
    back = whole * np.expand_dims(steps, tuple(i for i in range(4) if i != axis))
    worst = np.abs(back - weights).max(axis=tuple(i for i in range(4) if i != axis))
    assert (worst <= steps / 2 * 1.001).all()


def test_a_channel_of_zeros_is_no_division_by_zero():
    weights = np.zeros((2, 3), np.float32)
    assert (rounded_weights(weights, channel_steps(weights, 0), 0) == 0).all()
