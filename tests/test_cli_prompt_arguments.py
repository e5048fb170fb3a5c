"""Prompts of the command line: what is written, and what is meant."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.cli.prompt_arguments import GivenPrompts, join_prompts, parse_prompts, space_of
from samovar.errors import PromptError
from samovar.grid import Frame, Grid
from samovar.prompts import Prompt, Prompts

PICTURE = Grid((20, 30), np.eye(3))
SCENE = Grid((20, 30), np.array([[2.0, 0, 101], [0, -2.0, 239], [0, 0, 1]]), Frame.from_crs("X"))
VOLUME = Grid((5, 20, 30), np.diag([2.0, 2.0, 3.0, 1.0]), Frame.lps())


def said(prompts) -> list[tuple]:
    return [(p.id, p.name, p.box, p.points, p.labels) for p in prompts]


class TestParsing:
    def test_boxes(self):
        found = parse_prompts(["1,2,3,4", "liver=1.5,-2,0,3e1,4,5"], [])
        assert said(found.objects) == [
            (1, "", (1, 2, 3, 4), (), ()),
            (2, "liver", (1.5, -2, 0, 30, 4, 5), (), ()),
        ]

    def test_points_of_one_name_are_one_object(self):
        found = parse_prompts([], ["a=1,2", "3,4", "a=5,6:-", "7,8:+", "9,10:-"])
        assert said(found.objects) == [
            (1, "a", None, ((1, 2), (5, 6)), (1, 0)),
            (2, "", None, ((3, 4),), (1,)),
            (3, "", None, ((7, 8),), (1,)),
        ]
        assert found.everywhere == ((9, 10),)

    def test_name_shared_by_box_and_points(self):
        found = parse_prompts(["a=1,2,3,4", "0,0,1,1"], ["a=1,2:-", "b=1,2,3"])
        assert said(found.objects) == [
            (1, "a", (1, 2, 3, 4), ((1, 2),), (0,)),
            (2, "", (0, 0, 1, 1), (), ()),
            (3, "b", None, ((1, 2, 3),), (1,)),
        ]

    def test_names_may_hold_anything(self):
        (one,) = parse_prompts(["a=b, left:-=1,2,3,4"], []).objects
        assert (one.name, one.box) == ("a=b, left:-", (1, 2, 3, 4))

    @pytest.mark.parametrize(
        ("boxes", "points", "message"),
        [
            (["1,2,3"], [], "--box 1,2,3: has 3 numbers, not 4 or 6"),
            (["1,2,3,4,5"], [], "has 5 numbers"),
            (["1;2;3;4"], [], "'1;2;3;4' is not a list of numbers"),
            (["x=1,2,3,four"], [], "is not a list of numbers"),
            ([""], [], "is not a list of numbers"),
            (["=1,2,3,4"], [], "there is no name before '='"),
            (["a=1,2,3,4", "a=1,2,3,4"], [], "a second box of 'a'"),
            ([], ["1"], "--point 1: has 1 numbers, not 2 or 3"),
            ([], ["1,2,3,4"], "has 4 numbers"),
            ([], ["1,2:*"], "is not a list of numbers"),
        ],
    )
    def test_wrong_ones(self, boxes, points, message):
        with pytest.raises(PromptError) as caught:
            parse_prompts(boxes, points)
        assert message in str(caught.value)

    def test_nothing_is_false(self):
        assert not GivenPrompts()
        assert parse_prompts([], ["1,2:-"])


class TestWorld:
    @pytest.mark.parametrize(
        ("world", "grid", "space"),
        [
            (None, PICTURE, "index"),
            (None, VOLUME, "index"),
            ("auto", VOLUME, "world"),
            ("lps", VOLUME, "world"),
            ("ras", VOLUME, "ras"),
            ("auto", SCENE, "world"),
            ("crs", SCENE, "world"),
        ],
    )
    def test_what_is_meant(self, world, grid, space):
        assert space_of(world, grid) == space

    @pytest.mark.parametrize(
        ("world", "grid", "message"),
        [
            ("auto", PICTURE, "neither"),
            ("lps", PICTURE, "neither"),
            ("lps", SCENE, "write --world crs"),
            ("ras", SCENE, "write --world crs"),
            ("crs", VOLUME, "write --world lps or ras"),
            ("wgs84", SCENE, "is unknown"),
        ],
    )
    def test_what_there_is_not(self, world, grid, message):
        with pytest.raises(PromptError, match=message):
            space_of(world, grid)


class TestJoining:
    def test_nothing_said(self):
        assert join_prompts(PICTURE, None, GivenPrompts(), "index") is None

    def test_world_boxes_become_index_boxes(self):
        # edges 100…120 of a raster with 2 m pixels whose corner lies at 100, 240
        found = join_prompts(SCENE, None, parse_prompts(["100,220,120,240"], ["101,239"]), "world")
        assert found.space == "index"
        assert said(found) == [(1, "", (0, 0, 10, 10), (), ()), (2, "", None, ((0, 0),), (1,))]

    def test_ras_is_flipped(self):
        found = join_prompts(VOLUME, None, parse_prompts([], ["-4,-6,9"]), "ras")
        assert said(found) == [(1, "", None, ((2, 3, 3),), (1,))]

    def test_unnamed_negatives_apply_to_all(self):
        given = parse_prompts(["0,0,9,9"], ["a=3,3", "5,5:-"])
        file = Prompts((Prompt(7, "old", (1, 1, 2, 2)),))
        found = join_prompts(PICTURE, file, given, "index")
        assert [(p.id, p.points[-1], p.labels[-1]) for p in found] == [
            (7, (5, 5), 0),
            (8, (5, 5), 0),
            (9, (5, 5), 0),
        ]

    def test_boxes_of_one_name_in_a_volume_are_key_slices(self):
        given = parse_prompts(["k=1,1,2,9,9,3", "k=2,2,4,9,9,5"], [])
        (prompt,) = join_prompts(VOLUME, None, given, "index")
        assert prompt.boxes == ((1, 1, 2, 9, 9, 3), (2, 2, 4, 9, 9, 5))
        file = Prompts((Prompt(4, "k", (3, 3, 0, 9, 9, 1)),))
        (joined,) = join_prompts(VOLUME, file, given, "index")
        assert (joined.id, [b[2] for b in joined.boxes]) == (4, [0, 2, 4])
        with pytest.raises(PromptError, match="this image takes 4 numbers"):
            join_prompts(PICTURE, None, given, "index")

    def test_names_of_the_file_are_joined(self):
        file = Prompts((Prompt(1, "a", (1, 1, 9, 9)), Prompt(5, "b", (1, 1, 2, 2))))
        found = join_prompts(PICTURE, file, parse_prompts([], ["a=3,3:-", "c=1,1"]), "index")
        assert said(found) == [
            (1, "a", (1, 1, 9, 9), ((3, 3),), (0,)),
            (5, "b", (1, 1, 2, 2), (), ()),
            (6, "c", None, ((1, 1),), (1,)),
        ]
        with pytest.raises(PromptError, match="has a box in the file and another by --box"):
            join_prompts(PICTURE, file, parse_prompts(["a=3,3,4,4"], []), "index")
        twins = Prompts((Prompt(1, "a", (1, 1, 9, 9)), Prompt(2, "a", (1, 1, 2, 2))))
        with pytest.raises(PromptError, match="belongs to several objects"):
            join_prompts(PICTURE, twins, parse_prompts([], ["a=3,3"]), "index")

    @pytest.mark.parametrize(
        ("boxes", "points", "message"),
        [
            (["nan,0,1,1"], [], "holds NaN or infinity"),
            (["0,0,inf,1"], [], "holds NaN or infinity"),
            (["5,0,1,1"], [], "is inverted or empty"),
            (["40,0,50,1"], [], "lies outside the image"),
            (["0,0,0,1,1,1"], [], "has 6 numbers, this image takes 4"),
            ([], ["-9,0"], "lies outside the image"),
            ([], ["nan,0"], "holds NaN"),
            ([], ["1,2,3"], "has 3 numbers, this image takes 2"),
            ([], ["1,2:-"], "only negative points"),
            ([], ["a=1,2:-"], "has only negative points"),
        ],
    )
    def test_what_cannot_be_meant(self, boxes, points, message):
        with pytest.raises(PromptError, match=message):
            join_prompts(PICTURE, None, parse_prompts(boxes, points), "index")
