import numpy as np
import pytest

from samovar.chains import PROBES, Chain, Course, Following, course
from samovar.errors import PromptError, UsageError
from samovar.grid import Frame, Grid, Region
from samovar.masks import PixelMask
from samovar.prompts import Prompt

GRID = Grid((10, 8, 8), np.eye(4), Frame.lps())


def key_box(z: int) -> tuple[float, ...]:
    return (1, 1, z, 5, 5, z + 1)


def visited(way: Course, count: int = 10) -> list[int]:
    return sorted([*way.keys, *(p for c in way.chains(count) for p in c.positions())])


def test_a_box_covers_the_slices_whose_centres_it_holds():
    box = course(Prompt(1, box=(0, 0, 2, 5, 5, 7)), GRID, 0)
    assert (box.first, box.keys, box.last, box.settled) == (2, (4,), 6, False)
    thin = course(Prompt(1, box=(0, 0, 2.6, 5, 5, 2.7)), GRID, 0)
    assert (thin.first, thin.keys, thin.last, thin.settled) == (2, (2,), 2, True)
    beyond = course(Prompt(1, box=(0, 0, -5, 5, 5, 99)), GRID, 0)
    assert (beyond.first, beyond.keys, beyond.last) == (0, (4,), 9)


def test_positive_points_in_the_box_are_keys_and_negative_ones_are_not():
    pointed = Prompt(
        1, box=(0, 0, 2, 5, 5, 9), points=((1, 1, 7.2), (1, 1, 3), (1, 1, 0)), labels=(1, 0, 1)
    )
    way = course(pointed, GRID, 0)
    assert (way.first, way.keys, way.last, way.settled) == (2, (7,), 8, True)


def test_points_alone_may_reach_as_far_as_the_volume_does():
    way = course(Prompt(1, points=((1, 1, 9.5),), labels=(1,)), GRID, 0)
    assert (way.keys, way.is_open) == ((9,), True)
    assert visited(way) == list(range(10))
    assert not any(c.bound(p) for c in way.chains(10) for p in c.positions())


def test_a_box_of_one_slice_stays_there_unless_it_may_grow():
    flat = Prompt(1, box=key_box(4))
    assert visited(course(flat, GRID, 0)) == [4]
    assert visited(course(flat, GRID, 0, "auto")) == list(range(10))


def test_every_slice_belongs_to_the_nearest_of_several_keys():
    way = course(Prompt(1, box=key_box(2), key_boxes=(key_box(7),)), GRID, 0)
    assert list(way.chains(10)) == [Chain(2, 1, 4, 4, 7), Chain(7, -1, 5, 5, 2)]
    assert visited(way) == [2, 3, 4, 5, 6, 7]
    neighbours = course(Prompt(1, box=key_box(2), key_boxes=(key_box(3),)), GRID, 0, "auto")
    assert visited(neighbours) == list(range(10))
    assert {c.sure for c in neighbours.chains(10)} == {2, 3}


def test_every_axis_can_be_sliced():
    for axis in range(3):
        low, high = [1.0, 1.0, 1.0], [5.0, 6.0, 7.0]
        way = course(Prompt(1, box=(*low, *high)), GRID, axis)
        assert (way.first, way.last) == (1, (6, 5, 4)[axis] - 0)


def test_probes_are_spread_over_unsettled_boxes_and_hold_their_middle():
    way = course(Prompt(1, box=(0, 0, 0, 5, 5, 10)), GRID, 0)
    assert way.probes(3) == [0, 4, 9]
    assert PROBES <= len(way.probes()) <= PROBES + 1
    middle = course(Prompt(1, box=(0, 0, 0, 5, 5, 10)), GRID, 0, anchor="middle")
    assert (middle.keys, middle.probes()) == ((4,), [])


def test_two_boxes_of_several_slices_are_refused():
    twice = Prompt(1, "liver", box=(0, 0, 0, 5, 5, 3), key_boxes=((0, 0, 5, 5, 5, 9),))
    with pytest.raises(PromptError, match=r"liver.* 2 boxes of several slices"):
        course(twice, GRID, 0)


def test_paint_is_a_key_and_lies_on_one_slice():
    def painted(depth: int) -> Prompt:
        region = Region((3, 1, 1), (3 + depth, 4, 4))
        mask = PixelMask(region, np.ones(region.shape, dtype=bool))
        return Prompt(1, box=(0, 0, 0, 5, 5, 10), painted=(mask,))

    assert course(painted(1), GRID, 0).keys == (3,)
    with pytest.raises(PromptError, match="one slice thick"):
        course(painted(2), GRID, 0)


def test_axes_go_by_their_names():
    assert [Following(axis).array_axis(GRID) for axis in "xyz"] == [2, 1, 0]
    assert Following().array_axis(GRID) == GRID.slice_axis()
    with pytest.raises(UsageError, match="auto, x, y or z"):
        Following("axial").array_axis(GRID)
