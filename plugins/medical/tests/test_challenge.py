"""``samovar challenge``: folders of cases, resumed, scored, one failure by itself."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from oracle import OracleModel
from samovar.errors import InputError, OutputError, UsageError
from samovar_medical import challenge
from samovar_medical.challenge import run_challenge
from samovar_medical.challenge_score import Score, score_case


@pytest.fixture
def model(monkeypatch):
    """The model that is loaded knows the truth: the values of the pictures are the labels."""
    oracle = OracleModel()
    oracle.loaded = 0

    def load(*args, **kwargs):
        oracle.loaded += 1
        return oracle

    monkeypatch.setattr("samovar.models.load_model", load)
    return oracle


def bounds(labels, inclusive=True):
    """Boxes of labels 1, 2 …, x first, maximum inclusive (z as said)."""
    rows = []
    for value in range(1, labels.max() + 1):
        where = np.argwhere(labels == value)[:, ::-1]
        high = where.max(axis=0)
        if labels.ndim == 3 and not inclusive:
            high[2] += 1
        rows.append([*where.min(axis=0), *high])
    return np.array(rows)


@pytest.fixture
def cases(tmp_path):
    """Two volumes and a picture whose values are their labels, and the truth beside them."""
    volume = np.zeros((8, 24, 20), np.uint8)
    volume[2:6, 4:12, 5:15], volume[6:8, 15:20, 2:6] = 1, 2
    other = np.zeros((4, 16, 16), np.uint8)
    other[:, 3:9, 3:12] = 1
    flat = np.zeros((30, 26), np.uint8)
    flat[3:12, 4:20], flat[18:25, 6:14] = 1, 2
    folder, truth = tmp_path / "in", tmp_path / "gts"
    folder.mkdir()
    truth.mkdir()
    for name, labels in (("3DBox_MR_a", volume), ("3DBox_CT_b", other), ("2DBox_US_c", flat)):
        imgs = labels if labels.ndim == 3 else np.repeat(labels[..., None], 3, axis=2)
        np.savez_compressed(folder / f"{name}.npz", imgs=imgs, boxes=bounds(labels),
                            spacing=(0.8, 0.9, 3.0))  # fmt: skip
        np.savez_compressed(truth / f"{name}.npz", gts=labels, spacing=(0.8, 0.9, 3.0))
    return folder, truth, {"3DBox_MR_a": volume, "3DBox_CT_b": other, "2DBox_US_c": flat}


def run(folder, out, **options):
    return run_challenge(in_dir=str(folder), out_dir=str(out), **options)


def test_every_case_is_answered(cases, model, tmp_path, capsys):
    folder, _, labels = cases
    assert run(folder, tmp_path / "out") == 0
    for name, truth in labels.items():
        with np.load(tmp_path / "out" / f"{name}.npz") as found:
            assert list(found) == ["segs"]
            assert np.array_equal(found["segs"], truth)
    printed = capsys.readouterr()
    assert "3 done, 0 kept, 0 failed" in printed.out
    assert "s a case" in printed.out
    assert "2/3 3DBox_CT_b.npz: done in " in printed.err
    assert model.loaded == 1


def test_boxes_that_end_before_z_max(cases, model, tmp_path):
    """The same objects, boxed the other way; read the wrong way the last slice is lost."""
    folder, _, labels = cases
    volume = labels["3DBox_MR_a"]
    for convention, lost in (("exclusive", 0), ("inclusive", 0)):
        np.savez(folder / "3DBox_MR_a.npz", imgs=volume,
                 boxes=bounds(volume, inclusive=convention == "inclusive"))  # fmt: skip
        run(folder, tmp_path / convention, z_max=convention)
        with np.load(tmp_path / convention / "3DBox_MR_a.npz") as found:
            assert np.count_nonzero(found["segs"] != volume) == lost
    run(folder, tmp_path / "wrong", z_max="exclusive")
    with np.load(tmp_path / "wrong" / "3DBox_MR_a.npz") as found:
        assert not (found["segs"][5] == 1).any()


def test_resumed(cases, model, tmp_path, capsys):
    folder, _, _ = cases
    out = tmp_path / "out"
    run(folder, out)
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    (out / "2DBox_US_c.npz").unlink()
    model.encoded = 0
    assert run(folder, out) == 0
    assert "1 done, 2 kept, 0 failed" in capsys.readouterr().out
    assert model.encoded == 1
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir() if "2D" not in p.name} == {
        k: v for k, v in before.items() if "2D" not in k
    }
    loaded = model.loaded
    assert run(folder, out) == 0
    assert model.loaded == loaded  # nothing to do: no model is loaded
    assert run(folder, out, overwrite=True) == 0
    assert "3 done" in capsys.readouterr().out


def test_one_failure_does_not_stop_the_others(cases, model, tmp_path, capsys):
    folder, _, _ = cases
    (folder / "2DBox_broken.npz").write_bytes(b"PK not a zip")
    np.savez(folder / "3DBox_empty.npz", imgs=np.zeros((2, 4, 4), np.uint8))
    out = tmp_path / "out"
    assert run(folder, out, json=True) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["counts"] == {"done": 3, "kept": 0, "failed": 2}
    errors = {r["case"]: r["error"] for r in record["cases"] if r["error"]}
    assert "damaged" in errors["2DBox_broken.npz"]
    assert "has no boxes" in errors["3DBox_empty.npz"]
    assert len(list(out.iterdir())) == 3
    assert run(folder, out) == 1


def test_a_model_that_breaks_on_one_case(cases, model, tmp_path, capsys, monkeypatch):
    folder, _, _ = cases
    original = model.encode

    def breaks(pictures):
        if pictures[0].shape[1:] == (16, 16):
            raise RuntimeError("boom")
        return original(pictures)

    monkeypatch.setattr(model, "encode", breaks)
    assert run(folder, tmp_path / "out") == 1
    printed = capsys.readouterr().out
    assert "boom" in printed
    assert "2 done, 0 kept, 1 failed" in printed
    assert not list((tmp_path / "out").glob("*CT_b*"))


def test_scores(cases, model, tmp_path, capsys):
    folder, truth, labels = cases
    shifted = np.roll(labels["3DBox_CT_b"], 4, axis=2)
    np.savez(truth / "3DBox_CT_b.npz", gts=shifted, spacing=(0.8, 0.9, 3.0))
    table = tmp_path / "scores.csv"
    assert run(folder, tmp_path / "out", score=str(truth), csv=str(table), json=True) == 0
    record = json.loads(capsys.readouterr().out)
    rows = {r["case"]: r for r in record["cases"]}
    assert rows["3DBox_MR_a.npz"]["DSC"] == rows["3DBox_MR_a.npz"]["NSD"] == 1
    assert rows["3DBox_CT_b.npz"]["DSC"] == pytest.approx(2 * 5 / 18, abs=1e-4)
    assert rows["3DBox_CT_b.npz"]["NSD"] < 0.9
    mean = record["means"]["3-D"]
    assert (mean["cases"], mean["DSC"]) == (2, pytest.approx((1 + 2 * 5 / 18) / 2))
    with table.open(newline="") as file:
        assert [r["case"] for r in csv.DictReader(file)] == sorted(rows)


def test_what_was_not_answered_counts_as_nothing(cases, model, tmp_path, capsys):
    folder, truth, _ = cases
    (folder / "3DBox_CT_b.npz").write_bytes(b"")
    assert run(folder, tmp_path / "out", score=str(truth), json=True) == 1
    assert json.loads(capsys.readouterr().out)["means"]["3-D"]["DSC"] == 0.5


def test_spacing_is_turned_with_the_array(tmp_path):
    """A step of one slice is 5 mm, a step of one column 1 mm: 2 mm tolerate only the latter."""
    gts = np.zeros((9, 30, 30), np.uint8)
    gts[2:7, 5:25, 5:25] = 1
    np.savez(tmp_path / "gts.npz", gts=gts, spacing=(1.0, 1.0, 5.0))
    for axis, good in ((2, True), (0, False)):
        np.savez(tmp_path / "segs.npz", segs=np.roll(gts, 1, axis=axis))
        score = score_case(tmp_path / "segs.npz", tmp_path / "gts.npz")
        assert (score.nsd == 1) == good
        turned = score_case(tmp_path / "segs.npz", tmp_path / "gts.npz", "zyx")
        assert (turned.nsd == 1) != good


def test_too_low_for_a_surface(tmp_path):
    gts = np.zeros((4, 20, 20), np.uint8)
    gts[1:3, 2:18, 2:4] = 1
    np.savez(tmp_path / "gts.npz", gts=gts, spacing=(0.1, 0.1, 0.1))
    np.savez(tmp_path / "segs.npz", segs=np.roll(gts, 2, axis=2))
    assert score_case(tmp_path / "segs.npz", tmp_path / "gts.npz") == Score(0.0, 0.0)


def test_labels_are_scored_one_by_one(tmp_path):
    gts = np.zeros((10, 10), np.uint8)
    gts[:5], gts[5:] = 1, 2
    np.savez(tmp_path / "gts.npz", gts=gts)
    np.savez(tmp_path / "segs.npz", segs=np.where(gts == 1, 1, 0).astype(np.uint8))
    assert score_case(tmp_path / "segs.npz", tmp_path / "gts.npz").dsc == 0.5


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"z_max": "half"}, UsageError, "inclusive or exclusive"),
        ({"spacing": "yxz"}, UsageError, "xyz or zyx"),
        ({"score": "nowhere"}, InputError, "is no folder of ground truth"),
        ({"in_dir": "nowhere"}, InputError, "is no folder"),
        ({"csv": "nowhere/x.csv"}, OutputError, "there is no folder"),
    ],
)
def test_usage(cases, model, tmp_path, options, error, words):
    folder, _, _ = cases
    given = {"in_dir": str(folder), "out_dir": str(tmp_path / "out"), **options}
    with pytest.raises(error, match=words):
        run_challenge(**given)


def test_folders(cases, model, tmp_path):
    folder, _, _ = cases
    with pytest.raises(OutputError, match="is the folder of the cases"):
        run(folder, folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no cases"):
        run(empty, tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be made"):
        run(folder, tmp_path / "no" / "such" / "out")


def test_cancelled_keeps_what_is_done(cases, model, tmp_path, monkeypatch):
    folder, _, _ = cases
    original, seen = challenge._segment, []

    def stops(path, *rest):
        seen.append(path)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return original(path, *rest)

    monkeypatch.setattr(challenge, "_segment", stops)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["2DBox_US_c.npz"]
