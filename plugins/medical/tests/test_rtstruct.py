"""RTSTRUCT: filling the outlines gives the masks back, holes too."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from dicom_making import make_series, save
from dicom_reading import contours, filled, polygon_centroid, require_valid
from found_objects import RECORD, found, values
from samovar.formats import open_image, write_objects
from samovar.objects import Objects


@pytest.fixture
def written(geometry, tmp_path):
    headers = make_series(values((6, 30, 32)), geometry.reference_affine())
    image = open_image(save(headers, tmp_path / "series"))
    ring = np.zeros(image.grid.shape, dtype=bool)
    ring[1:5, 3:25, 4:28] = True
    ring[2:4, 8:20, 10:22] = False
    ring[2:4, 12:15, 13:18] = True
    noise = np.random.default_rng(4).random(image.grid.shape) < 0.6
    items = (found(2, ring, "left lung"), found(5, noise, "thing"))
    path = tmp_path / "rt.dcm"
    write_objects(Objects(image.grid, items, RECORD, image), f"rtstruct:{path}", image)
    return image, path, {"left lung": ring, "thing": noise}


def test_outlines_fill_to_the_same_voxels(written):
    image, path, masks = written
    read = contours(path)
    for name, mask in masks.items():
        assert np.array_equal(filled(read[name], mask.shape, image.grid.affine), mask)


def test_holes_are_keyholes(written):
    """Every outline is a part of the object, none is a hole: nothing depends on their order."""
    image, path, masks = written
    rings = contours(path)["left lung"]
    # the frame with its keyhole and the island in it, on each of two slices; two plain slices
    assert len(rings) == 6
    areas = []
    for ring in rings:
        x, y = (ring @ np.linalg.inv(image.grid.affine[:3, :3]).T)[:, :2].T
        areas.append((x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(masks["left lung"].sum(), rel=1e-4)
    data = pydicom.dcmread(path)
    kinds = {c.ContourGeometricType for r in data.ROIContourSequence for c in r.ContourSequence}
    assert kinds == {"CLOSED_PLANAR"}
    assert "keyhole" in data.StructureSetDescription


def test_another_library_finds_the_centre(written):
    image, path, masks = written
    centre = image.grid.to_world(np.argwhere(masks["left lung"]).mean(axis=0)[::-1])
    assert polygon_centroid(contours(path)["left lung"]) == pytest.approx(centre, abs=1e-2)


def test_it_says_what_it_is_about(written):
    image, path, _ = written
    data = pydicom.dcmread(path)
    assert data.Modality == "RTSTRUCT"
    first, _ = data.StructureSetROISequence
    assert (first.ROIName, first.ROIGenerationAlgorithm) == ("left lung", "SEMIAUTOMATIC")
    assert "ab" * 32 in first.ROIDescription
    assert first.ReferencedFrameOfReferenceUID == image.dicom.frame_of_reference_uid
    code = data.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0]
    assert code.CodeMeaning == "Lung"
    assert "RTROIIdentificationCodeSequence" not in data.RTROIObservationsSequence[1]
    study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    series = study.RTReferencedSeriesSequence[0]
    uids = {i.ReferencedSOPInstanceUID for i in series.ContourImageSequence}
    assert uids == {f.sop_instance_uid for f in image.dicom.frames}
    by_uid = {f.sop_instance_uid: i for i, f in enumerate(image.dicom.frames)}
    for contour in data.ROIContourSequence[0].ContourSequence:
        point = np.array(contour.ContourData[:3], float)
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert round(image.grid.to_index(point)[2]) == by_uid[uid]


def test_it_is_valid(written):
    require_valid(written[1])


def test_an_outline_longer_than_64_kilobytes(geometry, tmp_path):
    headers = make_series(values((2, 40, 102)), geometry.reference_affine())
    image = open_image(save(headers, tmp_path / "series"))
    comb = np.zeros(image.grid.shape, dtype=bool)
    comb[0, 1:39, 1:101] = True
    comb[0, 2:38:2, 2:100:2] = False
    objects = Objects(image.grid, (found(1, comb, "liver"),), RECORD, image)
    write_objects(objects, f"rtstruct:{tmp_path / 'rt.dcm'}", image)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    longest = max(c.NumberOfContourPoints for c in data.ROIContourSequence[0].ContourSequence)
    assert longest * 3 * 9 > 65_536
    read = contours(tmp_path / "rt.dcm")["liver"]
    assert np.array_equal(filled(read, comb.shape, image.grid.affine), comb)
