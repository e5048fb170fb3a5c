"""``samovar convert``: labels made elsewhere, home in their study."""

from __future__ import annotations

import json
import signal

import numpy as np
import pydicom
import pytest

from dicom_making import make_series, save
from dicom_reading import centroid, contours, filled, segments
from found_objects import RECORD, found, values
from samovar.cli.main import main
from samovar.formats import open_image, write_objects
from samovar.objects import Objects

SHAPE = (6, 7, 9)


@pytest.fixture
def series(geometry, tmp_path):
    return save(make_series(values(SHAPE), geometry.reference_affine()), tmp_path / "series")


@pytest.fixture
def labels():
    made = np.zeros(SHAPE, dtype=np.uint16)
    made[1:4, 2:6, 3:5] = 2
    made[4, 1:3, 6:8] = 300
    return made


@pytest.mark.parametrize("turned", [0, 7, 29, 46])
def test_labels_come_home(geometry, series, labels, tmp_path, turned):
    """Stored along other axes; told apart from a shift."""
    base = geometry.reference_affine()
    stored, affine = geometry.reoriented(labels, base, *geometry.ORIENTATIONS[turned])
    path = geometry.write_nifti(tmp_path / "labels.nii.gz", stored, affine)
    seg, rt = tmp_path / "seg.dcm", tmp_path / "rt.dcm"
    arguments = ["--name", "2=liver", "--name", "300=left kidney", "--made-by", "manual"]
    ran = main(
        [
            "convert",
            path,
            "--reference",
            str(series),
            "-o",
            str(seg),
            "-o",
            f"rtstruct:{rt}",
            *arguments,
        ]
    )
    assert ran == 0
    for value, name in ((2, "liver"), (300, "left kidney")):
        wanted = base[:3, :3] @ np.argwhere(labels == value).mean(axis=0)[::-1] + base[:3, 3]
        assert centroid(segments(seg)[name]) == pytest.approx(wanted, abs=1e-2)
    with open_image(series) as image:
        back = filled(contours(rt)["liver"], image.grid.shape, image.grid.affine)
        index = image.grid.to_world(np.argwhere(back).mean(axis=0)[::-1])
        assert index == pytest.approx(
            base[:3, :3] @ np.argwhere(labels == 2).mean(axis=0)[::-1] + base[:3, 3], abs=1e-2
        )
    data = pydicom.dcmread(seg)
    assert {s.SegmentAlgorithmType for s in data.SegmentSequence} == {"MANUAL"}


def test_what_samovar_wrote_knows_its_origin(series, labels, tmp_path, capsys):
    with open_image(series) as image:
        items = (found(2, labels == 2, "liver"),)
        for suffix in (".nii.gz", ".seg.nrrd"):
            path = tmp_path / f"own{suffix}"
            write_objects(Objects(image.grid, items, RECORD, image), path, image)
            out = tmp_path / f"own{suffix}.dcm"
            assert main(["convert", str(path), "--reference", str(series), "-o", str(out)]) == 0
            (segment,) = pydicom.dcmread(out).SegmentSequence
            assert segment.SegmentLabel == "liver"
            assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
            (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
            assert algorithm.AlgorithmName == "samovar tiny"
            assert "ab" * 32 in algorithm.AlgorithmParameters
    assert "does not say how" not in capsys.readouterr().err


def test_unknown_origin_is_said(geometry, series, labels, tmp_path, caplog):
    path = geometry.write_nifti(tmp_path / "l.nii", labels, geometry.reference_affine())
    out = tmp_path / "o.dcm"
    assert main(["convert", path, "--reference", str(series), "-o", str(out)]) == 0
    assert "--made-by" in caplog.text
    (segment, _) = pydicom.dcmread(out).SegmentSequence
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == (
        "SEMIAUTOMATIC", "unknown",
    )  # fmt: skip
    caplog.clear()
    assert main(["convert", path, "-o", str(tmp_path / "m.csv")]) == 0
    assert "--made-by" not in caplog.text


def test_one_file_a_label_and_json(geometry, labels, tmp_path, capsys):
    path = geometry.write_nifti(tmp_path / "l.nii", labels, geometry.reference_affine())
    out = tmp_path / "part.nrrd"
    assert (
        main(["convert", path, "-o", str(out), "--split-labels", "--name", "2=a b", "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert [o["name"] for o in said["objects"]] == ["a b", ""]
    names = ["part_a_b.nrrd", "part_300.nrrd"]
    assert said["outputs"] == [str(tmp_path / n) for n in names]
    for name, value in zip(names, (2, 300), strict=True):
        found_labels, _ = geometry.read_nrrd_by_hand(tmp_path / name)
        assert np.array_equal(found_labels, np.where(labels == value, value, 0))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "add -o OUT"),
        (["-o", "{tmp}/a.dcm"], "is not DICOM"),
        (["-o", "{tmp}/a.xyz"], "nobody here writes"),
        (["-o", "{tmp}/a.csv", "-o", "{tmp}/a.csv"], "given twice"),
        (["-o", "{tmp}/a.csv", "--name", "5=x"], "no label has that number"),
        (["-o", "{tmp}/a.csv", "--name", "5"], "LABEL=NAME"),
        (["-o", "{tmp}/a.csv", "--made-by", "magic"], "manual, semiautomatic or automatic"),
        (["-o", "{tmp}/a.csv", "--reference", "{other}"], "is not on the grid"),
        (["-o", "{tmp}/a.csv", "--reference", "{tmp}/none"], "there is no such file"),
        (["-o", "rtstruct:{tmp}/a.nii"], "rtstruct"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(
    geometry, labels, tmp_path, capsys, arguments, word
):
    path = geometry.write_nifti(tmp_path / "l.nii", labels, geometry.reference_affine())
    moved = geometry.reference_affine()
    moved[0, 3] += 1.0
    other = geometry.write_nifti(tmp_path / "other.nii", labels, moved)
    before = sorted(tmp_path.iterdir())
    given = [a.format(tmp=tmp_path, other=other) for a in arguments]
    assert main(["convert", path, *given]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in said if line.startswith("samovar:")]) == 1
    assert word in said[-1]
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_is_no_label_image(geometry, tmp_path, capsys):
    path = geometry.write_nifti(tmp_path / "ct.nii", values(SHAPE), geometry.reference_affine())
    assert main(["convert", path, "-o", str(tmp_path / "m.csv")]) == 2
    assert "is not a label image" in capsys.readouterr().err


def test_an_interrupt_keeps_what_was_finished(
    geometry, series, labels, tmp_path, monkeypatch, capsys
):
    """Ctrl-C in the second of three outputs, once: two are whole, the third was not begun."""
    from samovar_medical.nrrd import NrrdLabels

    original = NrrdLabels.write

    def interrupted(self, objects, path, image, **options):
        signal.raise_signal(signal.SIGINT)
        original(self, objects, path, image, **options)

    monkeypatch.setattr(NrrdLabels, "write", interrupted)
    path = geometry.write_nifti(tmp_path / "labels.nii.gz", labels, geometry.reference_affine())
    files = [tmp_path / name for name in ("seg.dcm", "o.nrrd", "o.csv")]
    outputs = [part for file in files for part in ("-o", str(file))]
    assert main(["convert", path, "--reference", str(series), *outputs]) == 130
    assert [file.is_file() for file in files] == [True, True, False]
    assert np.array_equal(np.unique(geometry.read_by_itk(files[1])[0]), [0, 2, 300])
    assert "not written: " + str(files[2]) in capsys.readouterr().err
