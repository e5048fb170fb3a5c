import numpy as np
import pytest

from samovar import frontier, second_look
from samovar.assembly import LargeObject, object_of_group
from samovar.frontier import Frontier
from samovar.grid import Region
from samovar.image import ArrayImage
from samovar.link import Part
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart, Spill, from_bytes, to_bytes
from samovar.seams import Sight, settle
from samovar.view import View

IMAGE = Region((0, 0), (100, 200))


def tile(key: str, x0: int, x1: int, core0: int, core1: int) -> View:
    return View(key, Region((0, x0), (100, x1)), Region((0, core0), (100, core1)))


LEFT, RIGHT = tile("r0c0", 0, 120, 0, 100), tile("r0c1", 80, 200, 100, 200)


def mask(y0: int, y1: int, x0: int, x1: int) -> PixelMask:
    region = Region((y0, x0), (y1, x1))
    return PixelMask(region, np.ones(region.shape, dtype=bool))


def part(view: View, *bounds: int) -> RestingPart:
    return RestingPart.of(Part(view, mask(*bounds), 1.0, 1.0))


def joined(left: list[tuple[int, ...]], right: list[tuple[int, ...]]) -> list[list[Region]]:
    frontier = Frontier(IMAGE)
    groups = frontier.add(LEFT, [part(LEFT, *b) for b in left])
    groups += frontier.add(RIGHT, [part(RIGHT, *b) for b in right])
    return [[m.region for m in g.members] for g in groups + frontier.finish()]


def test_halves_of_an_object_are_one_when_the_halo_agrees():
    ((a, b),) = joined([(10, 30, 60, 120)], [(10, 30, 80, 150)])
    assert a.union(b) == Region((10, 60), (30, 150))


def test_neighbours_that_do_not_share_pixels_stay_two():
    assert len(joined([(10, 30, 60, 100)], [(10, 30, 100, 150)])) == 2


def test_touching_objects_of_one_tile_stay_two():
    assert len(joined([(10, 30, 10, 40), (30, 50, 10, 40)], [])) == 2


def test_what_only_the_halo_saw_belongs_to_its_owner():
    assert joined([(10, 30, 105, 118)], []) == []
    assert len(joined([(10, 30, 105, 118)], [(10, 30, 105, 130)])) == 1


def test_a_piece_cut_off_by_its_tile_belongs_to_the_object_that_goes_on():
    # three teeth of a comb, whose back only the right tile sees
    teeth = [(10, 20, 60, 120), (30, 40, 60, 120), (50, 60, 60, 120)]
    comb = np.zeros((50, 60), dtype=bool)
    for y0, y1, _, _ in teeth:
        comb[y0 - 10 : y1 - 10, :45] = True
    comb[:, 45:] = True
    seen = Part(RIGHT, PixelMask(Region((10, 80), (60, 140)), comb), 1.0, 1.0)
    frontier = Frontier(IMAGE)
    frontier.add(LEFT, [part(LEFT, *t) for t in teeth])
    frontier.add(RIGHT, [RestingPart.of(seen)])
    (group,) = frontier.finish()
    assert len(group.members) == 4


def test_what_is_finished_leaves_when_the_next_row_begins():
    frontier = Frontier(Region((0, 0), (500, 200)))
    top = View("r0c0", Region((0, 0), (100, 200)), Region((0, 0), (90, 200)))
    below = View("r1c0", Region((80, 0), (180, 200)), Region((90, 0), (170, 200)))
    assert frontier.add(top, [part(top, 10, 30, 5, 9), part(top, 60, 95, 5, 9)]) == []
    (done,) = frontier.add(below, [part(below, 80, 95, 5, 9)])
    assert done.region == Region((10, 5), (30, 9))
    assert frontier.row == 60
    (rest,) = frontier.finish()
    assert rest.region == Region((60, 5), (95, 9))
    with pytest.raises(ValueError, match="after one at 80"):
        frontier.add(top, [])


def test_masks_beyond_the_budget_wait_on_disk_and_come_back():
    a, b = Frontier(IMAGE), Frontier(IMAGE, budget=0)
    rng = np.random.default_rng(0)
    noise, parts = rng.random((50, 90)) > 0.2, {}
    for view, x0, x1 in ((LEFT, 60, 120), (RIGHT, 80, 150)):
        noisy = PixelMask(Region((10, x0), (60, x1)), noise[:, x0 - 60 : x1 - 60])
        parts[view.key] = RestingPart.of(Part(view, noisy, 1.0, 1.0))
    found = []
    for joined in (a, b):
        joined.add(LEFT, [parts["r0c0"]])
        joined.add(RIGHT, [parts["r0c1"]])
        (group,) = joined.finish()
        found.append([m.mask().inside for m in group.members])
    assert all((p == q).all() for p, q in zip(*found, strict=True))


def test_parts_come_back_from_their_bytes():
    parts = [part(LEFT, 10, 30, 60, 120), part(RIGHT, 3, 4, 80, 81)]
    back = from_bytes(to_bytes(parts))
    assert [p.region for p in back] == [p.region for p in parts]
    assert back[0].mask.inside.all()
    assert back[0].pixels == 20 * 60
    assert to_bytes(back) == to_bytes(parts)


def test_where_tiles_agree_the_seam_is_their_union():
    one = settle([Sight(LEFT, mask(10, 30, 60, 120)), Sight(RIGHT, mask(10, 30, 80, 150))])
    assert one.region == Region((10, 60), (30, 150))
    assert one.inside.all()


def test_what_one_tile_alone_saw_does_not_end_in_its_straight_edge():
    # the left tile draws the object 10 rows taller than the right one, up to its own edge at 120
    tall, low = mask(10, 40, 60, 120), mask(10, 30, 80, 150)
    one = settle([Sight(LEFT, tall), Sight(RIGHT, low)])
    full = np.zeros((100, 200), dtype=bool)
    full[one.region.slices] = one.inside
    # the strip of the dispute, rows 30 to 40, goes or stays whole: 80 is where it must end
    assert full[30:40, 60:80].all()
    assert len(np.unique(full[30:40, 80:120])) == 1


def test_a_disputed_patch_inside_the_halo_goes_to_its_owner():
    bump = np.zeros((20, 60), dtype=bool)
    bump[:10] = True
    bump[10:, 45:50] = True  # columns 105 to 110: in the core of the right tile, which says no
    left = PixelMask(Region((10, 60), (30, 120)), bump)
    one = settle([Sight(LEFT, left), Sight(RIGHT, mask(10, 20, 80, 150))])
    assert one.region == Region((10, 60), (20, 150))


def test_an_object_too_large_for_one_array_is_kept_in_pieces(monkeypatch):
    monkeypatch.setattr("samovar.assembly.WHOLE_PIXELS", 100)
    monkeypatch.setattr("samovar.assembly.PIECE", 16)
    image = ArrayImage(np.zeros((100, 200), dtype=np.uint8))
    frontier = Frontier(IMAGE)
    frontier.add(LEFT, [part(LEFT, 10, 30, 60, 120)])
    frontier.add(RIGHT, [part(RIGHT, 10, 30, 80, 150)])
    (group,) = frontier.finish()
    item = object_of_group(group, 7, image, Spill())
    assert isinstance(item, LargeObject)
    assert item.region == Region((10, 60), (30, 150))
    assert item.pixels == 20 * 90
    assert item.mask.all()
    assert item.measures["pixels"] == 20 * 90
    assert sum(p.inside.sum() for p in item.pieces()) == 20 * 90
    assert not item.window(Region((0, 0), (10, 200))).any()


def test_boxes_that_overlap_are_found_without_comparing_all_with_all(monkeypatch):
    rng = np.random.default_rng(0)
    shared = Region((100, 40), (140, 700))

    def boxes(count: int) -> np.ndarray:
        corners = rng.integers(0, [200, 750], (count, 2))
        return np.hstack([corners, corners + rng.integers(1, 60, (count, 2))])

    a, b = boxes(300), boxes(250)
    low, high = np.array(shared.start), np.array(shared.stop)
    first = np.maximum(np.maximum(a[:, None, :2], b[None, :, :2]), low)
    last = np.minimum(np.minimum(a[:, None, 2:], b[None, :, 2:]), high)
    wanted = np.argwhere((last > first).all(axis=2))
    np.testing.assert_array_equal(frontier._touching(a, b, shared), wanted)
    largest = 0
    real = np.minimum

    def watched(x, y, *rest):
        nonlocal largest
        largest = max(largest, np.broadcast(x, y).size)
        return real(x, y, *rest)

    monkeypatch.setattr(frontier.np, "minimum", watched)
    frontier._touching(a, b, shared)
    assert largest < a.size * len(b) / 4


def test_recent_objects_are_compared_only_where_a_second_look_could_double_them(monkeypatch):
    compared = []
    monkeypatch.setattr(second_look, "_doubles", lambda a, b: compared.append(1) or False)
    recent = second_look.Recent()
    square = np.ones((5, 5), dtype=bool)
    for i in range(200):
        item = SegmentedObject.from_mask(i, PixelMask.of(square, (0, 6 * (i % 60))))
        assert not recent.has(item, again=False)
        recent.add(item, again=False)
    assert not compared
    recent.has(item, again=True)
    assert compared
