"""Intervals: known means, whole images drawn, each set counting the same."""

import numpy as np
import pytest

from samovar.evaluation.bootstrap import mean_of_sets, sample_set


def test_mean_is_over_objects():
    found = sample_set("s", ["a", "a", "a", "b"], {"dice": [1.0, 1.0, 1.0, 0.0]})
    assert found.means["dice"] == 0.75
    low, high = found.interval("dice")
    assert low == 0
    assert high == 1


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for i in range(120):
        values = rng.normal(0.5, 0.1, 40)
        low, high = sample_set(f"s{i}", [str(k) for k in range(40)], {"d": values}).interval("d")
        covered += low <= 0.5 <= high
    assert 105 <= covered <= 119


def test_objects_of_one_image_are_drawn_together():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(0.5, 0.1, 10), 50)  # 10 images of 50 alike objects
    grouped = sample_set("s", [str(i // 50) for i in range(500)], {"d": level})
    alone = sample_set("s", [str(i) for i in range(500)], {"d": level})

    def width(sampled) -> float:
        low, high = sampled.interval("d")
        return high - low

    assert width(grouped) > 4 * width(alone)


def test_differences_are_paired():
    values = np.random.default_rng(0).uniform(0.2, 0.9, 30)
    images = [str(i) for i in range(30)]
    found = sample_set("s", images, {"dice": values, "worse": values - 0.01})
    assert found.interval("dice", minus="worse") == pytest.approx([0.01, 0.01])


def test_sets_count_the_same_whatever_their_size():
    small = sample_set("a", ["1", "2"], {"d": [0.0, 0.0], "only": [1.0, 1.0]})
    large = sample_set("b", [str(i) for i in range(50)], {"d": [1.0] * 50})
    both = mean_of_sets([small, large])
    assert both.means == {"d": 0.5}
    assert both.interval("d") == [0.5, 0.5]


def test_one_image_says_nothing_of_the_spread_and_seeds_repeat():
    assert sample_set("a", ["1", "1"], {"d": [0.0, 1.0]}).interval("d") is None
    values = {"d": [0.1, 0.5, 0.9]}
    first, second = (sample_set("a", ["1", "2", "3"], values) for _ in range(2))
    assert np.array_equal(first.draws["d"], second.draws["d"])
