import numpy as np
import pytest

from samovar.grid import Frame, Grid, Region
from samovar.plans import HALO, TILE, Extent, extent, plan_probes, plan_slices, plan_tiles, tiles
from samovar.prompts import Prompt


def flat(rows: int, columns: int) -> Grid:
    return Grid((rows, columns), np.eye(3))


def volume(n: int = 10) -> Grid:
    return Grid((n, 8, 8), np.eye(4), Frame.lps())


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (896, 896), (897, 1300), (5000, 513)])
def test_cores_tile_the_image_exactly_and_lie_in_their_regions(shape):
    seen = np.zeros(shape, dtype=np.uint8)
    for view in tiles(flat(*shape)):
        assert view.region.contains(view.core)
        assert max(view.region.shape) <= TILE
        assert flat(*shape).region.contains(view.region)
        seen[view.core.slices] += 1
    assert (seen == 1).all()


def test_four_tiles_where_four_suffice():
    side = 2 * TILE - 2 * HALO
    assert len(list(tiles(flat(side, side)))) == 4
    assert len(list(tiles(flat(side + 1, side)))) == 6


def test_inner_cores_have_a_halo_on_every_inner_side():
    for view in tiles(flat(2000, 2000)):
        for axis in (0, 1):
            if view.core.start[axis] > 0:
                assert view.core.start[axis] - view.region.start[axis] >= HALO
            if view.core.stop[axis] < 2000:
                assert view.region.stop[axis] - view.core.stop[axis] >= HALO


def test_a_prompt_is_asked_in_one_view_that_holds_it_whole():
    grid = flat(3000, 3000)
    rng = np.random.default_rng(1)
    prompts = []
    for i in range(200):
        side = rng.uniform(5, 2 * HALO)
        x, y = rng.uniform(0, 3000 - side, 2)
        prompts.append(Prompt(i + 1, box=(x, y, x + side, y + side)))
    steps = plan_tiles(grid, prompts)
    asked = [i for step in steps for i in step.objects or ()]
    assert sorted(asked) == list(range(1, 201))
    for step in steps:
        for i in step.objects or ():
            x0, y0, x1, y1 = prompts[i - 1].box
            r = step.view.region
            assert r.start[1] <= x0
            assert x1 <= r.stop[1]
            assert r.start[0] <= y0
            assert y1 <= r.stop[0]


def test_large_objects_get_a_coarser_view_of_their_own():
    (step,) = plan_tiles(flat(9000, 9000), [Prompt(1, box=(1000, 1000, 7000, 5000))])
    assert step.view.region.contains(Region((1000, 1000), (5000, 7000)))
    assert max(step.view.picture_shape) <= 2 * TILE


def test_no_tile_without_a_prompt():
    assert len(plan_tiles(flat(9000, 9000), [Prompt(1, points=((20.0, 30.0),), labels=(1,))])) == 1


def test_small_images_are_one_view():
    (step,) = plan_tiles(flat(700, 600), None)
    assert step.view.region == flat(700, 600).region


def test_box_extent_covers_the_slices_whose_centres_it_holds():
    box = Prompt(1, box=(0, 0, 2, 5, 5, 7))
    assert extent(box, volume(), 0) == Extent(2, 4, 6, settled=False)
    thin = extent(Prompt(1, box=(0, 0, 2.6, 5, 5, 2.7)), volume(), 0)
    assert thin == Extent(2, 2, 2, settled=False)
    beyond = extent(Prompt(1, box=(0, 0, -5, 5, 5, 99)), volume(), 0)
    assert beyond == Extent(0, 4, 9, settled=False)


def test_positive_points_say_where_to_start():
    pointed = Prompt(1, box=(0, 0, 2, 5, 5, 9), points=((1, 1, 7.2), (1, 1, 3)), labels=(1, 0))
    assert extent(pointed, volume(), 0) == Extent(2, 7, 8)
    last = Prompt(1, points=((1, 1, 9.5),), labels=(1,))
    assert extent(last, volume(), 0) == Extent(0, 9, 9)


def test_probes_are_spread_over_unsettled_objects_and_hold_their_middle():
    extents = {1: Extent(0, 4, 9, settled=False), 2: Extent(0, 7, 9)}
    steps = plan_probes(volume(), extents, 0, 3)
    assert [(s.position, s.objects) for s in steps] == [(0, (1,)), (4, (1,)), (9, (1,))]


def test_two_sweeps_visit_each_slice_of_each_object_once():
    extents = {1: Extent(2, 4, 6), 2: Extent(5, 5, 8)}
    steps = plan_slices(volume(), extents, 0)
    seen = sorted((i, s.position) for s in steps for i in s.objects or ())
    assert seen == sorted([(1, z) for z in range(2, 7)] + [(2, z) for z in range(5, 9)])
    up = [s.position for s in steps if s.sweep > 0]
    down = [s.position for s in steps if s.sweep < 0]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)


def test_views_turn_points_and_boxes_into_picture_coordinates():
    grid = flat(4000, 4000)
    (step,) = plan_tiles(grid, [Prompt(1, box=(1000, 1000, 3000, 3000))])
    view = step.view
    x0, y0, x1, y1 = view.box_to_picture((*view.region.start[::-1], *view.region.stop[::-1]))
    assert (x0, y0) == (0, 0)
    assert (y1, x1) == pytest.approx(view.picture_shape)
    scale = view.picture_shape[0] / view.shape[0]
    corner = view.point_to_picture((view.region.start[1] - 0.5, view.region.start[0] - 0.5))
    assert corner == pytest.approx((-0.5, -0.5))
    assert scale < 1
