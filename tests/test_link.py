import numpy as np

from samovar.grid import Region
from samovar.link import Part, UnionFind, link, merge
from samovar.masks import PixelMask
from samovar.view import View


def part(z: int, y0: int, y1: int, x0: int, x1: int) -> Part:
    region = Region((z, y0, x0), (z + 1, y1, x1))
    whole = Region((z, 0, 0), (z + 1, 100, 100))
    mask = PixelMask(region, np.ones(region.shape, dtype=bool))
    return Part(View(f"z{z}", whole, whole, 0), mask, 1.0, 1.0)


def test_cross_sections_of_adjacent_slices_are_one_object():
    parts = [part(3, 10, 30, 10, 30), part(4, 12, 28, 12, 28), part(7, 10, 30, 10, 30)]
    groups = link(parts)
    assert [len(g) for g in groups] == [2, 1]
    merged = merge([p.mask for p in groups[0]])
    assert merged.region == Region((3, 10, 10), (5, 30, 30))
    assert merged.inside.sum() == 400 + 256


def test_order_of_the_parts_does_not_matter():
    parts = [part(3, 10, 30, 10, 30), part(4, 50, 60, 50, 60), part(4, 12, 28, 12, 28)]
    a = [[p.mask.region for p in g] for g in link(parts)]
    b = [[p.mask.region for p in g] for g in link(parts[::-1])]
    assert a == b


def test_nothing_is_linked_to_nothing():
    assert link([]) == []


def test_union_find_groups_by_smallest_member():
    sets = UnionFind(6)
    sets.union(5, 3)
    sets.union(3, 1)
    sets.union(0, 4)
    assert sets.groups() == [[0, 4], [1, 3, 5], [2]]
