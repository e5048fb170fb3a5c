import numpy as np

from samovar.grid import Region
from samovar.link import Part, UnionFind, link, merge
from samovar.masks import PixelMask
from samovar.view import View


def tile(key: str, x0: int, x1: int, core0: int, core1: int) -> View:
    return View(key, Region((0, x0), (100, x1)), Region((0, core0), (100, core1)))


LEFT, RIGHT = tile("r0c0", 0, 120, 0, 100), tile("r0c1", 80, 200, 100, 200)


def part(view: View, y0: int, y1: int, x0: int, x1: int) -> Part:
    region = Region((y0, x0), (y1, x1))
    return Part(view, PixelMask(region, np.ones(region.shape, dtype=bool)), 1.0, 1.0)


def test_halves_of_an_object_are_one_when_the_halo_agrees():
    (group,) = link([part(LEFT, 10, 30, 60, 120), part(RIGHT, 10, 30, 80, 150)])
    merged = merge([p.mask for p in group])
    assert merged.region == Region((10, 60), (30, 150))
    assert merged.inside.all()


def test_neighbours_that_do_not_share_pixels_stay_two():
    assert len(link([part(LEFT, 10, 30, 60, 100), part(RIGHT, 10, 30, 100, 150)])) == 2


def test_touching_objects_of_one_tile_stay_two():
    assert len(link([part(LEFT, 10, 30, 10, 40), part(LEFT, 30, 50, 10, 40)])) == 2


def test_what_only_the_halo_saw_belongs_to_its_owner():
    assert link([part(LEFT, 10, 30, 105, 118)]) == []
    assert len(link([part(LEFT, 10, 30, 105, 118), part(RIGHT, 10, 30, 105, 130)])) == 1


def test_order_of_the_parts_does_not_matter():
    parts = [part(RIGHT, 10, 30, 80, 150), part(LEFT, 50, 70, 5, 20), part(LEFT, 10, 30, 60, 120)]
    a = [[p.mask.region for p in g] for g in link(parts)]
    b = [[p.mask.region for p in g] for g in link(parts[::-1])]
    assert a == b


def test_union_find_groups_by_smallest_member():
    sets = UnionFind(6)
    sets.union(5, 3)
    sets.union(3, 1)
    sets.union(0, 4)
    assert sets.groups() == [[0, 4], [1, 3, 5], [2]]
