import numpy as np

from samovar.grid import Region
from samovar.masks import PixelMask
from samovar.suppression import box_iou, overlap, suppress


def square(y: int, x: int, side: int = 10) -> PixelMask:
    return PixelMask(Region((y, x), (y + side, x + side)), np.ones((side, side), dtype=bool))


def test_better_of_two_that_overlap_stays():
    masks = [square(0, 0), square(1, 1), square(50, 50)]
    assert suppress(masks, np.array([0.5, 0.9, 0.7]), 0.5) == [1, 2]
    assert suppress(masks, np.array([0.5, 0.9, 0.7]), 0.9) == [1, 2, 0]


def test_empty_masks_never_stay():
    empty = PixelMask.of(np.zeros((4, 4), dtype=bool))
    assert suppress([empty], np.array([1.0])) == []


def test_overlap_counts_inside_a_region():
    assert overlap(square(0, 0), square(0, 5)) == (50, 150)
    assert overlap(square(0, 0), square(0, 5), Region((0, 5), (10, 10))) == (50, 50)
    assert overlap(square(0, 0), square(40, 40)) == (0, 200)


def test_box_iou_is_symmetric_with_ones_on_the_diagonal():
    boxes = np.random.default_rng(0).uniform(0, 10, (20, 2))
    boxes = np.concatenate([boxes, boxes + 5], axis=1)
    iou = box_iou(boxes)
    assert np.allclose(iou, iou.T)
    assert np.allclose(np.diag(iou), 1)
