"""No patient data leaves a run, and no run talks to anybody.

A DICOM study whose every patient element is planted is segmented, refused and asked about on the
command line; everything that is printed, logged or written is searched. Sockets are refused
meanwhile.
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("samovar_medical")
pytest.importorskip("samovar_laptop")
pydicom = pytest.importorskip("pydicom")

from dicom_making import PLANTED, make_series, save  # noqa: E402

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


def test_a_whole_run_is_clean_and_silent(samovar, study, tmp_path, caplog, no_network):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    outputs = [out / f"organs{s}" for s in (".nii.gz", ".nrrd", ".mha")]
    ran = samovar(
        "segment", study, "--box", BOX, *(a for o in outputs for a in ("-o", o)),
        "--preview", out / "organs.png", "--manifest", out / "organs.json", "--threads", 1,
        "--runtime", "onnxruntime",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    clean("the console", ran.out + ran.err)
    clean("the log", caplog.text)
    assert len(list(out.iterdir())) == 5
    for path in out.iterdir():
        clean("a file name", path.name)
        clean(path.name, content(path))
    manifest = json.loads((out / "organs.json").read_text(encoding="utf-8"))
    assert manifest["input"]["format"] == "dicom"
    assert manifest["objects"][0]["voxels"] > 500


def test_json_is_clean(samovar, study, no_network):
    ran = samovar("segment", study, "--box", BOX, "--json", "--threads", 1)
    assert ran.code == 0, ran.err
    clean("the JSON", ran.out + ran.err)
    ran = samovar("info", study, "--json")
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
    more = ["--box", BOX, "-o", tmp_path / "x.nii.gz"] if command == "segment" else []
    ran = samovar(command, study, *more)
    assert ran.code == 2
    assert ran.err.count("samovar:") == 1
    assert "Traceback" not in ran.err
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
