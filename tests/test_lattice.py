import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.image import ArrayImage, Image
from samovar.lattice import MOST, TILE, Lattice, Tiling, plan_prompted, plan_tiles
from samovar.plans import Step
from samovar.prompts import Prompt

HALO = Tiling().halo


def flat(rows: int, columns: int, origin: tuple[int, int] | None = None) -> Image:
    image = ArrayImage(np.broadcast_to(np.uint8(0), (rows, columns)))
    image.origin = origin
    return image


def asked(image: Image, prompts: list[Prompt]) -> list[Step]:
    return plan_prompted(image, prompts, Tiling())


@given(
    st.integers(1, 1500), st.integers(1, 1500), st.integers(0, 2000), st.integers(0, 2000),
    st.sampled_from([1, 128, 200, 300]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_cores_tile_the_image_exactly_and_lie_in_their_regions(rows, columns, y, x, largest):
    lattice = Lattice((rows, columns), (y, x), Tiling(largest))
    whole = Region((0, 0), (rows, columns))
    seen = np.zeros((rows, columns), dtype=np.uint8)
    views = list(lattice)
    assert len(views) == len(lattice)
    for view in views:
        assert view.region.contains(view.core)
        assert whole.contains(view.region)
        assert max(view.region.shape) <= lattice.tiling.tile
        seen[view.core.slices] += 1
        for axis, n in ((0, rows), (1, columns)):
            if view.core.start[axis] > 0:
                assert view.core.start[axis] - view.region.start[axis] >= lattice.tiling.halo
            if view.core.stop[axis] < n:
                assert view.region.stop[axis] - view.core.stop[axis] >= lattice.tiling.halo
    assert (seen == 1).all()


@given(st.integers(1, 3000), st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_no_tile_more_than_suffices(length, start):
    tiling = Tiling()
    count = len(Lattice((length, 1), (start, 0), tiling))
    # with one tile less, wherever the lattice begins, some pixel would be in no tile
    fewest = [
        n
        for n in range(1, count + 1)
        if any(
            first * tiling.stride <= start
            and start + length <= (first + n - 1) * tiling.stride + tiling.tile
            for first in range(start // tiling.stride + 1)
        )
    ]
    assert count == fewest[0]


def test_four_tiles_where_four_suffice():
    side = 2 * TILE - 2 * HALO
    assert len(Lattice((side, side))) == 4
    assert len(Lattice((side + 1, side))) == 6


@given(st.integers(0, 1500), st.integers(0, 1500))
@settings(max_examples=40, deadline=None)
def test_a_part_cut_out_has_the_tiles_of_the_whole(y, x):
    whole = {v.key: v for v in Lattice((4000, 4000))}
    part = Lattice((2000, 1900), (y, x))
    rows, columns = part._ranges
    for view in part:
        r, c = (int(v) for v in view.key[1:].split("c"))
        if r in (rows.start, rows.stop - 1) or c in (columns.start, columns.stop - 1):
            continue  # at the edge of the part a tile sees less
        assert view.core.shift((y, x)) == whole[view.key].core
        assert view.region.shift((y, x)) == whole[view.key].region


def test_a_larger_declared_size_gives_wider_halos_and_tiles():
    assert (Tiling().tile, Tiling().halo) == (TILE, 64)
    assert Tiling(200).halo == 100
    assert Tiling(1000).tile == 2000
    with pytest.raises(UsageError, match="--gsd"):
        Tiling(MOST + 1)


def test_blank_areas_are_passed_over_many_tiles_at_a_time():
    full = Region((5000, 7000), (5100, 7100))
    questions = []

    def blank(region: Region) -> bool:
        questions.append(region)
        return region.intersect(full).empty

    lattice = Lattice((40_000, 40_000))
    found = list(lattice.occupied(blank))
    every = list(lattice)
    assert [v for _, v in found] == [v for v in every if not v.region.intersect(full).empty]
    assert all(every[place] == view for place, view in found)
    assert len(questions) < len(lattice) / 20


def test_tiles_are_planned_one_by_one():
    image = flat(10**6, 10**6)
    assert next(plan_tiles(image, Tiling())).view.key == "r0c0"


def test_a_prompt_is_asked_in_one_view_that_holds_it_whole():
    rng = np.random.default_rng(1)
    prompts = []
    for i in range(200):
        side = rng.uniform(5, 2 * HALO)
        x, y = rng.uniform(0, 3000 - side, 2)
        prompts.append(Prompt(i + 1, box=(x, y, x + side, y + side)))
    steps = asked(flat(3000, 3000), prompts)
    assert sorted(i for step in steps for i in step.objects) == list(range(1, 201))
    for step in steps:
        for i in step.objects:
            x0, y0, x1, y1 = prompts[i - 1].box
            r = step.view.region
            assert r.start[1] <= x0
            assert x1 <= r.stop[1]
            assert r.start[0] <= y0
            assert y1 <= r.stop[0]


def test_large_objects_get_a_coarser_view_of_their_own():
    (step,) = asked(flat(9000, 9000), [Prompt(1, box=(1000, 1000, 7000, 5000))])
    assert step.view.region.contains(Region((1000, 1000), (5000, 7000)))
    assert max(step.view.picture_shape) <= 2 * TILE


def test_no_tile_without_a_prompt():
    prompt = Prompt(1, points=((20.0, 30.0),), labels=(1,))
    assert len(asked(flat(9000, 9000), [prompt])) == 1


def test_small_images_are_one_view_and_small_parts_of_larger_ones_are_not():
    (step,) = plan_tiles(flat(700, 600), Tiling())
    assert step.view.region == Region((0, 0), (700, 600))
    assert len(list(plan_tiles(flat(700, 600, (0, 0)), Tiling()))) == 4


def test_views_turn_points_and_boxes_into_picture_coordinates():
    (step,) = asked(flat(4000, 4000), [Prompt(1, box=(1000, 1000, 3000, 3000))])
    view = step.view
    x0, y0, x1, y1 = view.box_to_picture((*view.region.start[::-1], *view.region.stop[::-1]))
    assert (x0, y0) == (0, 0)
    assert (y1, x1) == pytest.approx(view.picture_shape)
    scale = view.picture_shape[0] / view.shape[0]
    corner = view.point_to_picture((view.region.start[1] - 0.5, view.region.start[0] - 0.5))
    assert corner == pytest.approx((-0.5, -0.5))
    assert scale < 1
