"""No patient data leaves a run, and no run talks to anybody.

A DICOM study whose every patient element is planted is segmented, refused and asked about on the
command line; everything that is printed, logged or written is searched. Sockets are refused
meanwhile.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("samovar_medical")
pytest.importorskip("samovar_laptop")
pydicom = pytest.importorskip("pydicom")

from dicom_making import GIVEN, NUMBER, PLANTED, SURNAME, make_series, save  # noqa: E402
from samovar import privacy  # noqa: E402
from samovar.plugins import registry  # noqa: E402

AFFINE = np.diag([0.9, 0.9, 3.0, 1.0])
BOX = "kidney=12,14,2,36,34,7"


def body() -> np.ndarray:
    """HU: a bright ellipsoid in a grey body in air."""
    z, y, x = np.meshgrid(np.arange(9), np.arange(48), np.arange(52), indexing="ij")
    values = np.full(z.shape, -1000)
    values[(x - 26) ** 2 / 600 + (y - 24) ** 2 / 500 < 1] = 40
    values[(x - 24) ** 2 / 100 + (y - 24) ** 2 / 80 + (z - 4) ** 2 / 6 < 1] = 220
    return values.astype(np.int16)


@pytest.fixture
def study(tmp_path) -> Path:
    """One series; its files are named as archives name them, by numbers."""
    return save(make_series(body(), AFFINE), tmp_path / "study")


@pytest.fixture
def named(tmp_path) -> Path:
    """The same in a folder that is called after the patient, as are its files."""
    folder = save(make_series(body(), AFFINE), tmp_path / f"{SURNAME.upper()}^{GIVEN}_ct")
    for path in folder.iterdir():
        path.rename(folder / f"{NUMBER}_{path.name}")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Whoever opens a socket fails."""

    def refused(*args, **kwargs):
        raise AssertionError("somebody asked for the network")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refused)


def clean(what: str, text: str) -> None:
    for word in PLANTED:
        assert word.casefold() not in text.casefold(), f"{word} in {what}"


def content(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.name.endswith("gz") else raw).decode("latin-1")


def test_refusing_sockets_refuses(no_network):
    with pytest.raises(AssertionError, match="asked for the network"):
        socket.create_connection(("example.org", 80))


def every_output() -> list[str]:
    """``NAME:FILE`` of every installed writer of volumes and every suffix that it has."""
    writers = [s for s in registry().specs("format") if s.writes and "volume" in s.domains]
    return [f"{s.canonical}:organs_{s.name}{x}" for s in writers for x in s.suffixes]


def test_every_writer_is_asked():
    suffixes = {o.partition("organs_")[2].partition(".")[2] for o in every_output()}
    wanted = {
        "nii.gz",
        "nrrd",
        "seg.nrrd",
        "mha",
        "npz",
        "dcm",
        "stl",
        "obj",
        "csv",
        "json",
        "html",
    }
    assert suffixes >= wanted
    names = {o.partition(":")[0] for o in every_output()}
    assert names >= {f"samovar-medical/{n}" for n in ("seg", "seg-labelmap", "rtstruct", "report")}


def test_a_whole_run_is_clean_and_silent(samovar, named, tmp_path, caplog, no_network):
    """Every output there is, of a study whose every name is the patient's."""
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    outputs = [o.replace(":", f":{out}{os.sep}", 1) for o in every_output()]
    ran = samovar(
        "--debug", "segment", named, "--box", BOX, *(a for o in outputs for a in ("-o", o)),
        "--preview", out / "organs.png", "--manifest", out / "organs.manifest", "--threads", 1,
        "--runtime", "onnxruntime",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    clean("the console", ran.out + ran.err)
    clean("the log", caplog.text)
    assert len(list(out.iterdir())) == len(outputs) + 2
    for path in out.iterdir():
        clean("a file name", path.name)
        if path.suffix != ".dcm":
            clean(path.name, content(path))
    manifest = json.loads((out / "organs.manifest").read_text(encoding="utf-8"))
    assert manifest["input"]["format"] == "dicom"
    assert manifest["objects"][0]["voxels"] > 500
    for path in out.glob("*.dcm"):
        only_what_dicom_demands(path, named)


DEMANDED = {
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "AccessionNumber",
    "StudyID", "ReferringPhysicianName", "StudyDescription", "OtherPatientIDs",
    "IssuerOfPatientID", "OtherPatientNames", "PatientComments", "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy", "AdmissionID", "IssuerOfAdmissionID", "Occupation",
    "AdditionalPatientHistory", "ResponsiblePerson", "ResponsiblePersonRole",
}  # fmt: skip
"""Of the patient and general study modules, which bind an instance to its study."""


def only_what_dicom_demands(path: Path, source: Path) -> None:
    """The patient is where the modules of patient and study have them, and nowhere else."""
    written = pydicom.dcmread(path)
    header = pydicom.dcmread(next(source.iterdir()), stop_before_pixels=True)
    assert written.PatientID == header.PatientID
    leaks = {
        element.keyword or str(element.tag)
        for element in written
        if element.keyword not in DEMANDED and element.keyword != "PixelData"
        for word in PLANTED
        if word.casefold() in str(element.value).casefold()
    }
    assert not leaks


@pytest.fixture
def batch(samovar, named, study, tmp_path):
    """Runs a batch of three: two named after the patient, one of them broken."""
    broken = tmp_path / f"{GIVEN}_{SURNAME}"
    shutil.copytree(study, broken)
    missing(broken)
    out = tmp_path / "out"

    def run(*more):
        ran = samovar("--debug", "segment", named, study, broken, "--box", BOX, "--out-dir", out,
                      "--threads", 1, *more)  # fmt: skip
        return ran, out

    return run


def test_a_batch_is_clean(batch, caplog, no_network):
    caplog.set_level(logging.DEBUG)
    ran, out = batch("-o", "{name}.nii.gz", "-o", "{name}.html", "--preview", "{name}.png")
    assert ran.code == 1
    assert "2 of 3 inputs are called after their patients" in ran.err
    clean("the console", ran.out + ran.err)
    clean("the log", caplog.text)
    names = {p.name for p in out.iterdir()}
    assert {"study_0001.nii.gz", "study_0001.json", "study.nii.gz"} <= names
    assert {"summary.csv", "batch.json"} <= names
    for path in out.iterdir():
        clean("a file name", path.name)
        clean(path.name, content(path))
    summary = (out / "summary.csv").read_text(encoding="utf-8")
    assert "[private]" in summary  # the folder of the one that failed
    assert [line.split(",")[:2] for line in summary.splitlines()[1:]] == [
        ["study_0001", "done"], ["study", "done"], ["study_0003", "failed"],
    ]  # fmt: skip


def test_a_resumed_batch_knows_its_studies_again(batch, no_network):
    batch()
    ran, _ = batch("--resume")
    assert ran.code == 1
    assert ran.out.count("done before") == 2
    clean("the console", ran.out + ran.err)


def test_boxes_are_found_by_the_names_of_the_studies(samovar, named, tmp_path, no_network):
    """``--prompts {name}`` is about the user's own files, which are called as theirs are."""
    boxes = {"boxes": [{"name": "kidney", "box": [12, 14, 2, 36, 34, 7]}]}
    (tmp_path / f"{named.name}.boxes.json").write_text(json.dumps(boxes["boxes"]), "utf-8")
    ran = samovar("segment", named, "--out-dir", tmp_path / "out", "--threads", 1,
                  "--prompts", tmp_path / "{name}.boxes.json")  # fmt: skip
    clean("the console", ran.out + ran.err)
    assert (tmp_path / "out" / "study_0001_seg.nii.gz").is_file(), ran.err


def test_pseudonyms_may_be_shown(samovar, tmp_path, no_network):
    """Of a study whose patient's identity was removed the folder keeps its name."""
    series = make_series(body(), AFFINE)
    for header in series:
        header.PatientIdentityRemoved = "YES"
    folder = save(series, tmp_path / NUMBER)
    ran = samovar("segment", folder, "--box", BOX, "--out-dir", tmp_path / "o", "--threads", 1)
    assert ran.code == 0, ran.err
    assert (tmp_path / "o" / f"{NUMBER}_seg.nii.gz").is_file()


def test_json_is_clean(samovar, named, no_network):
    ran = samovar("segment", named, "--box", BOX, "--json", "--threads", 1)
    assert ran.code == 0, ran.err
    clean("the JSON", ran.out + ran.err)
    privacy.forget()
    ran = samovar("info", named, "--json")
    assert ran.code == 0
    clean("info", ran.out + ran.err)


def missing(study):
    (study / "IM0003").unlink()


def truncated(study):
    path = study / "IM0003"
    path.write_bytes(path.read_bytes()[:-100])


def nonsense(study):
    header = pydicom.dcmread(study / "IM0003")
    header.ImagePositionPatient = ["0", "0", "77"]
    header.save_as(study / "IM0003")


def two(study):
    other = make_series(body() // 2, AFFINE, series="1.9", SeriesNumber=9,
                        SeriesDescription=f"Kidney {PLANTED[0]}")  # fmt: skip
    save(other, study)


def twice(study):
    shutil.copy(study / "IM0003", study / "IM9999")
    header = pydicom.dcmread(study / "IM9999")
    header.PixelData = bytes(len(header.PixelData))
    header.save_as(study / "IM9999")


@pytest.mark.parametrize(
    "spoil", [missing, truncated, nonsense, two, twice], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("command", ["segment", "info"])
def test_refusals_are_clean(samovar, study, tmp_path, caplog, spoil, command, no_network):
    caplog.set_level(logging.DEBUG)
    spoil(study)
    folder = study.rename(tmp_path / f"{GIVEN}.{SURNAME} {NUMBER}")
    more = ["--box", BOX, "-o", tmp_path / "x.nii.gz"] if command == "segment" else []
    ran = samovar(command, folder, *more, "--debug")
    assert ran.code == 2
    assert ran.err.count("samovar:") == 1
    assert "[private]" in ran.err
    clean("the console", ran.out + ran.err)
    clean("the log", caplog.text)
    assert not (tmp_path / "x.nii.gz").exists()


def test_a_plugin_that_fails_on_the_way_is_clean(samovar, study, tmp_path, monkeypatch, no_network):
    """Half of the files vanish between opening and reading."""
    from samovar_medical import dicom_volume

    original = dicom_volume.stored_values

    def vanishing(source, frame):
        frame.instance.path.unlink(missing_ok=True)
        return original(source, frame)

    monkeypatch.setattr(dicom_volume, "stored_values", vanishing)
    ran = samovar("segment", study, "--box", BOX, "-o", tmp_path / "x.nii.gz", "--threads", 1)
    assert ran.code in (1, 2)
    assert "No such file" in ran.err
    clean("the console", ran.out + ran.err)
    assert not (tmp_path / "x.nii.gz").exists()


def test_a_trace_is_clean(samovar, named, tmp_path, monkeypatch, no_network):
    """``--debug`` shows where a library failed, not whom it failed on."""
    from samovar_medical.dicom_seg import DicomSegFormat

    def failing(self, content):
        raise ValueError(f"invalid: {SURNAME}^{GIVEN}, {NUMBER}, 19420307")

    monkeypatch.setattr(DicomSegFormat, "dataset", failing)
    ran = samovar("segment", named, "--box", BOX, "-o", tmp_path / "x.dcm", "--threads", 1,
                  "--debug")  # fmt: skip
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert "ValueError: invalid: [private]" in ran.err
    clean("the console", ran.out + ran.err)
