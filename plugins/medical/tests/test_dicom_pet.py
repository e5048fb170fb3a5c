"""PET in SUV by body weight, checked against arithmetic by hand; else in Bq/mL with a word."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_making import make_series, save
from samovar_medical.dicom import DicomFormat

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
BY_SLICE = (1.0, 1.5, 2.25)
HALF_LIFE = 6588.0


def pet(tmp_path, drug=None, change=None, **elements):
    """Three slices, each with its own slope, injected at 09:11:12, scanned at 10:11:12."""
    volume = np.random.default_rng(0).integers(0, 20000, (3, 6, 5)).astype(np.uint16)
    injection = Dataset()
    given = {"RadionuclideTotalDose": 3.7e8, "RadionuclideHalfLife": HALF_LIFE,
             "RadiopharmaceuticalStartTime": "091112.00", **(drug or {})}  # fmt: skip
    for keyword, value in given.items():
        if value is not None:
            setattr(injection, keyword, value)

    def spoil(header, i):
        header.RescaleSlope = str(BY_SLICE[i])
        header.RadiopharmaceuticalInformationSequence = [injection]
        header.SeriesDate, header.SeriesTime = "20240102", "101112"
        header.AcquisitionDate, header.AcquisitionTime = "20240102", f"1012{10 * i:02d}"
        header.Units, header.DecayCorrection, header.PatientWeight = "BQML", "START", "70"
        for keyword, value in elements.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)

    folder = save(make_series(volume, AFFINE, spoil, modality="PT"), tmp_path / "pet")
    activity = volume * np.array(BY_SLICE)[:, None, None]
    return DicomFormat().open(str(folder)), activity


def decayed(seconds):
    return 3.7e8 * 2 ** (-seconds / HALF_LIFE)


@pytest.mark.parametrize(
    ("drug", "elements", "dose"),
    [
        ({}, {}, decayed(3600)),
        ({}, {"DecayCorrection": "ADMIN"}, 3.7e8),
        ({}, {"SeriesTime": "120000"}, decayed(3648)),  # written later: the first acquisition
        ({"RadiopharmaceuticalStartTime": None,
          "RadiopharmaceuticalStartDateTime": "20240102084112.5"}, {}, decayed(5400)),
        ({"RadiopharmaceuticalStartTime": "231112"},
         {"SeriesTime": "001112", "AcquisitionTime": "001212"}, decayed(3600)),  # past midnight
    ],
)  # fmt: skip
def test_suv_by_body_weight(tmp_path, caplog, drug, elements, dose):
    image, activity = pet(tmp_path, drug, **elements)
    with image:
        assert image.info.modality == "pet"
        assert image.info.channel_names == ("SUVbw",)
        assert np.allclose(image.read()[0], activity * 70_000 / dose, rtol=1e-5)
        assert not caplog.text


@pytest.mark.parametrize(
    ("drug", "elements", "lacking"),
    [
        ({}, {"PatientWeight": None}, "PatientWeight"),
        ({}, {"PatientWeight": "0"}, "PatientWeight"),
        ({"RadionuclideTotalDose": None}, {}, "RadionuclideTotalDose"),
        ({"RadionuclideHalfLife": None}, {}, "RadionuclideHalfLife"),
        ({"RadiopharmaceuticalStartTime": None}, {}, "RadiopharmaceuticalStartTime"),
        ({}, {"DecayCorrection": "NONE"}, "DecayCorrection START or ADMIN"),
        ({"RadiopharmaceuticalStartDateTime": "20230101000000"}, {}, "fit together"),
    ],
)
def test_what_is_missing_is_named_and_bq_stay(tmp_path, caplog, drug, elements, lacking):
    image, activity = pet(tmp_path, drug, **elements)
    with image:
        assert image.info.channel_names == ("Bq/mL",)
        assert np.allclose(image.read()[0], activity)
    assert "PET stays in Bq/mL, for SUV its headers lack" in caplog.text
    assert lacking in caplog.text
    assert "70" not in caplog.text.split("Bq/mL")[1]


def test_units_that_are_suv_already(tmp_path):
    image, activity = pet(tmp_path, Units="GML")
    with image:
        assert image.info.channel_names == ("SUVbw",)
        assert np.allclose(image.read()[0], activity)


def test_counts_stay_counts(tmp_path, caplog):
    image, activity = pet(tmp_path, Units="CNTS")
    with image:
        assert np.allclose(image.read()[0], activity)
    assert "PET in units of CNTS: not turned into SUV" in caplog.text
