import numpy as np
import pytest

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.image import ArrayImage
from samovar.masks import Masks, PixelMask
from samovar.protocols import Context, PromptGenerator
from samovar.view import View
from samovar_selfprompt.grid import GridGenerator


def ask(generator: GridGenerator, shape=(60, 120), valid=None, round=0):
    image = ArrayImage(np.zeros(shape, np.uint8), valid=valid)
    view = View("whole", image.grid.region, image.grid.region)
    context = Context(np.zeros((3, *shape), np.float32), image, "gray", round)
    return generator.propose(view, None, None, context)


def masks(*squares: tuple[int, int, int], quality=1.0) -> Masks:
    made = tuple(
        PixelMask(Region((y, x), (y + n, x + n)), np.ones((n, n), dtype=bool))
        for y, x, n in squares
    )
    ones = np.ones(len(made), np.float32)
    low = np.zeros((len(made), 2, 2), np.float32)
    return Masks(tuple(range(1, len(made) + 1)), made, ones * quality, low, ones)


def test_points_form_square_cells_over_the_whole_picture():
    prompts = ask(GridGenerator(points=12))
    assert len(prompts) == 6 * 12
    xs = sorted({p.points[0][0] for p in prompts})
    ys = sorted({p.points[0][1] for p in prompts})
    assert np.allclose(np.diff(xs), 10)
    assert np.allclose(np.diff(ys), 10)
    # Cells are symmetric in the picture, whose pixel edges are -0.5 and n - 0.5.
    assert xs[0] + xs[-1] == pytest.approx(119)
    assert ys[0] + ys[-1] == pytest.approx(59)


def test_one_round_and_no_points_where_there_is_no_data():
    assert ask(GridGenerator(), round=1) is None
    valid = np.zeros((60, 120), bool)
    assert ask(GridGenerator(), valid=valid) is None
    valid[:, :60] = True
    assert all(p.points[0][0] < 60 for p in ask(GridGenerator(points=12), valid=valid))


def test_one_pixel_picture_gets_one_point():
    (prompt,) = ask(GridGenerator(), shape=(1, 1))
    assert prompt.points[0] == (0, 0)


def test_selection_drops_small_large_doubled_and_unsure_masks():
    generator = GridGenerator()
    ask(generator)
    answer = masks((0, 0, 20), (0, 1, 20), (30, 60, 10), (0, 100, 3), (0, 0, 61))
    assert sorted(generator.select(answer)) == [0, 2]
    assert list(generator.select(masks((0, 0, 20), quality=0.3))) == []


@pytest.mark.parametrize("options", [{"points": 0}, {"quality": 1.5}, {"suppress": -1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match="not between"):
        GridGenerator(**options)


def test_it_is_a_prompt_generator():
    assert isinstance(GridGenerator(), PromptGenerator)
