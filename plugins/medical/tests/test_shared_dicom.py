"""Real DICOM: CT and MR series as scanners and archives left them, against SimpleITK's reader."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from samovar import api
from samovar.errors import InputError, UsageError
from samovar.formats import open_image

pytestmark = pytest.mark.shared

SERIES = {
    "dicom/lidc_idri_0314_ct/dicom_central_16": ("ct", (16, 512, 512)),
    "dicom/tcia_brain_tumor_progression_dicom/Study3/11-T1post-18670": ("mr", (22, 320, 280)),
    "dicom/tcia_brain_tumor_progression_dicom/Study3/36468-FLAIRreg-58706": ("mr", (22, 320, 280)),
    "dicom/dcmqi_seg/ct-3slice": ("ct", (3, 512, 512)),
    "dicom/dcmqi_seg/24x38x3/image": ("ct", (3, 38, 24)),
    "volumes/lungmask_test": ("ct", (2, 512, 512)),
    "volumes/totalsegmentator_ref/example_ct_dicom": ("ct", (20, 512, 512)),
}


def itk_series(folder):
    reader = sitk.ImageSeriesReader()
    uids = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uids[0] if uids else ""))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


@pytest.mark.parametrize("name", SERIES)
def test_as_itk_reads_it(shared_data, name):
    values, affine = itk_series(shared_data / name)
    with open_image(shared_data / name) as image:
        assert (image.info.modality, image.grid.shape) == SERIES[name]
        assert np.allclose(image.grid.affine, affine, atol=1e-9)
        assert image.dtype.kind in "iu"
        assert np.array_equal(image.read()[0], values)


def test_a_study_of_two_series(shared_data):
    study = shared_data / "dicom" / "tcia_brain_tumor_progression_dicom"
    with pytest.raises(UsageError) as caught:
        open_image(study)
    assert '11 (MR, 22 slices of 280×320, oblique axial, 0.688×0.688×6.5 mm, "T1post")' in str(
        caught.value
    )
    with open_image(study, series="FLAIR") as image:
        assert image.dicom.modality == "MR"


def test_missing_uids_are_seen(shared_data):
    with open_image(shared_data / "volumes/totalsegmentator_ref/example_ct_dicom") as image:
        assert "SeriesInstanceUID" in image.dicom.missing_uids
    with open_image(shared_data / "dicom/lidc_idri_0314_ct/dicom_central_16") as image:
        assert image.dicom.missing_uids == ()


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_multiframe_is_the_series_that_it_was_made_of(shared_data, size):
    folder = shared_data / "dicom" / "dcmqi_seg" / size
    with open_image(folder / "image") as one, open_image(folder / "multiframe" / "mf.dcm") as other:
        assert np.allclose(one.grid.affine, other.grid.affine)
        assert np.array_equal(one.read(), other.read())
        assert other.dicom.multiframe


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("dicom/dcmqi_seg/liver.dcm", "is a DICOM segmentation"),
        ("dicom/highdicom_test/sm_image.dcm", "whole-slide image"),
        ("dicom/highdicom_test/sm_image_jpegls.dcm", "whole-slide image"),
        ("dicom/highdicom_test/sr_document.dcm", "DICOM without an image"),
    ],
)
def test_what_is_refused(shared_data, name, word):
    with pytest.raises(InputError, match=word):
        open_image(shared_data / name)


def test_a_radiograph(shared_data):
    with open_image(shared_data / "dicom/highdicom_test/dx_image.dcm") as image:
        assert (image.info.domain, image.info.modality) == ("picture", "xr")
        assert image.grid.shape == (169, 211)


def test_the_aorta_of_a_real_study(shared_data, tmp_path):
    """Prompted by a box, written as NIfTI, at the place where it was asked for."""
    pytest.importorskip("samovar_laptop")
    folder = shared_data / "volumes/totalsegmentator_ref/example_ct_dicom"
    with api.open(folder) as image:
        box = (246, 282, 0, 282, 320, 20)
        found = api.segment(image, boxes={"aorta": box}, threads=1, runtime="onnxruntime")
        found.save(tmp_path / "aorta.nii.gz")
        values = image.read()[0]
        middle = image.grid.to_world([(246 + 281) / 2, (282 + 319) / 2, 9.5])
    written = sitk.ReadImage(str(tmp_path / "aorta.nii.gz"))
    mask = sitk.GetArrayFromImage(written) == 1
    index = np.argwhere(mask).mean(axis=0)[::-1]
    place = written.TransformContinuousIndexToPhysicalPoint(index.tolist())
    assert np.linalg.norm(np.subtract(place, middle)) < 10  # mm; the aorta is 25 mm wide
    assert 15 < found.items[0].measures["volume_ml"] < 40
    assert np.median(values[mask]) > 100  # contrast medium
