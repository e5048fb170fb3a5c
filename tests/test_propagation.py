import numpy as np

from samovar.bounds import fit
from samovar.chains import course
from samovar.grid import Frame, Grid, Region
from samovar.masks import Masks, PixelMask
from samovar.prompts import Prompt
from samovar.propagation import Propagation

GRID = Grid((12, 40, 40), np.eye(4), Frame.lps())
NOTHING = PixelMask.of(np.zeros((40, 40), dtype=bool))


def square(side: int, offset: int = 5) -> PixelMask:
    array = np.zeros((40, 40), dtype=bool)
    array[offset : offset + side, offset : offset + side] = True
    return PixelMask.of(array)


def answer(mask: PixelMask, quality: float = 0.9, stability: float = 0.9) -> Masks:
    one = np.ones(1, np.float32)
    return Masks((1,), (mask,), one * quality, np.ones((1, 4, 4), np.float32), one * stability)


class Walk:
    """One object, its steps taken by hand."""

    def __init__(self, prompt: Prompt, **way) -> None:
        self.follow = Propagation(GRID, 0)
        self.follow.set(prompt, course(prompt, GRID, 0, **way))
        self.steps = {s.position: s for s in self.follow.plan()}

    def asked(self, z: int) -> Prompt:
        (prompt,) = self.follow.ask(self.steps[z])
        return prompt

    def answered(self, z: int, masks: Masks, second: Masks | None = None) -> None:
        self.asked(z)
        self.follow.learn(self.steps[z], masks, second)

    def doubts(self, z: int, masks: Masks) -> tuple[Prompt, ...]:
        self.asked(z)
        return self.follow.doubts(self.steps[z], masks).objects

    def alive(self, z: int) -> bool:
        return self.follow.needed(self.steps[z])

    def mask(self, z: int) -> PixelMask:
        return self.follow.answers[1][z].unpack()


def boxed(*box: float, **way) -> Walk:
    return Walk(Prompt(1, box=box), **{"anchor": "middle", **way})


def test_the_next_slice_gets_the_mask_as_prior_and_its_box_with_a_margin():
    walk = boxed(0, 0, 0, 40, 40, 12)
    first = walk.asked(5)
    assert first.box == (0, 0, 40, 40)
    assert first.mask is None
    walk.answered(5, answer(square(10)))
    for z in (4, 6):
        assert walk.asked(z).box == (4, 4, 16, 16)
        assert (walk.asked(z).mask == 1).all()


def test_the_box_never_leaves_the_prompts_own():
    walk = boxed(5, 5, 0, 12, 12, 12)
    walk.answered(5, answer(square(20, offset=3)))
    assert walk.asked(6).box == (5, 5, 12, 12)


def test_an_empty_mask_falls_back_to_the_prompts_box():
    walk = boxed(0, 0, 0, 40, 40, 12)
    walk.answered(5, answer(square(10)))
    walk.answered(6, answer(NOTHING))
    assert walk.asked(7).box == (0, 0, 40, 40)
    assert walk.asked(7).mask is None


def test_steps_go_from_the_key_upwards_then_downwards_and_each_slice_comes_once():
    follow = boxed(0, 0, 2, 40, 40, 7).follow
    order = [(s.sweep, s.position) for s in follow.plan()]
    assert order == [(0, 4), (1, 5), (1, 6), (-1, 3), (-1, 2)]


def test_the_anchor_moves_where_the_middle_fits_the_box_badly():
    prompt = Prompt(1, box=(5, 5, 0, 25, 25, 12))
    for scores, key in (
        ({0: 0.2, 5: 0.3, 11: 0.8}, 11),
        ({0: 0.9, 5: 0.4, 11: 0.4}, 5),  # not so much better
        ({0: 0.1, 5: 0.1, 11: 0.45}, 5),  # not good itself
    ):
        follow = Propagation(GRID, 0)
        follow.set(prompt, course(prompt, GRID, 0))
        assert {5, 0, 11} <= {s.position for s in follow.probes()}
        follow.settle({1: scores})
        assert follow.courses[1].keys == (key,)
        assert follow.probes() == []


def test_fit_is_how_well_a_mask_fills_its_box():
    assert fit(square(10), (5, 5, 15, 15)) == 1
    assert fit(square(10), (5, 5, 25, 15)) == 0.5
    assert fit(NOTHING, (5, 5, 25, 15)) == 0


def test_what_jumps_bursts_or_is_unsure_is_asked_again_without_its_prior():
    for wrong in (
        answer(square(10, offset=28)),
        answer(square(38, offset=1)),
        answer(square(10), quality=0.1),
        answer(NOTHING),
    ):
        walk = boxed(2, 2, 0, 30, 30, 12)
        walk.answered(5, answer(square(10)))
        (again,) = walk.doubts(6, wrong)
        assert again.mask is None
        assert again.box == (2, 2, 30, 30)
        walk.answered(6, wrong, answer(square(11)))
        assert walk.mask(6).region == square(11).region


def test_the_first_answer_stays_where_the_second_is_no_better():
    walk = boxed(2, 2, 0, 30, 30, 12)
    walk.answered(5, answer(square(10)))
    walk.answered(6, answer(square(10), quality=0.2), answer(square(10, offset=28), quality=0.1))
    assert walk.mask(6).region == square(10).region


def test_what_goes_on_as_before_is_not_asked_again():
    walk = boxed(2, 2, 0, 30, 30, 12)
    walk.answered(5, answer(square(10)))
    assert walk.doubts(6, answer(square(12))) == ()


def test_an_open_ended_object_stops_where_it_jumps_or_bursts_and_drops_that_mask():
    for last in (square(10, offset=28), square(38, offset=1), NOTHING):
        walk = Walk(Prompt(1, points=((8, 8, 6),), labels=(1,)))
        walk.answered(6, answer(square(10)))
        assert not walk.steps[7].certain
        walk.answered(7, answer(last), answer(last))
        assert walk.mask(7).empty
        assert not walk.alive(8)
        assert walk.alive(5)
        assert not walk.follow.finished(1)
        walk.answered(5, answer(NOTHING))
        assert walk.follow.finished(1)


def test_an_open_ended_object_ends_where_its_prior_alone_goes_on():
    walk = Walk(Prompt(1, points=((8, 8, 6),), labels=(1,)))
    walk.answered(6, answer(square(10)))
    (again,) = walk.doubts(7, answer(square(10)))
    assert again.mask is None
    assert again.box == (4, 4, 16, 16)
    walk.answered(7, answer(square(10)), answer(square(11)))
    assert walk.mask(7).region == square(10).region
    walk.answered(8, answer(square(10)), answer(square(7, offset=12)))
    assert walk.mask(8).empty
    assert not walk.alive(9)


def test_an_open_ended_object_ends_where_it_outgrows_its_key():
    walk = Walk(Prompt(1, points=((8, 8, 6),), labels=(1,)))
    walk.answered(6, answer(square(10)))
    walk.answered(7, answer(square(13)), answer(square(13)))
    walk.answered(8, answer(square(16)), answer(square(16)))
    assert walk.mask(7).region == square(13).region
    assert walk.mask(8).empty


def test_an_open_ended_object_ends_where_it_looks_like_something_else():
    walk = Walk(Prompt(1, points=((8, 8, 6),), labels=(1,)))
    greys = {6: (120.0, 10.0), 7: (155.0, 9.0), 8: (170.0, 9.0)}
    walk.follow.grey = lambda step, mask: greys[step.position]
    walk.answered(6, answer(square(10)))
    for z in (7, 8):
        walk.answered(z, answer(square(10)), answer(square(10)))
    assert not walk.mask(7).empty
    assert walk.mask(8).empty


def test_a_point_that_finds_nothing_goes_nowhere():
    walk = Walk(Prompt(1, points=((8, 8, 6),), labels=(1,)))
    walk.answered(6, answer(NOTHING))
    assert not walk.alive(7)
    assert not walk.alive(5)


def test_a_box_of_one_slice_with_auto_is_not_held_to_that_box_elsewhere():
    walk = Walk(Prompt(1, box=(5, 5, 6, 15, 15, 7)), extent="auto")
    walk.answered(6, answer(square(10)))
    assert walk.asked(7).box == (4, 4, 16, 16)


def test_between_two_keys_the_box_lies_around_their_masks():
    boxes = (0, 0, 2, 40, 40, 3), (0, 0, 8, 40, 40, 9)
    walk = Walk(Prompt(1, box=boxes[0], key_boxes=boxes[1:]))
    walk.answered(2, answer(square(8)))
    walk.answered(8, answer(square(20)))
    walk.answered(3, answer(NOTHING))
    box = walk.asked(4).box
    assert np.allclose(box, (5 - 1.2, 5 - 1.2, 25 + 1.2, 25 + 1.2))


def test_a_key_of_which_nothing_is_known_asks_nothing_of_the_slices_between():
    points = ((8, 8, 2), (8, 8, 6))
    walk = Walk(Prompt(1, points=points, labels=(1, 1)))
    walk.answered(2, answer(NOTHING))
    walk.answered(6, answer(NOTHING))
    assert walk.follow.ask(walk.steps[3]).objects == ()
    assert walk.mask(3).empty


def test_points_are_given_on_their_own_slice_only():
    prompt = Prompt(1, box=(0, 0, 0, 40, 40, 12), points=((9, 8, 7.3), (1, 2, 4)), labels=(0, 0))
    walk = Walk(prompt, anchor="middle")
    walk.answered(5, answer(square(10)))
    assert walk.asked(4).points == ((1, 2),)
    walk.answered(6, answer(square(10)))
    assert walk.asked(7).points == ((9, 8),)


def test_paint_is_taken_as_it_is_and_followed():
    region = Region((5, 5, 5), (6, 15, 15))
    mask = PixelMask(region, np.ones(region.shape, dtype=bool))
    walk = Walk(Prompt(1, painted=(mask,)), extent="auto")
    assert walk.follow.ask(walk.steps[5]).objects == ()
    ((id, drawn),) = walk.follow.drawn(walk.steps[5])
    assert (id, drawn.region) == (1, square(10).region)
    walk.follow.learn_drawn(1, walk.steps[5], np.full((4, 4), 6, np.float32))
    assert walk.asked(6).box == (4, 4, 16, 16)
    assert list(walk.follow.drawn(walk.steps[5])) == []
