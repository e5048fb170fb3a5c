"""Which of several answers becomes the mask."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.prompts import Prompt
from samovar.selection import Selection, choose

QUALITY = np.array([0.8, 0.2, 0.6, 0.7], dtype=np.float32)
STABLE = np.array([0.1, 0.2, 0.9, 0.3], dtype=np.float32)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("first", 0), ("single", 0), ("best-quality", 0), ("best-reading", 3), ("stability", 2),
     (1, 1), (9, 3)],
)  # fmt: skip
def test_each_rule_takes_its_own(rule, wanted):
    assert choose(rule, QUALITY, STABLE) == wanted


@pytest.mark.parametrize("rule", ["first", "best-quality", "best-reading", "stability", 2])
def test_of_one_answer_there_is_no_choice(rule):
    assert choose(rule, QUALITY[:1], STABLE[:1]) == 0


MASK = np.zeros((2, 2), dtype=np.float32)
BOX = (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (Prompt(1, box=BOX), "box"),
        (Prompt(1, box=BOX, points=((0, 0),), labels=(1,)), "box"),
        (Prompt(1, points=((0, 0),), labels=(1,)), "point"),
        (Prompt(1, points=((0, 0), (1, 1)), labels=(1, 0)), "points"),
        (Prompt(1, points=((0, 0), (1, 1)), labels=(1, 1)), "points"),
        (Prompt(1, mask=MASK), "mask"),
        (Prompt(1, points=((0, 0),), labels=(1,), mask=MASK), "mask"),
        (Prompt(1, box=BOX, mask=MASK), "mask"),
    ],
)
def test_the_situation_of_a_prompt_decides(prompt, wanted):
    every = Selection(box=0, point=1, points=2, mask=3)
    assert every.rule(prompt) == {"box": 0, "point": 1, "points": 2, "mask": 3}[wanted]
    few = Selection(box=0, point=1)
    assert few.rule(prompt) == (1 if wanted == "point" else 0)


@pytest.mark.parametrize("value", ["first", 2, {"box": "first", "point": "best-quality"}])
def test_documents_are_read_back(value):
    assert Selection.parse(value).document() == value


@pytest.mark.parametrize("value", ["lucky", -1, True, None, {"point": 1}, {"box": 0, "line": 1}])
def test_nonsense_is_refused(value):
    with pytest.raises(ValueError, match="mask_selection"):
        Selection.parse(value)
