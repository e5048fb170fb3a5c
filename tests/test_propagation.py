import numpy as np

from oracle import OracleModel
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.masks import Masks, PixelMask
from samovar.objects import Objects
from samovar.pipeline import Job, segment_image
from samovar.plans import Extent, Step, slice_view
from samovar.prompts import Prompt, Prompts
from samovar.propagation import PROBES, Propagation

GRID = Grid((12, 40, 40), np.eye(4), Frame.lps())


def square(side: int, offset: int = 5) -> PixelMask:
    array = np.zeros((40, 40), dtype=bool)
    array[offset : offset + side, offset : offset + side] = True
    return PixelMask.of(array)


def answer(mask: PixelMask, quality: float = 0.9, stability: float = 0.9) -> Masks:
    one = np.ones(1, np.float32)
    return Masks((1,), (mask,), one * quality, np.ones((1, 4, 4), np.float32), one * stability)


def following(prompt: Prompt, anchor: int = 6, settled: bool = True) -> Propagation:
    extents = {1: Extent(0, anchor, 11, settled)}
    return Propagation(GRID, 0, {1: prompt}, extents)


def step(z: int, sweep: int = 1) -> Step:
    return Step(slice_view(GRID, 0, z), (1,), sweep, z)


def test_the_next_slice_gets_the_mask_as_prior_and_its_box_with_a_margin():
    follow = following(Prompt(1, box=(0, 0, 0, 40, 40, 12)))
    (first,) = follow.ask(step(6))
    assert first.box == (0, 0, 40, 40)
    assert first.mask is None
    follow.learn(step(6), answer(square(10)))
    (after,) = follow.ask(step(7))
    assert after.box == (4, 4, 16, 16)
    assert after.mask is not None
    (down,) = follow.ask(step(5, -1))
    assert down.box == after.box


def test_the_box_never_leaves_the_prompts_own():
    follow = following(Prompt(1, box=(5, 5, 0, 12, 12, 12)))
    follow.learn(step(6), answer(square(20, offset=3)))
    (after,) = follow.ask(step(7))
    assert after.box == (5, 5, 12, 12)


def test_an_empty_mask_falls_back_to_the_prompts_box():
    follow = following(Prompt(1, box=(0, 0, 0, 40, 40, 12)))
    follow.learn(step(6), answer(square(10)))
    follow.learn(step(7), answer(PixelMask.of(np.zeros((40, 40), dtype=bool))))
    (after,) = follow.ask(step(8))
    assert after.box == (0, 0, 40, 40)
    assert after.mask is None


def test_the_anchor_moves_to_a_slice_that_the_box_fits_clearly_better():
    follow = following(Prompt(1, box=(5, 5, 0, 25, 25, 12)), anchor=5, settled=False)
    for z, side in ((0, 8), (5, 10), (11, 20)):
        follow.weigh(step(z, 0), answer(square(side)))
    follow.settle()
    assert follow.extents[1] == Extent(0, 11, 11)


def test_the_middle_stays_where_nothing_is_clearly_better():
    follow = following(Prompt(1, box=(5, 5, 0, 25, 25, 12)), anchor=5, settled=False)
    for z, sure in ((0, 0.9), (5, 0.88), (11, 0.9)):
        follow.weigh(step(z, 0), answer(square(20), quality=sure))
    follow.settle()
    assert follow.extents[1].anchor == 5


def test_an_open_ended_object_stops_where_it_jumps_or_bursts_and_drops_that_mask():
    for last in (square(10, offset=28), square(38, offset=1), square(10)):
        follow = following(Prompt(1, points=((8, 8, 6),), labels=(1,)))
        assert follow.learn(step(6), answer(square(10))) == [0]
        sure = 0.1 if last.region == square(10).region else 0.9
        assert follow.learn(step(7), answer(last, quality=sure)) == []
        assert not follow.needed(step(8))
        assert follow.needed(step(5, -1))


def test_a_cone_is_started_where_it_fills_its_box():
    z, y, x = np.indices((12, 40, 40))
    labels = (np.hypot(y - 20, x - 20) <= 1.2 * z + 1).astype(np.uint8)
    image = ArrayImage(labels, GRID)
    model = OracleModel()
    prompts = Prompts((Prompt(1, box=(5, 5, 0, 36, 36, 12)),))
    items = segment_image(Job(image, model, choose_intensity(image, "gray"), prompts))
    assert np.array_equal(Objects(GRID, items).labels(), labels)
    probes = len(model.asked) - 12
    assert PROBES <= probes <= PROBES + 1
    started, followed = model.asked[probes : probes + 2]
    assert started.box == (5, 5, 36, 36)  # the last slice, with the whole box and no prior
    assert started.mask is None
    assert followed.mask is not None
