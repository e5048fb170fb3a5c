"""Following: what is asked about a labelled volume, and what is made of the answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from samovar.errors import OutputError
from samovar.evaluation import following
from samovar.evaluation.followed_studies import HELD_OUT, Followed, Study, read_study
from samovar.masks import PixelMask
from samovar.prompts import Prompts

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("samovar_medical")

REPOSITORY = Path(__file__).resolve().parent.parent
GROUP = next(iter(HELD_OUT))
SHAPE = (20, 24, 26)


def solid(low: tuple[int, ...], high: tuple[int, ...]) -> np.ndarray:
    inside = np.zeros(SHAPE, dtype=bool)
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return inside


@pytest.fixture
def cone() -> Followed:
    """Slices 4 to 9 along z, the widest at 7."""
    inside = np.zeros(SHAPE, dtype=bool)
    for z, half in zip(range(4, 10), (2, 3, 4, 6, 5, 3), strict=True):
        inside[z, 12 - half : 12 + half, 11 - half : 13 + half] = True
    return Followed(3, "cone", PixelMask.of(inside))


def outcome(cone: Followed, question: str, found: np.ndarray, count: int = 20):
    study = Study(GROUP, "case", None, None, "mr")
    return following._outcome(study, cone, question, PixelMask.of(found), 0, count)


def test_every_question_about_one_object(cone):
    asked = {name: q.prompt(cone, 0) for name, q in following.QUESTIONS.items()}
    assert all(prompt.id == 3 for prompt in asked.values())
    assert asked["box"].box == (5, 6, 4, 19, 18, 10)
    assert asked["flat"].box == (5, 6, 7, 19, 18, 8)
    assert asked["click"].points[0][2] == 7
    assert 10 <= asked["click"].points[0][0] <= 13
    first, *others = (b for b in (asked["keys3"].box, *asked["keys3"].key_boxes))
    assert [b[2] for b in (first, *others)] == [4, 6, 9]
    assert first == (9, 10, 4, 15, 14, 5)
    assert len(asked["keys5"].boxes) == 5


def test_ends_are_counted_from_the_true_ones(cone):
    exact = outcome(cone, "flat", solid((4, 6, 6), (10, 18, 18)))
    assert (exact.first, exact.last, exact.slices) == (0, 0, 6)
    wide = outcome(cone, "flat", solid((2, 6, 6), (13, 18, 18)))
    assert wide.too_far == [2, 3]
    narrow = outcome(cone, "flat", solid((5, 6, 6), (9, 18, 18)))
    assert narrow.too_far == [-1, -1]


def test_what_was_not_found_ends_where_it_was_pointed_at(cone):
    lost = outcome(cone, "click", np.zeros(SHAPE, dtype=bool))
    assert (lost.dice, lost.too_far) == (0.0, [-3, -2])


def test_ends_that_were_said_and_the_volumes_own_do_not_count(cone):
    assert outcome(cone, "box", solid((4, 6, 6), (10, 18, 18))).too_far == []
    assert outcome(cone, "flat", solid((4, 6, 6), (9, 18, 18)), count=10).too_far == [0]


def test_a_summary_of_ends_and_dice(cone):
    found = [
        outcome(cone, "flat", solid((4, 6, 6), (10, 18, 18))),
        outcome(cone, "flat", solid((2, 6, 6), (9, 18, 18))),
    ]
    (row,) = following.summarise(found)
    assert (row["objects"], row["ends"], row["slices"]) == (2, 4, 6)
    assert row["dice"] == pytest.approx(np.mean([o.dice for o in found]))
    assert (row["off"], row["too_far"], row["short"]) == (0.75, 0.5, 0.25)
    assert row["within_1"] == 0.75
    assert len(following.cells(row)) == len(following.COLUMNS)


def save(path, array):
    nibabel.Nifti1Image(array.T, np.diag([1, 1, 2, 1])).to_filename(path)
    return path


@pytest.fixture
def study(tmp_path) -> Study:
    """Two boxes: 5 is followed, 9 is smaller than what counts; 5 has a crumb elsewhere."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels[solid((3, 4, 5), (11, 14, 15))] = 5
    labels[solid((18, 20, 20), (19, 21, 21))] = 5
    labels[solid((14, 1, 1), (16, 4, 4))] = 9
    values = np.where(labels == 5, 300, 0).astype(np.int16)
    image, truth = save(tmp_path / "i.nii.gz", values), save(tmp_path / "l.nii.gz", labels)
    return Study(GROUP, "boxes", image, truth, "mr")


def test_a_study_holds_the_large_components(study):
    with read_study(study) as (image, items):
        assert image.grid.shape == SHAPE
        assert [(i.number, i.mask.region.start) for i in items] == [(5, (3, 4, 5))]


def test_the_bundled_model_is_asked_and_its_ends_are_found(study):
    pytest.importorskip("samovar_laptop")
    from samovar.models import load_model

    with load_model("tiny", threads=1) as model:
        box, flat = following.ask_study(study, model, ["box", "flat"])
    assert box.dice > 0.9
    assert box.too_far == []
    assert flat.dice > 0.8
    assert len(flat.too_far) == 2


def test_a_flat_box_leaves_the_slices_to_the_model(study):
    """What the flat box says and what the 3-D box says are not the same."""
    with read_study(study) as (image, (item,)):
        prompts = Prompts((following.ask_flat(item, 0),))
        prompts.check(image.grid)
        assert prompts.objects[0].box[5] - prompts.objects[0].box[2] == 1
        assert following.QUESTIONS["flat"].following.extent == "auto"


def record() -> dict:
    model = {"name": "x/tiny", "version": "9", "weights_sha256": "ab" * 32}
    table = {"columns": ["a", "b"], "rows": [["first", "1"], ["second", "2"]]}
    return {"model": model, "tables": [table]}


def test_the_table_goes_between_the_marks(tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text(f"before\n{following.BEGIN}\nold\n{following.END}\nafter\n", "utf-8")
    following.rewrite_guide(guide, record())
    text = guide.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| second | 2 |" in text
    assert "old" not in text
    following.rewrite_guide(guide, record())
    assert guide.read_text("utf-8") == text


def test_a_guide_without_marks_is_refused(tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text("nothing here\n", "utf-8")
    with pytest.raises(OutputError, match="add them"):
        following.rewrite_guide(guide, record())


def test_the_guide_says_what_was_measured():
    """Figures are never typed into a guide."""
    measured = json.loads((REPOSITORY / "docs/benchmarks/following.json").read_text("utf-8"))
    guide = (REPOSITORY / "docs/how-to/volumes.md").read_text("utf-8")
    assert following.guide_table(measured) in guide
