"""Prompts given for true objects: where they lie, what is random, what is not."""

import numpy as np
import pytest

from samovar.errors import UsageError
from samovar.evaluation.asking import (
    Asking,
    centre,
    corrected,
    corrective_click,
    interior_point,
    jittered,
)
from samovar.evaluation.targets import Target
from samovar.masks import PixelMask
from samovar.prompts import Prompt


def mask_of(shape, *windows) -> PixelMask:
    full = np.zeros(shape, dtype=bool)
    for y0, x0, y1, x1 in windows:
        full[y0:y1, x0:x1] = True
    return PixelMask.of(full)


def target(mask: PixelMask, number: int = 1) -> Target:
    return Target(number, 1, "thing", False, mask)


def test_box_is_tight_and_max_exclusive():
    asked = Asking.parse("box").first(target(mask_of((40, 40), (5, 10, 8, 30))), "s/1", (40, 40))
    assert asked.box == (10, 5, 30, 8)


def test_box_of_a_volume_has_x_first():
    full = np.zeros((6, 7, 8), dtype=bool)
    full[1:3, 2:5, 3:8] = True
    asked = Asking().first(target(PixelMask.of(full)), "s/1", full.shape)
    assert asked.box == (3, 2, 1, 8, 5, 3)


def test_centre_of_a_c_shape_lies_inside_it_where_it_is_thickest():
    shape = mask_of((60, 60), (0, 0, 60, 10), (0, 0, 8, 50), (40, 0, 60, 50))
    x, y = centre(shape)
    assert 40 <= y < 60
    assert 9 <= x < 50
    assert shape.inside[int(y), int(x)]


def test_random_point_is_inside_and_off_the_edge():
    shape = mask_of((60, 60), (20, 20, 40, 50))
    for seed in range(30):
        x, y = interior_point(shape, np.random.default_rng(seed))
        assert 20 < x < 49
        assert 20 < y < 39


def test_random_point_of_a_line_falls_back_to_the_whole_line():
    x, y = interior_point(mask_of((60, 60), (20, 20, 21, 50)), np.random.default_rng(0))
    assert y == 20
    assert 20 <= x < 50


def test_choices_depend_on_the_object_and_the_seed_only():
    shape = mask_of((60, 60), (10, 10, 50, 50))
    asking = Asking.parse("point", seed=3)
    first = asking.first(target(shape), "set/1", (60, 60))
    assert first.points == asking.first(target(shape), "set/1", (60, 60)).points
    others = [
        asking.first(target(shape), "set/2", (60, 60)).points,
        asking.first(target(shape, 2), "set/1", (60, 60)).points,
        Asking.parse("point", seed=4).first(target(shape), "set/1", (60, 60)).points,
    ]
    assert all(points != first.points for points in others)


def test_jitter_moves_each_edge_within_its_share_and_stays_in_the_image():
    box, rng = (0.0, 20.0, 30.0, 60.0), np.random.default_rng(0)
    moved = np.array([jittered(box, 0.1, (60, 40), rng) for _ in range(300)])
    assert moved[:, 0].min() == 0  # clipped at the edge
    assert np.abs(moved[:, 1] - 20).max() <= 4
    assert np.abs(moved[:, 2] - 30).max() <= 3
    assert np.abs(moved[:, 2] - 30).max() > 2
    assert moved[:, 3].max() <= 60
    assert moved[:, 1].std() > 1


def test_corrective_click_goes_to_the_largest_error_with_its_sign():
    true = mask_of((60, 60), (10, 10, 40, 40))
    missing = mask_of((60, 60), (10, 10, 40, 20))
    assert corrective_click(true, missing) == ((29.0, 24.0), 1) or _near(true, missing, 1)
    spilled = mask_of((60, 60), (10, 10, 40, 58))
    position, label = corrective_click(true, spilled)
    assert label == 0
    assert 41 <= position[0] < 58
    assert 11 <= position[1] < 39


def _near(true: PixelMask, predicted: PixelMask, wanted: int) -> bool:
    (x, y), label = corrective_click(true, predicted)
    return label == wanted and 27 <= x <= 32 and 19 <= y <= 30


def test_no_click_where_nothing_is_wrong_and_a_first_one_where_nothing_was_found():
    true = mask_of((60, 60), (10, 10, 40, 40))
    assert corrective_click(true, true) is None
    (x, y), label = corrective_click(true, PixelMask.of(np.zeros((60, 60), dtype=bool)))
    assert label == 1
    assert 23 <= x <= 26
    assert 23 <= y <= 26


def test_a_corrected_prompt_keeps_what_was_said_and_brings_the_previous_mask():
    true, found = mask_of((60, 60), (10, 10, 40, 40)), mask_of((60, 60), (10, 10, 40, 20))
    low = np.ones((4, 4), np.float32)
    after = corrected(Prompt(1, box=(10, 10, 40, 40)), true, found, low)
    assert after.box == (10, 10, 40, 40)
    assert after.labels == (1,)
    assert after.mask is low
    assert corrected(after, true, true, low).labels == (1,)


@pytest.mark.parametrize(
    ("text", "options"),
    [("circle", {}), ("auto:", {}), ("point", {"jitter": 0.1}), ("box", {"jitter": 0.7}),
     ("box", {"clicks": -1}), ("auto:grid", {"clicks": 2})],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text, options):
    with pytest.raises(UsageError):
        Asking.parse(text, **options)


def test_a_generator_is_named_with_its_options():
    asking = Asking.parse("auto:grid:points=8")
    assert (asking.prompt, asking.generator) == ("auto", "grid:points=8")
