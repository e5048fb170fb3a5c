"""Nothing that names the patient gets out: not in errors, logs, lists, labels or on the screen."""

from __future__ import annotations

import gzip
import logging
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_making import (
    GIVEN,
    NUMBER,
    PLANTED,
    SURNAME,
    make_enhanced,
    make_series,
    make_slice,
    save,
)
from samovar.errors import InputError
from samovar.formats import open_image, write_objects
from samovar_medical.dicom import DicomFormat
from samovar_medical.dicom_privacy import shareable, silent_pydicom

AFFINE = np.diag([0.8, 0.9, 2.5, 1.0])
VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


def clean(text: str) -> None:
    for word in PLANTED:
        assert word.casefold() not in text.casefold(), word


def test_the_planted_patient_is_there(tmp_path):
    """Otherwise none of the tests here could fail."""
    raw = (save(make_series(VOLUME, AFFINE), tmp_path / "ct") / "IM0000").read_bytes().decode("l1")
    for word in PLANTED:
        assert raw.count(word) >= 1
    assert raw.count(SURNAME) > 10


def spoil_nothing(series):
    return series


def several(series):
    return series + make_series(
        VOLUME, AFFINE, series="1.9", SeriesNumber=8, SeriesDescription=f"T1 {GIVEN} x"
    )


def missing(series):
    return series[:2] + series[3:]


def wander(series):
    series[2].ImagePositionPatient = ["9", "9", "5"]
    return series


def echoes(series):
    return series + make_series(VOLUME + 1, AFFINE, EchoTime="7")


def colliding(series):
    return series + make_series(VOLUME[:1] + 9, AFFINE)


def not_numbers(series):
    """The patient's name where numbers belong, as broken software writes it."""
    for header in series:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.add_new("WindowCenter", "LO", SURNAME)
            header.add_new("PixelSpacing", "LO", [SURNAME, GIVEN])
            header.add_new("SeriesNumber", "LO", SURNAME)
            header.add_new("EchoTime", "LO", SURNAME)
    return series


def named_kinds(series):
    """Names in elements of codes and kinds, where two volumes differ by them."""
    other = make_series(VOLUME + 5, AFFINE, ImageType=["ORIGINAL", SURNAME.upper()])
    other += make_series(VOLUME + 7, AFFINE, series="1.8", Modality=SURNAME.upper()[:9])
    return series + other


def screenshot(series):
    return [make_slice(VOLUME[0], None, modality="SC")]


def pet(series):
    return make_series(VOLUME.astype(np.uint16), AFFINE, modality="PT", Units="BQML",
                       PatientWeight="77.123")  # fmt: skip


def odd_units(series):
    return make_series(VOLUME.astype(np.uint16), AFFINE, modality="PT", Units=SURNAME.upper())


SPOILS = (spoil_nothing, several, missing, wander, echoes, colliding, not_numbers, screenshot, pet,
          odd_units, named_kinds)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda f: f.__name__)
def test_reading_and_failing(tmp_path, caplog, capfd, recwarn, spoil):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = save(spoil(make_series(VOLUME, AFFINE)), tmp_path / "study")
    recwarn.clear()
    caplog.set_level(logging.DEBUG)
    said = []
    for path in (folder, folder / "IM0000"):
        for options in ({}, {"series": "99"}, {"allow_gaps": True}, {"frame": 3}):
            try:
                with DicomFormat().open(str(path), **options) as image:
                    image.read()
                    said.append(repr(image.info))
            except InputError as error:
                said.append(str(error))
    assert len(said) == 8
    captured = capfd.readouterr()
    clean("\n".join([*said, caplog.text, captured.out, captured.err]))
    clean("\n".join(str(w.message) for w in recwarn.list))
    assert "77.1" not in caplog.text


@pytest.mark.parametrize("cut", [300, 900, 1500, -20])
def test_damaged_files(tmp_path, caplog, capfd, cut):
    header = make_enhanced(VOLUME, AFFINE)
    header.compress("1.2.840.10008.1.2.5")
    path = tmp_path / "many.dcm"
    header.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError) as caught, DicomFormat().open(str(path)) as image:
        image.read()
    captured = capfd.readouterr()
    clean(str(caught.value) + caplog.text + captured.out + captured.err)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_written_labels(geometry, tmp_path, suffix):
    folder = save(make_series(VOLUME, AFFINE), tmp_path / "ct")
    with open_image(folder) as image:
        out = tmp_path / f"labels{suffix}"
        write_objects(geometry.objects_of(image.grid, (VOLUME > 90).astype(np.uint8)), out, image)
    content = out.read_bytes()
    if suffix.endswith("gz"):
        content = gzip.decompress(content)
    clean(content.decode("latin-1"))
    clean(" ".join(p.name for p in tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T1 post", "T1 post"),
        ("Thorax 1.0 B30f", "Thorax 1.0 B30f"),
        ("ax\tFLAIR\n+C", "ax FLAIR +C"),
        (f"{SURNAME} T1", ""),
        (f"t1 {GIVEN.lower()}", ""),
        ("MRN7730419", ""),
        ("DOE^JOHN", ""),
        ("abdomen 19420307", ""),
        ("scan of 3.7.1942", ""),
        ("a" * 90, "a" * 40),
        ("", ""),
    ],
)
def test_descriptions(text, shown):
    header = make_slice(VOLUME[0], AFFINE)
    assert shareable(text, header) == shown


def test_a_description_without_a_patient():
    assert shareable("T2 tse", Dataset()) == "T2 tse"


def test_silence_ends():
    logger = logging.getLogger("pydicom")
    before = logger.level
    with silent_pydicom(), silent_pydicom():
        assert not logger.isEnabledFor(logging.CRITICAL)
        assert not logging.getLogger("pydicom.pixels.decoders.base").isEnabledFor(logging.ERROR)
    assert logger.level == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_the_source_names_files_only(tmp_path):
    folder = save(make_series(VOLUME, AFFINE), tmp_path / "ct")
    with DicomFormat().open(str(folder)) as image:
        clean(repr(image.dicom))
        header = image.dicom.header(image.dicom.paths[0])
    assert header.PatientID == NUMBER  # those who may copy it, writers, find it there
    assert isinstance(image.info.native, dict | SimpleNamespace)
