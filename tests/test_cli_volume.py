"""``samovar segment`` on a volume: following, key slices, an interrupt; with a perfect model."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest

from oracle import OracleModel
from samovar.benchmark.volume_inputs import write_nifti
from samovar.formats import open_image

pytest.importorskip("samovar_medical")

SHAPE = (20, 30, 40)
FIRST, SECOND = "first=8,6,2,21,19,15", "second=25,20,14,30,25,17"


def balls() -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    labels = ((z - 8) ** 2 + (y - 12) ** 2 + (x - 14) ** 2 <= 36).astype(np.int16) * 50
    labels[14:17, 20:25, 25:30] = 90
    return labels


@pytest.fixture
def model(site, monkeypatch):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,samovar-medical")
    made = OracleModel()
    monkeypatch.setattr("samovar.api.load_model", lambda name, **options: made)
    return made


@pytest.fixture
def volume(tmp_path):
    return write_nifti(lambda z: balls()[z], SHAPE, (1.0, 1.0, 1.0), tmp_path / "v.nii.gz")


def read(path) -> np.ndarray:
    with open_image(str(path)) as image:
        return np.rint(image.read()[0]).astype(int)


@pytest.fixture
def segmented(model, volume, samovar, tmp_path):
    """Runs a command and returns the labels and the manifest."""

    def run(*arguments: str):
        out, manifest = tmp_path / "o.nii.gz", tmp_path / "m.json"
        ran = samovar(
            "segment", volume, "--modality", "gray", "--window", "L127.5W255", *arguments,
            "-o", out, "--manifest", manifest,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return read(out), json.loads(manifest.read_text())

    return run


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_boxes_along_any_axis(segmented, axis):
    labels, record = segmented("--box", FIRST, "--box", SECOND, "--axis", axis)
    assert np.array_equal(labels == 1, balls() == 50)
    assert np.array_equal(labels == 2, balls() == 90)
    assert record["following"] == {
        "axis": axis, "extent": "box", "anchor": "best", "consensus": False,
    }  # fmt: skip


def test_a_box_of_one_slice_is_followed_with_extent_auto(segmented):
    flat = "first=8,6,8,21,19,9"
    labels, _ = segmented("--box", flat)
    assert np.flatnonzero(labels.any(axis=(1, 2))).tolist() == [8]
    labels, _ = segmented("--box", flat, "--extent", "auto", "--anchor", "middle")
    assert np.array_equal(labels == 1, balls() == 50)


def test_several_boxes_of_one_name_are_key_slices(segmented):
    keys = [f"first=8,6,{z},21,19,{z + 1}" for z in (4, 8, 12)]
    labels, record = segmented(*(a for k in keys for a in ("--box", k)))
    expected = balls() == 50
    expected[:4] = expected[13:] = False
    assert np.array_equal(labels == 1, expected)
    (prompt,) = record["prompts"]
    assert len(prompt["key_boxes"]) == 2


def test_three_axes_vote(segmented):
    labels, record = segmented("--box", FIRST, "--consensus")
    assert np.array_equal(labels == 1, balls() == 50)
    assert record["following"]["consensus"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--axis", "axial"), "auto, x, y or z"),
        (("--extent", "all"), "extent 'all'"),
        (("--anchor", "first"), "anchor 'first'"),
        (("--box", "first=8,6,2,21,19,9"), "2 boxes of several slices"),
    ],
)
def test_bad_usage(model, volume, samovar, tmp_path, arguments, message):
    ran = samovar("segment", volume, "--box", FIRST, *arguments, "-o", tmp_path / "o.nii.gz")
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "o.nii.gz").exists()


def test_an_interrupt_keeps_finished_objects_under_another_name(
    model, volume, samovar, tmp_path, monkeypatch
):
    decode = model.decode

    def interrupted(embedding, prompts):
        if model.decoded >= 10:
            raise KeyboardInterrupt
        return decode(embedding, prompts)

    monkeypatch.setattr(model, "decode", interrupted)
    arguments = (
        "segment", volume, "--modality", "gray", "--window", "L127.5W255", "--anchor", "middle",
        "--box", SECOND, "--box", FIRST,
    )  # fmt: skip
    ran = samovar(*arguments, "-o", tmp_path / "o.nii.gz")
    assert ran.code == 130
    assert "1 of 2 objects were finished" in ran.err
    assert not (tmp_path / "o.nii.gz").exists()
    labels = read(tmp_path / "o.partial.nii.gz")
    assert np.array_equal(labels > 0, balls() == 90)

    model.decoded = 10
    (tmp_path / "o.partial.nii.gz").unlink()
    ran = samovar(*arguments, "-o", tmp_path / "o.nii.gz")
    assert ran.code == 130
    assert "nothing was written" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["v.nii.gz"]


@pytest.mark.parametrize(("times", "whole"), [(1, 2), (2, 1)])
def test_an_interrupt_while_outputs_are_written_keeps_the_finished_ones(
    model, volume, samovar, tmp_path, monkeypatch, times, whole
):
    """Every object is there by then: the first Ctrl-C finishes the file, the second drops it."""
    from samovar_medical.nrrd import NrrdLabels

    original = NrrdLabels.write

    def interrupted(self, objects, path, image, **options):
        path.write_bytes(b"NRRD0004 half")
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        original(self, objects, path, image, **options)

    monkeypatch.setattr(NrrdLabels, "write", interrupted)
    out = tmp_path / "out"
    out.mkdir()
    files = ("o.nii.gz", "o.nrrd", "o.mha", "o.csv", "o.html")
    ran = samovar(
        "segment", volume, "--modality", "gray", "--window", "L127.5W255", "--box", FIRST,
        "--box", SECOND, *(a for f in files for a in ("-o", out / f)),
        "--preview", out / "o.png", "--manifest", out / "o.json",
    )  # fmt: skip
    assert ran.code == 130, ran.err
    assert sorted(p.name for p in out.iterdir()) == sorted([*files[:whole], "o.json"])
    kept, left = ran.err.split("not written: ")
    assert all(f in kept for f in files[:whole])
    assert all(f in left for f in (*files[whole:], "o.png"))
    assert "Traceback" not in ran.err
    record = json.loads((out / "o.json").read_text("utf-8"))
    assert record["outputs"] == list(files[:whole])
    assert record["cancelled"] is True
    for name in files[:whole]:
        assert np.array_equal(read(out / name) > 0, balls() > 0)


def test_an_interrupt_while_a_study_is_written_ends_the_batch(
    model, volume, samovar, tmp_path, monkeypatch
):
    """The study at work keeps its files, those before it everything; those after are not begun."""
    from samovar_medical.nifti import NiftiFormat

    volumes = [volume, *(shutil.copy(volume, tmp_path / f"{n}.nii.gz") for n in ("w", "x"))]
    original, written = NiftiFormat.write, []

    def interrupted(self, objects, path, image, **options):
        written.append(path)
        if len(written) == 2:
            signal.raise_signal(signal.SIGINT)
        original(self, objects, path, image, **options)

    monkeypatch.setattr(NiftiFormat, "write", interrupted)
    monkeypatch.setattr("samovar.cli.segment_batch._model", lambda request: model)
    out = tmp_path / "out"
    arguments = ("segment", *volumes, "--modality", "gray", "--window", "L127.5W255",
                 "--box", FIRST, "--out-dir", out)  # fmt: skip
    ran = samovar(*arguments)
    assert ran.code == 130, ran.err
    assert "w_seg.nii.gz" in ran.err.rpartition("kept: ")[2]
    names = {p.name for p in out.iterdir()}
    assert {"v_seg.nii.gz", "v.json", "w_seg.nii.gz", "summary.csv"} <= names
    assert not any(name.startswith("x") for name in names)
    assert len((out / "summary.csv").read_text("utf-8").splitlines()) == 2
    ran = samovar(*arguments, "--resume")
    assert ran.code == 0, ran.err
    assert ran.out.count("done before") == 1


def test_an_interrupt_keeps_what_a_generator_found_in_finished_slices(
    model, volume, samovar, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,samovar-medical,samovar-selfprompt")
    pytest.importorskip("samovar_selfprompt")
    arguments = (
        "segment", volume, "--modality", "gray", "--window", "L127.5W255",
        "--auto", "grid:points=40,smallest=1", "-o", tmp_path / "o.nii.gz",
    )  # fmt: skip
    decode, slices = model.decode, []

    def interrupted(embedding, prompts):
        if not slices or slices[-1] is not embedding:
            slices.append(embedding)
        if len(slices) > before:
            raise KeyboardInterrupt
        return decode(embedding, prompts)

    monkeypatch.setattr(model, "decode", interrupted)
    before = 16
    ran = samovar(*arguments)
    assert ran.code == 130
    assert "2 objects of the finished slices" in ran.err
    assert "o.partial.nii.gz" in ran.err
    assert not (tmp_path / "o.nii.gz").exists()
    labels, finished = read(tmp_path / "o.partial.nii.gz"), balls()
    finished[before:] = 0
    assert np.array_equal(labels == 1, finished == 50)
    assert np.array_equal(labels == 2, finished == 90)

    (tmp_path / "o.partial.nii.gz").unlink()
    slices.clear()
    before = 0
    ran = samovar(*arguments)
    assert ran.code == 130
    assert "nothing was written" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["v.nii.gz"]
