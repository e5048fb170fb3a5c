"""Real series: a SEG and an RTSTRUCT of an object in them, valid, and the same for every reader."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from dicom_reading import (
    centroid,
    contours,
    filled,
    label_frames,
    polygon_centroid,
    require_valid,
    segments,
)
from found_objects import RECORD, found
from samovar.errors import OutputError
from samovar.formats import open_image, write_all, write_objects
from samovar.objects import Objects

pytestmark = pytest.mark.shared

SERIES = {
    "dicom/lidc_idri_0314_ct/dicom_central_16": {},
    "dicom/tcia_brain_tumor_progression_dicom/Study3": {"series": "11"},
}


def ball(image, share=0.2):
    """An ellipsoid of voxels off the middle, with a hole through it."""
    shape = np.array(image.grid.shape)
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    away = sum(
        ((g - c) / (share * n)) ** 2
        for g, c, n in zip(grid, shape * (0.5, 0.55, 0.4), shape, strict=True)
    )
    return (away < 1) & ~(away < 0.05)


@pytest.mark.parametrize("name", SERIES)
def test_every_reader_has_the_same_voxels(shared_data, tmp_path, name):
    from highdicom.seg import segread

    with open_image(shared_data / name, **SERIES[name]) as image:
        mask = ball(image)
        part = np.zeros_like(mask)
        index = np.argwhere(mask).mean(axis=0).astype(int)
        part[index[0], index[1] - 9 : index[1] + 9, index[2] - 20 : index[2] + 5] = True
        items = (found(1, mask, "liver"), found(2, part, "liver lesion"))
        seg, rt, lm = (tmp_path / f"{kind}.dcm" for kind in ("seg", "rt", "lm"))
        outputs = [seg, f"rtstruct:{rt}", f"seg-labelmap:{lm}"]
        objects = Objects(image.grid, items, RECORD, image)
        write_all(objects, outputs, image)
        source = image.dicom.header(image.dicom.paths[0])
    for path in (seg, rt, lm):
        require_valid(path)
    labels = objects.labels()
    used = np.flatnonzero(labels.any(axis=(1, 2)))
    assert np.array_equal([plane for plane, _ in label_frames(lm)], labels[used])
    by_hand = segments(seg)
    frames = iter(sitk.GetArrayFromImage(sitk.ReadImage(str(seg))).astype(bool))
    volume = segread(seg).get_volume(combine_segments=False)
    half = min(image.grid.spacing) / 2
    for number, (name, wanted) in enumerate((("liver", mask), ("liver lesion", part))):
        used = np.flatnonzero(wanted.any(axis=(1, 2)))
        assert np.array_equal([m for m, _ in by_hand[name]], wanted[used])
        assert np.array_equal([next(frames) for _ in used], wanted[used])
        index = np.argwhere(volume.array[..., number])
        world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        own = np.rint(image.grid.to_index(world)).astype(int)
        again = np.zeros_like(wanted)
        again[own[:, 2], own[:, 1], own[:, 0]] = True
        assert np.array_equal(again, wanted)
        centre = image.grid.to_world(np.argwhere(wanted).mean(axis=0)[::-1])
        assert np.abs(centroid(by_hand[name]) - centre).max() < half
        assert np.abs(polygon_centroid(contours(rt)[name]) - centre).max() < half
        assert np.array_equal(filled(contours(rt)[name], wanted.shape, image.grid.affine), wanted)
    data = pydicom.dcmread(seg)
    assert data.PatientID == source.PatientID
    assert data.StudyInstanceUID == source.StudyInstanceUID


def test_a_series_without_identifiers_is_refused(shared_data, tmp_path):
    folder = shared_data / "volumes/totalsegmentator_ref/example_ct_dicom"
    with open_image(folder) as image:
        mask = np.zeros(image.grid.shape, dtype=bool)
        mask[3:5, 100:110, 100:110] = True
        objects = Objects(image.grid, (found(1, mask, "liver"),), RECORD, image)
        for output in ("{}", "seg-labelmap:{}", "rtstruct:{}"):
            with pytest.raises(OutputError, match=r"StudyInstanceUID.*not invented"):
                write_objects(objects, output.format(tmp_path / "o.dcm"), image)
        write_objects(objects, tmp_path / "o.nii.gz", image)
    assert [p.name for p in tmp_path.iterdir()] == ["o.nii.gz"]
