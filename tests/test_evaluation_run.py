"""A whole evaluation, from files to figures, with a model whose answers are known."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from evaluation_fakes import BoxModel, rectangle, write_set
from samovar.errors import UsageError
from samovar.evaluation.asking import Asking
from samovar.evaluation.references import References
from samovar.evaluation.run import Settings, evaluate, spread
from samovar.evaluation.summary import summarise
from samovar.evaluation.tables import flat_rows, percent, to_csv, to_markdown
from samovar.evaluation.worst import BOX_COLOUR, FOUND_COLOUR, TRUE_COLOUR, write_worst
from samovar.grid import Grid
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

TWO = rectangle((60, 80), (5, 5, 25, 25), (30, 40, 50, 70))
ONE = rectangle((60, 80), (10, 10, 40, 40))


@pytest.fixture
def generator(site):
    """A made-up distribution with one generator and one option."""
    site.install(
        "corner-maker",
        """
        from samovar import hookimpl
        from samovar.specs import OptionSpec, PromptGeneratorSpec

        PLUGIN_API = (1, 0)

        @hookimpl
        def samovar_prompt_generators():
            option = OptionSpec("--margin", "px", int, 1)
            return [PromptGeneratorSpec(name="corners", target="nowhere:X", options=(option,))]
        """,
    )


def frame(shape=(60, 80)) -> np.ndarray:
    labels = rectangle(shape, (10, 10, 40, 40))
    labels[15:35, 15:35] = 0
    return labels


def test_one_embedding_a_picture_and_perfect_answers_for_rectangles(tmp_path):
    write_set(tmp_path / "a", [TWO, ONE])
    model = BoxModel()
    summary = summarise(evaluate(str(tmp_path), model, Settings()))
    row = summary["datasets"]["a"]
    assert model.encoded == 2
    assert (row["dice"], row["iou"], row["boundary_iou"]) == (1, 1, 1)
    assert (row["objects"], row["images"]) == (3, 2)
    assert row["classes"]["thing"]["objects"] == 3
    assert row["references"]["otsu"] == 1  # the objects are bright squares
    assert row["references"]["ellipse"] < 0.9
    assert row["best_reference"] == "otsu"
    assert row["margin"] == 0
    assert "error_removed" not in row  # a perfect reference leaves no error


def test_share_of_the_best_references_error_that_is_removed(tmp_path):
    write_set(tmp_path / "a", [frame(), frame()])
    flat = Image.new("L", (80, 60), 90)  # nothing to see: Otsu finds the whole box
    for stem in ("001", "002"):
        flat.save(tmp_path / "a" / "images" / f"{stem}.png")
    settings = Settings(Asking.parse("center"))
    row = summarise(evaluate(str(tmp_path), BoxModel(), settings))["datasets"]["a"]
    box = 2 * 500 / (500 + 900)
    assert row["references"]["otsu"] == pytest.approx(box, abs=1e-4)
    assert row["best_reference"] == "otsu"
    assert row["dice"] < 0.3
    assert row["margin"] == pytest.approx(row["dice"] - box, abs=2e-4)
    assert row["error_removed"] == pytest.approx((row["dice"] - box) / (1 - box), abs=1e-3)


def test_clicks_are_reported_one_by_one_and_carry_the_previous_mask(tmp_path):
    write_set(tmp_path / "a", [frame()])
    model = BoxModel()
    settings = Settings(Asking.parse("box", clicks=2))
    row = summarise(evaluate(str(tmp_path), model, settings))["datasets"]["a"]
    assert row["clicks"] == pytest.approx([2 * 500 / 1400, 1, 1], abs=1e-4)
    assert row["dice"] == 1
    second = model.decoder.calls[1].objects[0]
    assert second.labels == (0,)  # the hole is the largest error
    assert second.mask is not None
    assert second.box is not None


def test_points_are_given_where_points_are_asked_for(tmp_path):
    write_set(tmp_path / "a", [ONE])
    model = BoxModel()
    evaluate(str(tmp_path), model, Settings(Asking.parse("center")))
    [prompt] = model.decoder.calls[0].objects
    assert prompt.box is None
    assert prompt.points[0] in {(24.0, 24.0), (25.0, 24.0), (24.0, 25.0), (25.0, 25.0)}


def test_thin_structures_and_unseen_sets_are_kept_apart(tmp_path):
    write_set(tmp_path / "seen", [frame()], {"1": "organ"})
    write_set(tmp_path / "new", [ONE], {"1": "organ"})
    write_set(tmp_path / "roads", [frame()], {"1": "road"})
    records = [
        {"path": "seen", "domain": "medical", "train": True},
        {"path": "new", "domain": "medical", "train": False},
        {"path": "roads", "domain": "remote_sensing", "train": False},
    ]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"datasets": records}))
    summary = summarise(evaluate(str(tmp_path), BoxModel(), Settings()))
    low = round(1000 / 1400, 4)
    assert summary["domains"]["medical"]["dice"] == pytest.approx((low + 1) / 2, abs=1e-4)
    assert summary["domains"]["remote_sensing"] == {}  # nothing there but thin structures
    assert summary["means"]["unseen"]["dice"] == 1
    assert summary["means"]["trained"]["dice"] == pytest.approx(low, abs=1e-4)
    assert summary["means"]["thin"]["sets"] == ["roads"]
    assert summary["datasets"]["roads"]["thin"] is True
    assert summary["datasets"]["roads"]["classes"]["road"]["thin"] is True


def test_instances_are_counted(tmp_path):
    labels = TWO.copy()
    labels[30:50, 40:70] = 7
    write_set(tmp_path / "cells", [labels], {"0": "background", "*": "cell"})
    row = summarise(evaluate(str(tmp_path), BoxModel(), Settings()))["datasets"]["cells"]
    assert row["instances"] == {"ap50": 1, "f1": 1, "predicted": 2, "true": 2, "count_error": 0}


def test_a_picture_that_fails_is_named_and_the_others_are_measured(tmp_path):
    write_set(tmp_path / "a", [ONE, ONE, ONE])
    (tmp_path / "a" / "images" / "002.png").write_bytes(b"broken")
    evaluation = evaluate(str(tmp_path), BoxModel(), Settings())
    [failure] = evaluation.failures
    assert "a/002" in failure
    assert summarise(evaluation)["datasets"]["a"]["objects"] == 2


def test_labels_of_another_shape_are_refused(tmp_path):
    write_set(tmp_path / "a", [ONE])
    write_set(tmp_path / "b", [rectangle((30, 30), (5, 5, 20, 20))])
    (tmp_path / "b" / "masks" / "001.png").replace(tmp_path / "a" / "masks" / "001.png")
    [failure] = evaluate(str(tmp_path / "a"), BoxModel(), Settings()).failures
    assert "(30, 30)" in failure
    assert "(60, 80)" in failure


def test_a_set_in_which_nothing_was_measured_is_noted(tmp_path):
    write_set(tmp_path / "a", [rectangle((60, 80), (0, 0, 3, 3))])  # 9 px: no object
    evaluation = evaluate(str(tmp_path), BoxModel(), Settings())
    assert evaluation.notes == ("a: no object was measured",)
    assert summarise(evaluation) == {"datasets": {}, "domains": {}, "means": {}}


def test_an_unknown_generator_or_option_is_refused_before_anything_runs(tmp_path, generator):
    write_set(tmp_path / "a", [ONE])
    for wrong in ("auto:corner", "auto:corners:pints=3", "auto:corners:margin=x"):
        model = BoxModel()
        with pytest.raises(UsageError):
            evaluate(str(tmp_path), model, Settings(Asking.parse(wrong)))
        assert model.encoded == 0


def test_what_a_generator_finds_is_matched_with_the_truth(tmp_path, generator, monkeypatch):
    labels = rectangle((60, 80), (5, 5, 25, 25))
    labels[30:50, 40:70] = 7
    write_set(tmp_path / "cells", [labels], {"0": "background", "*": "cell"})
    asked = {}

    def segment(path, **options):
        asked.update(options)
        items = tuple(
            SegmentedObject.from_mask(i, PixelMask.of(mask), score=score)
            for i, (mask, score) in enumerate(
                [(labels == 1, 0.6), (np.roll(labels == 1, 40, axis=1), 0.9)], start=1
            )
        )
        return Objects(Grid((60, 80), np.eye(3)), items)

    monkeypatch.setattr("samovar.api.segment", segment)
    settings = Settings(Asking.parse("auto:corners:margin=3"))
    row = summarise(evaluate(str(tmp_path), BoxModel(), settings))["datasets"]["cells"]
    assert asked["auto"] == "corner-maker/corners"
    assert asked["auto_options"] == {"margin": 3}
    assert row["instances"] == {
        "ap50": 0.25, "f1": 0.5, "predicted": 2, "true": 2, "count_error": 0
    }  # fmt: skip
    assert 0.5 <= row["dice"] < 0.75  # one object wholly, the other at best in part


def test_limit_spreads_over_the_stems():
    assert spread(list(range(10)), 3) == [1, 5, 8]
    assert spread(list(range(3)), 5) == [0, 1, 2]


def test_volumes_cannot_be_clicked_or_proposed_and_that_is_said(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "v" / part).mkdir(parents=True)
    with pytest.raises(UsageError, match="generators are evaluated on pictures"):
        evaluate(str(tmp_path / "v"), BoxModel(), Settings(Asking.parse("auto:grid")))


def test_tables_hold_every_row(tmp_path):
    both = TWO.copy()
    both[30:50, 40:70] = 2
    write_set(tmp_path / "a", [both, both], {"1": "square", "2": "oblong"})
    summary = summarise(evaluate(str(tmp_path), BoxModel(), Settings()))
    rows = list(csv.DictReader(io.StringIO(to_csv(summary))))
    assert [(r["level"], r["name"], r["class"]) for r in rows] == [
        ("set", "a", ""), ("class", "a", "square"), ("class", "a", "oblong"),
        ("domain", "unknown", ""), ("mean", "all", ""),
    ]  # fmt: skip
    assert float(rows[1]["dice"]) == 1
    assert len(flat_rows(summary)) == 5
    text = to_markdown(summary)
    for wanted in ("| a | 4 | 1.000 |", "a: oblong", "domain unknown", "mean all"):
        assert wanted in text
    assert percent(-0.123) == "−12 %"


def test_the_worst_objects_are_drawn(tmp_path):
    write_set(tmp_path / "a", [ONE, frame(), TWO])
    evaluation = evaluate(str(tmp_path / "a"), BoxModel(), Settings(keep=1), References())
    kept = [o for s in evaluation.sets for o in s.objects if o.predicted is not None]
    assert [o.stem for o in kept] == ["002"]
    [shown] = write_worst(evaluation, tmp_path / "page")
    assert shown.dice < 0.75
    page = (tmp_path / "page" / "index.html").read_text()
    assert shown.file in page
    with Image.open(tmp_path / "page" / shown.file) as drawn:
        colours = {colour for _, colour in drawn.getcolors(2**20)}
    assert {TRUE_COLOUR, FOUND_COLOUR, BOX_COLOUR} <= colours


def test_doubt_tells_bad_masks_from_good_ones_by_the_quality(tmp_path) -> None:
    # the model is surest of the first object and right about it; the second is a ring in its box
    ring = rectangle((60, 80), (5, 45, 30, 70))
    ring[8:27, 48:67] = 0
    write_set(tmp_path / "a", [np.maximum(rectangle((60, 80), (5, 5, 40, 40)), ring * 2)] * 2)
    doubt = summarise(evaluate(str(tmp_path), BoxModel(), Settings()))["means"]["all"]["doubt"]
    assert doubt["auroc"] == 1.0 and doubt["bad"] == 2 and doubt["objects"] == 4
    assert 0 < doubt["error"] < 0.5


def test_things_to_be_counted_are_matched_as_instances(tmp_path) -> None:
    labels = [rectangle((60, 80), (5, 5, 40, 40))]
    write_set(tmp_path / "a", labels, {"1": "building"})
    write_set(tmp_path / "b", labels, {"1": "spleen"})
    sets = summarise(evaluate(str(tmp_path), BoxModel(), Settings()))["datasets"]
    assert sets["a"]["instances"]["f1"] == 1.0 and "instances" not in sets["b"]
