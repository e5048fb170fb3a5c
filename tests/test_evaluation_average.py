"""AP by size and AR by number of proposals, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.evaluation.average import Predicted, Truth, average_precision, average_recall
from samovar.masks import PixelMask


def box(x, y, width, height):
    return PixelMask.of(np.ones((height, width), dtype=bool), (y, x))


def test_perfect_answers_are_one_and_sizes_are_told_apart():
    true = [Truth(box(0, 0, 10, 10)), Truth(box(50, 50, 40, 40))]
    predicted = [Predicted(t.mask, 0.9) for t in true]
    found = average_precision([(predicted, true)])
    assert found["ap"] == found["ap50"] == found["ap_small"] == found["ap_medium"] == 1.0
    assert found["ap_large"] is None


def test_precision_counts_the_false_ones_before_the_right_one():
    true = [Truth(box(0, 0, 10, 10))]
    wrong, right = Predicted(box(60, 60, 10, 10), 0.9), Predicted(box(0, 0, 10, 10), 0.5)
    assert average_precision([([wrong, right], true)])["ap50"] == pytest.approx(0.5)
    better = Predicted(wrong.mask, 0.1)
    assert average_precision([([better, right], true)])["ap50"] == pytest.approx(1.0)


def test_the_thresholds_are_averaged():
    """An IoU of 0.7 counts at 0.5, 0.55, 0.6, 0.65 and 0.7: half of them."""
    found = average_precision([([Predicted(box(0, 0, 10, 7), 0.9)], [Truth(box(0, 0, 10, 10))])])
    assert found["ap"] == pytest.approx(0.5)
    assert (found["ap50"], found["ap75"]) == (1.0, 0.0)


def test_half_of_the_objects_found_is_half_of_the_recalls():
    true = [Truth(box(0, 0, 10, 10)), Truth(box(50, 0, 10, 10))]
    found = average_precision([([Predicted(true[0].mask, 0.9)], true)])
    assert found["ap"] == pytest.approx(51 / 101)


def test_an_object_is_found_once():
    true = [Truth(box(0, 0, 10, 10)), Truth(box(50, 0, 10, 10))]
    twice = [
        Predicted(true[0].mask, 0.9),
        Predicted(true[0].mask, 0.8),
        Predicted(true[1].mask, 0.7),
    ]
    found = average_precision([(twice, true)])
    # recall ½ at precision 1, recall 1 at precision ⅔
    assert found["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_classes_are_kept_apart_and_averaged():
    true = [Truth(box(0, 0, 10, 10), 1), Truth(box(50, 0, 10, 10), 2)]
    predicted = [Predicted(t.mask, 0.9, 1) for t in true]
    assert average_precision([(predicted, true)])["ap50"] == pytest.approx(0.5)


def test_crowds_count_neither_way():
    true = [Truth(box(0, 0, 10, 10)), Truth(box(50, 0, 40, 40), crowd=True)]
    predicted = [Predicted(box(52, 2, 5, 5), 0.9), Predicted(box(70, 9, 5, 5), 0.8),
                 Predicted(true[0].mask, 0.5)]  # fmt: skip
    assert average_precision([(predicted, true)])["ap"] == 1.0
    assert average_recall([(predicted, true)])["ar10"] == 1.0


def test_a_large_answer_does_not_count_against_small_objects():
    true = [Truth(box(0, 0, 10, 10))]
    predicted = [Predicted(box(100, 0, 50, 50), 0.9), Predicted(true[0].mask, 0.5)]
    found = average_precision([(predicted, true)])
    assert found["ap_small"] == 1.0
    assert found["ap50"] == pytest.approx(0.5)


def test_recall_depends_on_how_many_are_looked_at():
    true = [Truth(box(20 * i, 0, 10, 10)) for i in range(20)]
    predicted = [Predicted(t.mask, 1 - i / 100) for i, t in enumerate(true)]
    found = average_recall([(predicted, true)])
    assert (found["ar10"], found["ar100"], found["ar1000"]) == (0.5, 1.0, 1.0)
    assert average_recall([([], true)])["ar100"] == 0.0
    assert average_recall([(predicted, [])])["ar100"] == 0.0


def test_without_objects_there_is_no_figure():
    assert set(average_precision([([Predicted(box(0, 0, 3, 3), 1.0)], [])]).values()) == {None}
