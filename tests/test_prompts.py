import numpy as np
import pytest

from samovar.api import make_prompts
from samovar.errors import PromptError
from samovar.grid import Frame, Grid
from samovar.prompts import Prompt, Prompts

VOLUME = Grid((10, 20, 30), np.diag([-1.0, -1.0, 2.0, 1.0]), Frame.lps())
PICTURE = Grid((20, 30), np.eye(3))


def one(**fields) -> Prompts:
    return Prompts((Prompt(1, "liver", **fields),))


@pytest.mark.parametrize(
    ("grid", "fields", "match"),
    [
        (PICTURE, {"box": (1, 2, 3)}, "has 3 numbers, this image takes 4"),
        (VOLUME, {"box": (1, 2, 5, 6)}, "takes 6: x0,y0,z0"),
        (PICTURE, {"box": (5, 2, 3, 9)}, "inverted or empty"),
        (PICTURE, {"box": (5, 2, 5, 9)}, "inverted or empty"),
        (PICTURE, {"box": (5, float("nan"), 9, 9)}, "NaN"),
        (PICTURE, {"box": (40, 2, 50, 9)}, "outside the image"),
        (PICTURE, {"points": ((1, 2, 3),), "labels": (1,)}, "has 3 numbers, this image takes 2"),
        (PICTURE, {"points": ((31, 2),), "labels": (1,)}, "outside the image"),
        (PICTURE, {"points": ((3, 2),), "labels": (0,)}, "only negative points"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_objects_name(grid, fields, match):
    with pytest.raises(PromptError, match=match) as caught:
        one(**fields).check(grid)
    assert "liver" in str(caught.value)


def test_boxes_may_reach_beyond_the_image_but_must_touch_it():
    one(box=(-5, -5, 3, 3)).check(PICTURE)
    one(box=(29, 19, 99, 99)).check(PICTURE)


def test_no_prompt_at_all_says_what_to_add():
    with pytest.raises(PromptError, match="--auto"):
        Prompts().check(PICTURE)


def test_points_and_labels_must_pair_up():
    with pytest.raises(PromptError, match="2 points but 1 labels"):
        Prompt(1, points=((0, 0), (1, 1)), labels=(1,))


def test_world_boxes_are_edges_and_world_points_positions():
    lps = Prompts(
        (Prompt(1, box=(-2.5, -3.5, 1, 0.5, 0.5, 5), points=((-1, -2, 4),), labels=(1,)),), "world"
    )
    (prompt,) = lps.to_index(VOLUME)
    assert prompt.box == pytest.approx((0, 0, 1, 3, 4, 3))
    assert prompt.points[0] == pytest.approx((1, 2, 2))


def test_ras_is_lps_with_x_and_y_negated():
    box, flipped = (-2.5, -3.5, 1, 0.5, 0.5, 5), (-0.5, -0.5, 1, 2.5, 3.5, 5)
    (a,) = Prompts((Prompt(1, box=box),), "world").to_index(VOLUME)
    (b,) = Prompts((Prompt(1, box=flipped),), "ras").to_index(VOLUME)
    assert a.box == pytest.approx(b.box)


def test_world_without_a_world_is_refused_with_the_remedy():
    with pytest.raises(PromptError, match="CRS"):
        Prompts((Prompt(1, box=(1, 1, 2, 2)),), "world").to_index(PICTURE)
    raster = Grid((5, 5), np.eye(3), Frame.from_crs("EPSG:32645"))
    with pytest.raises(PromptError, match="RAS"):
        Prompts((Prompt(1, box=(1, 1, 2, 2)),), "ras").to_index(raster)


def test_make_prompts_joins_boxes_and_points_of_one_name():
    prompts = make_prompts(
        {"kidney": (0, 0, 9, 9)}, {"kidney": [(3, 3)], "-kidney": [(8, 8)], "spleen": [(15, 15)]}
    )
    kidney, spleen = prompts
    assert kidney.box == (0, 0, 9, 9)
    assert kidney.points == ((3, 3), (8, 8))
    assert kidney.labels == (1, 0)
    assert (spleen.id, spleen.name, spleen.labels) == (2, "spleen", (1,))


def test_make_prompts_from_lists_makes_one_object_each():
    prompts = make_prompts([(0, 0, 9, 9)], [(1, 1), (5, 5)])
    assert [p.id for p in prompts] == [1, 2, 3]
    assert prompts.kinds == {"box", "point"}
