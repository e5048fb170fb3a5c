"""DICOM SEG: the same voxels for every reader, in the study's place, with what DICOM asks."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from dicom_making import make_enhanced, make_series, save
from dicom_reading import centroid, label_frames, require_valid, segments
from found_objects import RECORD, found, not_found, organ_and_lesion, values
from samovar.errors import OutputError, UsageError
from samovar.formats import open_image, write_objects
from samovar.objects import Objects


@pytest.fixture
def series(geometry, tmp_path):
    """A CT series that lies obliquely, opened."""

    def make(shape=(6, 7, 9), **elements):
        headers = make_series(values(shape), geometry.reference_affine(), **elements)
        return open_image(save(headers, tmp_path / "series"))

    return make


@pytest.fixture
def written(series, tmp_path):
    image = series()
    organ, lesion = organ_and_lesion(image.grid.shape)
    empty = not_found(9, "spleen")
    items = (found(3, organ, "left kidney"), found(7, lesion, "kidney lesion left"), empty)
    path = tmp_path / "seg.dcm"
    write_objects(Objects(image.grid, items, RECORD, image), path, image)
    return image, path, {"left kidney": organ, "kidney lesion left": lesion}


def test_every_reader_has_the_same_voxels(written):
    """highdicom wrote it; pydicom, SimpleITK and highdicom's own reader agree with the masks."""
    from highdicom.seg import segread

    image, path, masks = written
    by_hand = segments(path)
    assert set(by_hand) == set(masks)
    frames = iter(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(bool))
    volume = segread(path).get_volume(combine_segments=False)
    # highdicom's slices run against ours, and only from the first to the last that hold anything
    for number, (name, mask) in enumerate(masks.items()):
        used = np.flatnonzero(mask.any(axis=(1, 2)))
        assert np.array_equal([m for m, _ in by_hand[name]], mask[used])
        assert np.array_equal([next(frames) for _ in used], mask[used])
        index = np.argwhere(volume.array[..., number])
        back = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        wanted = image.grid.to_world(np.argwhere(mask)[:, ::-1])
        assert sorted(map(tuple, back.round(2))) == sorted(map(tuple, wanted.round(2)))
        centre = image.grid.to_world(np.argwhere(mask).mean(axis=0)[::-1])
        assert centroid(by_hand[name]) == pytest.approx(centre, abs=1e-3)


def test_it_belongs_to_the_study_and_refers_to_its_images(written):
    image, path, _ = written
    data = pydicom.dcmread(path)
    source = image.dicom.header(image.dicom.paths[0])
    for keyword in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "FrameOfReferenceUID",
    ):  # fmt: skip
        assert data[keyword].value == source[keyword].value, keyword
    assert data.SeriesInstanceUID != source.SeriesInstanceUID
    assert data.Modality == "SEG"
    referenced = data.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == source.SeriesInstanceUID
    wanted = {f.sop_instance_uid for f in image.dicom.frames}
    uids = {i.ReferencedSOPInstanceUID for i in referenced.ReferencedInstanceSequence}
    assert uids == wanted
    # each frame names the one image that it lies on
    by_place = {
        tuple(np.round(np.array(h.ImagePositionPatient, float), 3)): h.SOPInstanceUID
        for h in map(image.dicom.header, image.dicom.paths)
    }
    for group in data.PerFrameFunctionalGroupsSequence:
        (derivation,) = group.DerivationImageSequence
        (item,) = derivation.SourceImageSequence
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        assert by_place[tuple(place.round(3))] == item.ReferencedSOPInstanceUID


def test_segments_say_what_they_are_and_who_made_them(written, caplog):
    _, path, _ = written
    data = pydicom.dcmread(path)
    kidney, lesion = data.SegmentSequence
    assert [s.SegmentNumber for s in data.SegmentSequence] == [1, 2]
    assert kidney.SegmentLabel == "left kidney"
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodingSchemeDesignator, kind.CodeValue) == ("SCT", "64033007")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert kidney.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert lesion.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    region = lesion.AnatomicRegionSequence[0]
    assert region.CodeMeaning == "Kidney"
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Left"
    for segment in (kidney, lesion):
        assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
        assert segment.SegmentAlgorithmName == "samovar tiny"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "samovar tiny"
        assert algorithm.AlgorithmVersion == "0.1.0"
        assert "ab" * 32 in algorithm.AlgorithmParameters
        assert segment.TrackingUID
        assert "RecommendedDisplayCIELabValue" in segment
    assert "samovar object 7" in lesion.TrackingID
    assert data.SegmentsOverlap == "YES"
    makers = [e.ManufacturerModelName for e in data.ContributingEquipmentSequence]
    assert "samovar" in makers
    assert data.ManufacturerModelName == "samovar"


def test_what_was_not_found_is_left_out_with_a_line(series, tmp_path, caplog):
    image = series()
    organ, _ = organ_and_lesion(image.grid.shape)
    empty = not_found(9, "spleen")
    objects = Objects(image.grid, (found(1, organ, "liver"), empty), RECORD, image)
    write_objects(objects, tmp_path / "seg.dcm", image)
    assert "left out" in caplog.text
    assert "9 (spleen)" in caplog.text
    nothing = Objects(image.grid, (empty,), RECORD, image)
    with pytest.raises(OutputError, match="no object was found"):
        write_objects(nothing, tmp_path / "none.dcm", image)
    assert not (tmp_path / "none.dcm").exists()


def test_a_generator_makes_it_automatic(series, tmp_path):
    image = series()
    organ, _ = organ_and_lesion(image.grid.shape)
    record = {**RECORD, "generator": "samovar-selfprompt/grid"}
    objects = Objects(image.grid, (found(1, organ, "", prompt=None),), record, image)
    write_objects(objects, tmp_path / "seg.dcm", image)
    (segment,) = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentLabel == "object 1"


def test_codes_of_the_user(series, tmp_path):
    image = series()
    organ, _ = organ_and_lesion(image.grid.shape)
    objects = Objects(image.grid, (found(1, organ, "thing"),), RECORD, image)
    code = ["thing=99SAMOVAR:T1:A thing"]
    write_objects(objects, tmp_path / "seg.dcm", image, code=code)
    (segment,) = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "T1"
    with pytest.raises(UsageError, match="no object has that name"):
        write_objects(objects, tmp_path / "two.dcm", image, code=["other=SCT:1:x"])
    with pytest.raises(UsageError, match="LABEL=SCHEME"):
        write_objects(objects, tmp_path / "two.dcm", image, code=["other"])


@pytest.mark.parametrize(
    "missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"]
)
@pytest.mark.parametrize("prefix", ["", "seg-labelmap:", "rtstruct:"])
def test_identifiers_are_not_invented(series, tmp_path, missing, prefix):
    def change(header, index):
        setattr(header, missing, "")
        if missing == "SOPInstanceUID":
            header.file_meta.MediaStorageSOPInstanceUID = "1.2.9"

    image = series(change=change)
    organ, _ = organ_and_lesion(image.grid.shape)
    objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
    with pytest.raises(OutputError, match=missing):
        write_objects(objects, f"{prefix}{tmp_path / 'seg.dcm'}", image)
    assert not (tmp_path / "seg.dcm").exists()


def test_an_image_that_is_not_dicom_is_told_the_way(volume, tmp_path):
    with open_image(volume()) as image:
        organ, _ = organ_and_lesion(image.grid.shape)
        objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
        with pytest.raises(OutputError, match="samovar convert LABELS"):
            write_objects(objects, tmp_path / "seg.dcm", image)


def test_an_empty_patient_number_is_copied(series, tmp_path):
    def change(header, index):
        header.PatientID = ""
        del header.PatientSex, header.AccessionNumber

    image = series(change=change)
    organ, _ = organ_and_lesion(image.grid.shape)
    objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
    write_objects(objects, tmp_path / "seg.dcm", image)
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert data.PatientID == ""
    assert data.PatientSex == ""
    assert data.AccessionNumber == ""
    require_valid(tmp_path / "seg.dcm")


def test_slices_with_frames_of_reference_of_their_own(series, tmp_path, caplog):
    """As de-identification leaves them behind: one is used throughout, and it is said."""

    def change(header, index):
        header.FrameOfReferenceUID = f"1.2.3.{index + 1}"

    image = series(change=change)
    organ, _ = organ_and_lesion(image.grid.shape)
    objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
    write_objects(objects, tmp_path / "seg.dcm", image)
    assert "different frames of reference" in caplog.text
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert data.FrameOfReferenceUID == image.dicom.frame_of_reference_uid


def test_a_label_map_keeps_the_numbers(series, tmp_path):
    image = series()
    organ, lesion = organ_and_lesion(image.grid.shape)
    items = (found(3, organ, "liver"), found(300, lesion, "liver lesion"))
    objects = Objects(image.grid, items, RECORD, image)
    path = tmp_path / "lm.dcm"
    write_objects(objects, f"seg-labelmap:{path}", image)
    data = pydicom.dcmread(path)
    assert data.SegmentationType == "LABELMAP"
    # the background is described too
    numbers = {s.SegmentNumber for s in data.SegmentSequence}
    assert {3, 300} <= numbers
    labels = objects.labels()
    used = np.flatnonzero(labels.any(axis=(1, 2)))
    assert np.array_equal([p for p, _ in label_frames(path)], labels[used])
    from highdicom.seg import segread

    assert set(np.unique(segread(path).get_volume(combine_segments=True).array)) == {0, 3, 300}
    require_valid(path)


def test_300_objects(series, tmp_path):
    image = series((3, 40, 40))
    labels = np.zeros(image.grid.shape, dtype=np.uint16)
    labels[1, :15, :20] = np.arange(1, 301).reshape(15, 20)
    items = tuple(found(int(v), labels == v, f"node {v}") for v in range(1, 301))
    objects = Objects(image.grid, items, RECORD, image)
    write_objects(objects, f"seg-labelmap:{tmp_path / 'lm.dcm'}", image)
    ((frame, _),) = label_frames(tmp_path / "lm.dcm")
    assert np.array_equal(frame, labels[1])
    write_objects(objects, tmp_path / "seg.dcm", image)
    by_hand = segments(tmp_path / "seg.dcm")
    assert len(by_hand) == 300
    for value in (1, 255, 256, 257, 300):
        ((mask, _),) = by_hand[f"node {value}"]
        assert np.array_equal(mask, labels[1] == value)


def test_there_is_a_frame_only_where_a_segment_is(series, tmp_path):
    """Of two objects on 5 and 2 of 40 slices: 7 frames, a bit a pixel."""
    image = series((40, 64, 64))
    a, b = np.zeros((2, *image.grid.shape), dtype=bool)
    a[3:8, 4:20, 4:20] = True
    b[30:32, 40:50, 40:50] = True
    items = (found(1, a, "liver"), found(2, b, "spleen"))
    write_objects(Objects(image.grid, items, RECORD, image), tmp_path / "seg.dcm", image)
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert data.NumberOfFrames == 7
    assert len(data.PixelData) == 7 * 64 * 64 // 8
    assert len(segments(tmp_path / "seg.dcm")["spleen"]) == 2


def test_a_large_file_is_announced(written, tmp_path, monkeypatch, caplog):
    image, _, masks = written
    monkeypatch.setattr("samovar_medical.dicom_seg.LARGE", 10)
    items = (found(1, next(iter(masks.values())), "liver"),)
    objects = Objects(image.grid, items, RECORD, image)
    write_objects(objects, tmp_path / "o.dcm", image)
    assert "seg-labelmap:OUT.dcm is far smaller" in caplog.text
    caplog.clear()
    write_objects(objects, f"seg-labelmap:{tmp_path / 'l.dcm'}", image)
    assert "smaller" not in caplog.text


def test_overlaps_beyond_the_limit_are_resolved_and_said(written, tmp_path, monkeypatch, caplog):
    image, _, masks = written
    monkeypatch.setattr("samovar_medical.dicom_seg.STACK_LIMIT", 10)
    organ, lesion = masks.values()
    items = (found(1, organ, "liver"), found(2, lesion, "liver lesion"))
    objects = Objects(image.grid, items, RECORD, image)
    write_objects(objects, tmp_path / "o.dcm", image)
    assert "too many to keep the overlaps" in caplog.text
    by_hand = segments(tmp_path / "o.dcm")
    shown = objects.labels()
    for number, name in ((1, "liver"), (2, "liver lesion")):
        assert sum(m.sum() for m, _ in by_hand[name]) == (shown == number).sum()


def test_an_enhanced_multiframe_image(geometry, tmp_path):
    header = make_enhanced(values(), geometry.reference_affine())
    image = open_image(save([header], tmp_path / "enhanced") / "IM0000")
    assert image.dicom.multiframe
    organ, lesion = organ_and_lesion(image.grid.shape)
    items = (found(1, organ, "liver"), found(2, lesion, "liver lesion"))
    write_objects(Objects(image.grid, items, RECORD, image), tmp_path / "seg.dcm", image)
    by_hand = segments(tmp_path / "seg.dcm")
    centre = image.grid.to_world(np.argwhere(lesion).mean(axis=0)[::-1])
    assert centroid(by_hand["liver lesion"]) == pytest.approx(centre, abs=1e-3)
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    places = header.PerFrameFunctionalGroupsSequence
    for group in data.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        source = places[item.ReferencedFrameNumber - 1].PlanePositionSequence[0]
        own = group.PlanePositionSequence[0]
        assert np.allclose(source.ImagePositionPatient, own.ImagePositionPatient, atol=1e-3)
    require_valid(tmp_path / "seg.dcm")


def test_interpolated_slices_refer_to_no_frame_of_their_own(geometry, tmp_path, caplog):
    headers = make_series(values((8, 7, 9)), geometry.reference_affine())
    del headers[3]
    image = open_image(save(headers, tmp_path / "gaps"), allow_gaps=True)
    assert image.dicom.resampled
    mask = np.zeros(image.grid.shape, dtype=bool)
    mask[2:6, 2:5, 3:7] = True
    objects = Objects(image.grid, (found(1, mask, "liver"),), RECORD, image)
    write_objects(objects, tmp_path / "seg.dcm", image)
    assert "1 of 8 slices were interpolated" in caplog.text
    frames = segments(tmp_path / "seg.dcm")["liver"]
    assert len(frames) == 4
    centre = image.grid.to_world(np.argwhere(mask).mean(axis=0)[::-1])
    assert centroid(frames) == pytest.approx(centre, abs=1e-2)
    require_valid(tmp_path / "seg.dcm")


def test_it_is_valid(written):
    require_valid(written[1])


def test_errors_of_libraries_do_not_quote_the_patient(series, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("Quastelberg^Ottoline is no good name")

    image = series()
    organ, _ = organ_and_lesion(image.grid.shape)
    objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
    monkeypatch.setattr("highdicom.seg.Segmentation", broken)
    with pytest.raises(OutputError) as caught:
        write_objects(objects, tmp_path / "seg.dcm", image)
    assert "Quastelberg" not in str(caught.value)
