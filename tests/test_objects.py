import numpy as np
import pytest

from samovar.errors import OutputError
from samovar.grid import Grid, Region
from samovar.image import ArrayImage
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

GRID = Grid((40, 50), np.eye(3))


def block(id: int, y: int, x: int, h: int, w: int, score: float = 0.5) -> SegmentedObject:
    region = Region((y, x), (y + h, x + w))
    mask = PixelMask(region, np.ones((h, w), dtype=bool))
    return SegmentedObject.from_mask(id, mask, score=score)


def test_masks_come_back_from_their_bits():
    inside = np.random.default_rng(0).random((7, 11)) > 0.5
    item = SegmentedObject.from_mask(3, PixelMask.of(inside, (10, 20)))
    assert item.pixels == inside.sum()
    image = Objects(GRID, (item,)).labels()
    assert np.array_equal(image[10:17, 20:31] == 3, inside)
    assert image.sum() == 3 * inside.sum()


def test_a_small_object_is_not_hidden_by_a_larger_one_whatever_their_scores():
    organ, lesion = block(1, 0, 0, 30, 30, 0.9), block(2, 10, 10, 4, 4, 0.3)
    for items in ((organ, lesion), (lesion, organ)):
        labels = Objects(GRID, items).labels()
        assert (labels == 2).sum() == 16
        assert (labels == 1).sum() == 900 - 16


def test_of_equally_large_objects_the_higher_score_shows():
    labels = Objects(GRID, (block(1, 0, 0, 9, 9, 0.9), block(2, 5, 5, 9, 9, 0.3))).labels()
    assert (labels == 1).sum() == 81


def test_labels_of_a_region_are_a_cut_of_the_whole():
    objects = Objects(GRID, (block(1, 3, 3, 20, 20), block(2, 10, 30, 5, 5)))
    region = Region((5, 10), (15, 40))
    assert np.array_equal(objects.labels(region), objects.labels()[region.slices])


def test_three_hundred_objects_do_not_overflow():
    objects = Objects(GRID, tuple(block(i, i // 20 * 2, i % 20 * 2, 1, 1) for i in range(1, 301)))
    labels = objects.labels()
    assert labels.dtype == np.uint16
    assert len(np.unique(labels)) == 301


def test_the_table_has_bounds_in_x_y_order_and_max_exclusive():
    (row,) = Objects(GRID, (block(1, 3, 7, 2, 5),)).table()
    assert row["bounds"] == [7, 3, 12, 5]


def test_empty_objects_have_no_pixels_and_paint_nothing():
    empty = SegmentedObject.from_mask(1, PixelMask.of(np.zeros((5, 5), dtype=bool)))
    assert empty.empty
    assert empty.pixels == 0
    assert not Objects(GRID, (empty,)).labels().any()


def test_saving_needs_an_image_and_a_writer(tmp_path):
    objects = Objects(GRID, (block(1, 3, 7, 2, 5),))
    with pytest.raises(OutputError, match="no image"):
        objects.save(tmp_path / "a.png")
    with_image = Objects(GRID, objects.items, {}, ArrayImage(np.zeros(GRID.shape, np.uint8)))
    with_image.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
    with pytest.raises(OutputError):
        with_image.save(tmp_path / "a.nobody")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_object_of_slices_is_the_object_of_its_volume(axis):
    whole = np.random.default_rng(axis).random((21, 13, 11)) > 0.7
    slices = {}
    for position in range(2, whole.shape[axis] - 1, 2):  # every other one is empty
        flat = PixelMask.of(np.take(whole, position, axis))
        slices[position] = (flat.region, lambda flat=flat: flat)
    expected = np.zeros_like(whole)
    place = [slice(None)] * 3
    place[axis] = slice(2, whole.shape[axis] - 1, 2)
    expected[tuple(place)] = whole[tuple(place)]
    item = SegmentedObject.from_slices(4, axis, slices, name="n")
    tight = PixelMask.of(expected)
    assert item.region == tight.region
    assert np.array_equal(item.mask, tight.inside)
    assert item.pixels == expected.sum()
    assert SegmentedObject.from_slices(4, axis, {}).empty


def test_any_part_of_a_mask_can_be_looked_at_alone():
    inside = np.random.default_rng(1).random((9, 5, 7)) > 0.5
    item = SegmentedObject.from_mask(1, PixelMask(Region((3, 2, 1), (12, 7, 8)), inside))
    whole = np.zeros((14, 9, 10), dtype=bool)
    whole[3:12, 2:7, 1:8] = inside
    for start, stop in (((0, 0, 0), (14, 9, 10)), ((4, 3, 2), (5, 9, 4)), ((0, 0, 0), (2, 9, 10))):
        region = Region(start, stop)
        assert np.array_equal(item.window(region), whole[region.slices])


def test_a_large_object_is_never_unpacked_as_a_whole():
    import tracemalloc

    inside = np.ones((256, 256), dtype=bool)
    flat = PixelMask(Region((0, 0), (256, 256)), inside)
    slices = {z: (flat.region, lambda: flat) for z in range(200)}
    grid = Grid((200, 256, 256), np.eye(4))
    tracemalloc.start()
    try:
        item = SegmentedObject.from_slices(300, 0, slices)
        assert item.pixels == 200 * 256 * 256
        objects = Objects(grid, (item,))
        assert objects.label_dtype == np.uint16
        for z in range(0, 200, 10):
            region = Region((z, 0, 0), (z + 10, 256, 256))
            assert (objects.labels(region) == 300).all()
        assert tracemalloc.get_traced_memory()[1] < 200 * 256 * 256 / 2
    finally:
        tracemalloc.stop()
