"""Options of plugins: from text to typed values."""

from __future__ import annotations

import pytest

from samovar.errors import UsageError
from samovar.options import accepted_options, owners_of, split_selector, typed_options
from samovar.specs import FormatSpec, OptionSpec, PromptGeneratorSpec

GRID = PromptGeneratorSpec(
    name="grid",
    target="a:b",
    distribution="maker",
    options=(
        OptionSpec("--points", "", int, 16),
        OptionSpec("--least-quality", "", float, 0.5),
        OptionSpec("--boxes", "", bool, False),
        OptionSpec("--bands", "", int, multiple=True),
        OptionSpec("--name", ""),
    ),
)
DEFAULTS = {"points": 16, "least_quality": 0.5, "boxes": False, "bands": None, "name": None}


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("grid", "grid", {}),
        ("maker/grid:", "maker/grid", {}),
        ("grid:points=3", "grid", {"points": "3"}),
        ("grid:boxes,points=3", "grid", {"boxes": "true", "points": "3"}),
        ("grid: points = 3 ,bands=1 , 2", "grid", {"points": "3", "bands": "1,2"}),
        ("grid:bands=4,3,2,points=8", "grid", {"bands": "4,3,2", "points": "8"}),
        ("grid:least-quality=0.1", "grid", {"least_quality": "0.1"}),
        ("grid:name=a=b:c", "grid", {"name": "a=b:c"}),
    ],
)
def test_selector(text, name, values):
    assert split_selector(text) == (name, values)


@pytest.mark.parametrize("text", ["", ":points=3", " ", "grid:=3"])
def test_selector_that_names_nothing(text):
    with pytest.raises(UsageError):
        split_selector(text)


def test_text_is_typed_and_defaults_are_filled_in():
    given = {"points": "32", "least_quality": "1e-1", "boxes": "yes", "bands": "4, 3", "name": "x"}
    assert typed_options(GRID, given) == {
        "points": 32, "least_quality": 0.1, "boxes": True, "bands": [4, 3], "name": "x",
    }  # fmt: skip
    assert typed_options(GRID, {}) == DEFAULTS
    assert typed_options(GRID, {"boxes": "off", "points": 3}) == {**DEFAULTS, "points": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": "many"}, "maker/grid: points='many' is not a whole number"),
        ({"points": "1.5"}, "is not a whole number"),
        ({"least_quality": "x"}, "is not a number"),
        ({"boxes": "perhaps"}, "is not yes or no"),
        ({"bands": "1,x"}, "bands='x' is not a whole number"),
        ({"point": "3"}, r"has no option 'point' \(did you mean 'points'"),
        ({"zzz": "3"}, r"has no option 'zzz' \(options: bands, boxes"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        typed_options(GRID, given)


def test_each_takes_its_own():
    assert accepted_options(GRID, {"points": "3", "other": 1, "name": None}) == {"points": 3}
    reader = FormatSpec(name="x", distribution="b", options=(OptionSpec("--points", ""),))
    assert owners_of("points", [reader, GRID]) == ["b/x", "maker/grid"]
    assert owners_of("absent", [reader, GRID]) == []


def test_an_option_may_be_called_by_another_keyword():
    assert OptionSpec("--dst-crs", "…").key == "dst_crs"
    assert OptionSpec("--as", "…", key="model").key == "model"
