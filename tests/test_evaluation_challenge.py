"""``samovar eval`` on cases of the laptop challenge, with a perfect model and one that is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation_fakes import BoxModel
from oracle import OracleModel
from samovar.errors import InputError
from samovar.evaluation.asking import Asking
from samovar.evaluation.challenge import read_gts
from samovar.evaluation.run import Settings, evaluate
from samovar.evaluation.sets import find_sets
from samovar.evaluation.summary import summarise

pytest.importorskip("samovar_medical")

SPACING = (0.8, 0.9, 3.0)


@pytest.fixture(autouse=True)
def medical(site, monkeypatch):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,samovar-medical")


def labelled() -> dict[str, np.ndarray]:
    volume = np.zeros((8, 24, 20), np.uint8)
    volume[2:6, 4:12, 5:15], volume[6:8, 15:20, 2:6] = 1, 2
    flat = np.zeros((30, 26), np.uint8)
    flat[3:12, 4:20], flat[18:25, 6:14], flat[18:25, 16:20] = 1, 2, 2
    return {"3DBox_MR_a": volume, "2DBox_US_b": flat}


def bounds(labels: np.ndarray) -> np.ndarray:
    """x first, maximum inclusive."""
    places = [np.argwhere(labels == v)[:, ::-1] for v in range(1, labels.max() + 1)]
    return np.array([[*p.min(axis=0), *p.max(axis=0)] for p in places])


def write(folder, boxes=bounds, **more) -> str:
    """Cases whose values are their labels, with the truth in the same file."""
    folder.mkdir(parents=True)
    for name, labels in labelled().items():
        imgs = labels if labels.ndim == 3 else np.repeat(labels[..., None], 3, axis=2)
        arrays = {"imgs": imgs, "gts": labels, "spacing": SPACING, **more}
        if boxes is not None:
            arrays["boxes"] = boxes(labels)
        np.savez_compressed(folder / f"{name}.npz", **arrays)
    return str(folder)


def rows(data, model, **asking) -> tuple[dict, tuple[str, ...]]:
    measured = evaluate(data, model, Settings(Asking(**asking)))
    return summarise(measured)["datasets"], measured.failures


@pytest.mark.parametrize("boxes", [bounds, None])
def test_a_perfect_model_scores_one_in_volumes_and_pictures(tmp_path, boxes):
    found, failures = rows(write(tmp_path / "cases", boxes), OracleModel())
    assert failures == ()
    row = found["cases"]
    assert (row["dice"], row["nsd"], row["objects"], row["images"]) == (1, 1, 4, 2)
    assert set(row["classes"]) == {"3DBox_MR", "2DBox_US"}


def test_the_boxes_of_the_file_are_asked_for_unless_they_are_to_be_moved(tmp_path):
    data = write(tmp_path / "cases", lambda labels: bounds(labels)[::-1])
    found, _ = rows(data, OracleModel())
    assert found["cases"]["dice"] == 0
    found, _ = rows(data, OracleModel(), prompt="center")
    assert found["cases"]["classes"]["3DBox_MR"]["dice"] == 1


def test_dice_and_nsd_at_two_millimetres_are_those_computed_by_hand(tmp_path):
    """A row too far is 0.9 mm and near; a slice too far is 3 mm, and the spacing is x first."""
    labels = np.zeros((12, 20, 20), np.uint8)
    labels[4:8, 5:15, 5:15] = 1
    folder = tmp_path / "cases"
    folder.mkdir()
    measured = {}
    for name, shift in (("near", (0, 1, 0)), ("far", (1, 0, 0))):
        imgs = np.roll(labels, shift, axis=(0, 1, 2))
        np.savez(folder / f"3DBox_CT_{name}.npz", imgs=imgs, gts=labels, boxes=bounds(imgs),
                 spacing=SPACING)  # fmt: skip
    for item in evaluate(str(folder), OracleModel(), Settings()).sets[0].objects:
        measured[item.stem.rpartition("_")[2]] = item.measures
    assert measured["near"]["dice"] == pytest.approx(0.9)
    assert measured["near"]["nsd"] == 1
    assert measured["far"]["dice"] == pytest.approx(0.75)
    # of 272 voxels of the outline the 100 of one face and the innermost 16 of the other are far
    assert measured["far"]["nsd"] == pytest.approx(156 / 272)


def test_imgs_and_gts_may_lie_in_two_folders(tmp_path):
    write(tmp_path / "demo" / "imgs")
    (tmp_path / "demo" / "gts").mkdir()
    for name, labels in labelled().items():
        np.savez_compressed(tmp_path / "demo" / "gts" / f"{name}.npz", gts=labels)
    [found], _ = find_sets(tmp_path / "demo")
    assert (found.kind, found.name) == ("challenge", "demo")
    assert [c.labels.parent.name for c in found.cases()] == ["gts", "gts"]
    assert rows(str(tmp_path), OracleModel())[0]["demo"]["dice"] == 1


def test_cases_that_cannot_be_measured_are_named_and_the_others_go_on(tmp_path):
    folder = tmp_path / "cases"
    write(folder)
    flat = labelled()["2DBox_US_b"]
    pickled = np.array([{"a": 1}], dtype=object)
    for name, arrays in {
        "2DBox_US_c": {"imgs": flat, "boxes": bounds(flat), "gts": flat[1:]},
        "2DBox_US_d": {"imgs": flat, "boxes": bounds(flat), "gts": pickled},
        "2DBox_US_e": {"imgs": flat, "boxes": bounds(flat), "gts": flat.astype(np.float32)},
        "2DBox_US_f": {"imgs": flat, "boxes": bounds(flat)[:1], "gts": flat},
        "2DBox_US_g": {"imgs": flat, "boxes": bounds(flat)},
    }.items():
        np.savez_compressed(folder / f"{name}.npz", **arrays)
    (folder / "2DBox_US_h.npz").write_bytes(b"no archive")
    found, failures = rows(str(folder), OracleModel())
    assert found["cases"]["objects"] == 4
    said = ["match voxel by voxel", "cannot be read", "whole numbers", "1 boxes", "no array 'gts'"]
    assert len(failures) == 6
    for line, message in zip(failures, said, strict=False):
        assert message in line


def test_other_npz_are_no_cases(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="npz of imgs and gts"):
        find_sets(tmp_path)
    with pytest.raises(InputError, match="no array 'gts'"):
        read_gts(tmp_path / "weights.npz")


def test_the_command_prints_dice_and_nsd(tmp_path, samovar, monkeypatch):
    monkeypatch.setattr("samovar.models.load_model", lambda *a, **k: OracleModel())
    ran = samovar("eval", "--data", write(tmp_path / "cases"), "--json")
    assert ran.code == 0, ran.err
    row = json.loads(ran.out)["datasets"]["cases"]
    assert (row["dice"], row["nsd"]) == (1, 1)
    assert "NSD" in samovar("eval", "--data", tmp_path / "cases").out


def test_generators_and_clicks_are_refused(tmp_path, samovar, monkeypatch):
    monkeypatch.setattr("samovar.models.load_model", lambda *a, **k: BoxModel())
    ran = samovar("eval", "--data", write(tmp_path / "cases"), "--clicks", "2")
    assert ran.code == 2
    assert "corrective clicks" in ran.err
