"""Measures of agreement, against values worked out by hand and against plain definitions."""

import numpy as np
import pytest
from scipy import ndimage

from samovar.evaluation.metrics import (
    Found,
    auroc,
    boundary_iou,
    detection,
    dice,
    iou,
    iou_matrix,
    match,
    overlap,
    surface_dice,
)
from samovar.masks import PixelMask


def window(shape, y0, x0, y1, x1) -> PixelMask:
    full = np.zeros(shape, dtype=bool)
    full[y0:y1, x0:x1] = True
    return PixelMask.of(full)


EMPTY = PixelMask.of(np.zeros((5, 5), dtype=bool))


def test_half_overlapping_squares():
    a, b = window((40, 40), 10, 10, 20, 20), window((40, 40), 10, 15, 20, 25)
    assert overlap(a, b) == 50
    assert dice(a, b) == pytest.approx(100 / 200)
    assert iou(a, b) == pytest.approx(50 / 150)


def test_masks_that_do_not_touch_and_empty_ones():
    a, b = window((40, 40), 0, 0, 5, 5), window((40, 40), 20, 20, 30, 30)
    assert (dice(a, b), iou(a, b)) == (0, 0)
    assert (dice(a, EMPTY), iou(EMPTY, a)) == (0, 0)
    assert (dice(EMPTY, EMPTY), iou(EMPTY, EMPTY)) == (1, 1)


def test_random_masks_agree_with_the_definitions_on_whole_arrays():
    rng = np.random.default_rng(1)
    for _ in range(20):
        full = ndimage.gaussian_filter(rng.normal(size=(2, 60, 50)), (0, 4, 4)) > 0.02
        a, b = PixelMask.of(full[0]), PixelMask.of(full[1])
        both, either = (full[0] & full[1]).sum(), (full[0] | full[1]).sum()
        assert iou(a, b) == pytest.approx(both / either)
        assert dice(a, b) == pytest.approx(2 * both / full.sum())
        width = max(1, round(0.02 * np.hypot(60, 50)))
        bands = [m & ~ndimage.binary_erosion(m, np.ones((3, 3)), width) for m in full]
        wanted = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
        assert boundary_iou(a, b, (60, 50)) == pytest.approx(wanted)


def test_boundary_iou_notices_an_edge_that_iou_hardly_does():
    a, b = window((200, 200), 20, 20, 180, 180), window((200, 200), 23, 23, 177, 177)
    assert iou(a, b) > 0.92
    assert boundary_iou(a, b, (200, 200)) < 0.5


def test_a_true_object_is_found_once_by_the_best_scored():
    true = [window((50, 50), 0, 0, 10, 10), window((50, 50), 30, 30, 40, 40)]
    predicted = [true[0], window((50, 50), 0, 0, 10, 9), window((50, 50), 30, 20, 40, 30)]
    found = match(predicted, [0.5, 0.9, 0.8], true)
    assert found.hits == (False, True, False)
    assert found.truths == 2
    assert iou_matrix(predicted, true).shape == (3, 2)


def test_detection_of_a_known_ranking():
    # ranked: hit, miss, hit; 4 true objects → precision 1 at recall ¼, ⅔ at recall ½
    found = [Found((0.9, 0.7), (True, True), 3), Found((0.8,), (False,), 1)]
    result = detection(found)
    assert result["ap50"] == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert result["f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert (result["predicted"], result["true"]) == (3, 4)
    assert result["count_error"] == pytest.approx((1 + 0) / 2)


def test_nothing_predicted_is_worth_nothing():
    assert detection([Found((), (), 2)])["ap50"] == 0
    assert match([], [], [window((9, 9), 0, 0, 3, 3)]).hits == ()


def test_auroc_is_the_chance_that_a_positive_scores_higher() -> None:
    assert auroc([3, 2, 1, 0], [True, True, False, False]) == 1.0
    assert auroc([0, 1, 2, 3], [True, True, False, False]) == 0.0
    assert auroc([1, 1, 1], [True, False, True]) == 0.5
    assert auroc([5, 1, 3, 2], [True, True, False, False]) == 0.5
    assert auroc([1.0, 2.0], [True, True]) is None


def cube(low, high, shape=(20, 40, 40)):
    full = np.zeros(shape, dtype=bool)
    full[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return PixelMask.of(full)


def test_surface_dice_counts_millimetres_and_not_voxels():
    true = cube((5, 10, 10), (15, 30, 30))
    moved = cube((5, 13, 10), (15, 33, 30))  # 3 voxels along y
    assert surface_dice(true, true, (1, 1, 1), 2.0) == 1
    assert surface_dice(moved, true, (1, 0.5, 1), 2.0) == 1  # 1.5 mm
    assert surface_dice(moved, true, (1, 2, 1), 2.0) < 0.95  # 6 mm
    assert surface_dice(moved, true, (1, 2, 1), 6.0) == 1
    nothing = cube((0, 0, 0), (0, 0, 0))
    assert surface_dice(nothing, true, (1, 1, 1), 2.0) == 0
    assert surface_dice(true, nothing, (1, 1, 1), 2.0) == 0
    assert surface_dice(nothing, nothing, (1, 1, 1), 2.0) == 1


def test_surface_dice_by_hand():
    """Two lines of 8 pixels, 3 apart at their ends: the share of pixels within 1."""
    a, b = cube((0, 0, 0), (1, 1, 8)), cube((0, 0, 3), (1, 1, 11))
    assert surface_dice(a, b, (1, 1, 1), 1.0) == pytest.approx(12 / 16)


@pytest.mark.slow
def test_surface_dice_is_monais():
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for spacing in ((1, 1, 1), (3.0, 0.7, 0.9)):
        pair = [ndimage.gaussian_filter(rng.normal(size=(14, 30, 28)), 2) > 0.02 for _ in range(2)]
        wanted = metrics.compute_surface_dice(
            *(torch.from_numpy(np.pad(m, 1)[None, None]) for m in pair), class_thresholds=[2.0],
            include_background=True, spacing=list(spacing),
        ).item()  # fmt: skip
        found = surface_dice(*(PixelMask.of(m) for m in pair), spacing, 2.0)
        assert found == pytest.approx(wanted, abs=1e-6)
