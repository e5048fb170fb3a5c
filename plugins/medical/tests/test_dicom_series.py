"""Which files become which volume: several series, copies, phases, localisers, what is no image."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_making import make_enhanced, make_series, make_slice, numbers, save
from samovar.errors import InputError, UsageError
from samovar_medical.dicom import DicomFormat

AFFINE = np.array([[0.8, 0, 0, -30], [0, 0.9, 0, 12], [0, 0, 2.5, 400], [0, 0, 0, 1.0]])


def random_volume(seed=0, shape=(6, 9, 8)):
    return np.random.default_rng(seed).integers(-900, 900, shape).astype(np.int16)


def open_dicom(path, **options):
    return DicomFormat().open(str(path), **options)


@pytest.fixture
def two_series(tmp_path):
    """A folder with an axial and a sagittal series, some levels deep, and what is no image."""
    axial, sagittal = random_volume(1), random_volume(2, (5, 7, 7))
    turned = np.array([[0, 0, -3.0, 1], [1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]])
    save(make_series(axial, AFFINE, series="1.2.3.50", SeriesDescription="T1 post"),
         tmp_path / "study" / "a")  # fmt: skip
    save(
        make_series(sagittal, turned, series="1.2.3.51", modality="MR", SeriesNumber=7,
                    SeriesDescription="FLAIR"),
        tmp_path / "study" / "b",
    )  # fmt: skip
    (tmp_path / "study" / "notes.txt").write_text("no DICOM")
    (tmp_path / "study" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    return tmp_path / "study", axial, sagittal


def test_shuffled_files_without_suffix(tmp_path):
    volume = random_volume()
    folder = save(make_series(volume, AFFINE), tmp_path / "ct")
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], volume)
        assert image.dtype == np.int16
        assert np.allclose(image.grid.affine, AFFINE)
        assert image.info.modality == "ct"
        assert image.dicom.slices == tuple(range(6))
        assert not image.dicom.missing_uids


def test_instance_numbers_are_not_believed(tmp_path):
    volume = random_volume()
    series = make_series(volume, AFFINE, lambda h, i: setattr(h, "InstanceNumber", 9 - i))
    with open_dicom(save(series, tmp_path / "ct")) as image:
        assert np.array_equal(image.read()[0], volume)


@pytest.mark.parametrize("preamble", [True, False])
def test_a_single_file_is_a_slice(tmp_path, caplog, preamble):
    volume = random_volume()
    path = save(make_series(volume, AFFINE), tmp_path / "ct", shuffle=None) / "IM0002"
    if not preamble:
        path.write_bytes(path.read_bytes()[132:])
    with open_dicom(path) as image:
        assert image.grid.shape == (1, 9, 8)
        assert np.array_equal(image.read()[0, 0], volume[2])
        assert image.grid.spacing == pytest.approx((0.8, 0.9, 2.5))
        assert image.grid.affine[2, 3] == 405
    assert "one slice of a series: give its folder" in caplog.text
    caplog.clear()
    alone = shutil.copy(path, tmp_path)
    open_dicom(alone).close()
    assert not caplog.text


def test_the_host_finds_files_of_any_name(tmp_path):
    from samovar.formats import open_image

    volume = random_volume()
    folder = save(make_series(volume, AFFINE), tmp_path / "ct", name="{:08X}.IMA")
    bare = shutil.copy(folder / "00000001.IMA", tmp_path / "noname")
    for path in (folder, folder / "00000000.IMA", bare):
        with open_image(path) as image:
            assert image.info.format == "dicom"


def test_several_series_are_listed(two_series):
    folder, _, _ = two_series
    with pytest.raises(UsageError) as caught:
        open_dicom(folder)
    line = str(caught.value)
    assert "holds 2 series, choose one with --series" in line
    assert '3 (CT, 6 slices of 8×9, axial, 0.8×0.9×2.5 mm, "T1 post")' in line
    assert '7 (MR, 5 slices of 7×7, sagittal, 1×1×3 mm, "FLAIR")' in line


@pytest.mark.parametrize("wanted", ["7", "1.2.3.51", "FLAIR", "flair", "lai"])
def test_one_is_chosen(two_series, wanted):
    folder, _, sagittal = two_series
    with open_dicom(folder, series=wanted) as image:
        assert np.array_equal(image.read()[0], sagittal)
        assert image.dicom.series_uid == "1.2.3.51"
        assert image.info.modality == "mr"


@pytest.mark.parametrize("wanted", ["8", "T2", "1.2.3", ""])
def test_none_of_that_name(two_series, wanted):
    with pytest.raises(UsageError, match=r"has no series .*: there is 3 \(CT"):
        open_dicom(two_series[0], series=wanted)


def test_descriptions_that_fit_twice(tmp_path):
    for n in (1, 2):
        save(make_series(random_volume(n), AFFINE, series=f"1.2.{n}", SeriesNumber=n,
                         SeriesDescription="T1"), tmp_path / "s")  # fmt: skip
    with pytest.raises(UsageError, match="fits 2 of them"):
        open_dicom(tmp_path / "s", series="T1")


def test_copies_are_dropped_with_a_word(tmp_path, caplog):
    volume = random_volume()
    series = make_series(volume, AFFINE)
    again = make_series(volume[2:4], AFFINE @ shift(2))  # sent again under other UIDs
    folder = save([*series, *again], tmp_path / "ct")
    shutil.copy(folder / "IM0001", folder / "copy")
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], volume)
        assert len(image.dicom.frames) == 6
    assert "3 duplicated slices left out" in caplog.text


def shift(slices):
    moved = np.eye(4)
    moved[2, 3] = slices
    return moved


def test_different_pixels_at_one_place_are_refused(tmp_path):
    series = make_series(random_volume(), AFFINE)
    series += make_series(random_volume(5)[:1], AFFINE @ shift(1))
    with pytest.raises(InputError, match=r"different pixels at z = 402.5 mm"):
        open_dicom(save(series, tmp_path / "ct"))


def test_echoes_become_volumes(tmp_path):
    first, second = random_volume(1), random_volume(2)
    series = make_series(first, AFFINE, modality="MR", EchoTime="12")
    series += make_series(second, AFFINE, modality="MR", EchoTime="92")
    folder = save(series, tmp_path / "mr")
    with pytest.raises(UsageError) as caught:
        open_dicom(folder)
    assert "3.1 (MR, 6 slices" in str(caught.value)
    assert "echo time 12)" in str(caught.value)
    assert "3.2 (MR, 6 slices" in str(caught.value)
    for key, volume in (("3.1", first), ("3.2", second)):
        with open_dicom(folder, series=key) as image:
            assert np.array_equal(image.read()[0], volume)
    with pytest.raises(UsageError, match="fits 2 of them"):
        open_dicom(folder, series="3")


def test_phases_by_time_and_directions_by_number(tmp_path):
    """Times and gradient directions tell volumes apart, and are not shown."""
    series = []
    for n in range(3):
        series += make_series(random_volume(n), AFFINE, modality="MR",
                              AcquisitionTime=f"1011{n:02d}.5")  # fmt: skip
    folder = save(series, tmp_path / "mr")
    with pytest.raises(UsageError) as caught:
        open_dicom(folder)
    assert "acquisition time 2 of 3" in str(caught.value)
    assert "1011" not in str(caught.value)
    with open_dicom(folder, series="3.3") as image:
        assert np.array_equal(image.read()[0], random_volume(2))


def test_time_points_of_one_enhanced_object(tmp_path):
    """Four dimensions in one file: a volume a time point."""
    first, second = random_volume(1), random_volume(2)
    header = make_enhanced(np.concatenate([first, second]), AFFINE, modality="EMR")
    order = np.random.default_rng(3).permutation(12)
    for frame, group in zip(order, header.PerFrameFunctionalGroupsSequence, strict=True):
        content = Dataset()
        content.TemporalPositionIndex = int(frame // 6) + 1
        group.FrameContentSequence = [content]
        group.PixelValueTransformationSequence[0].RescaleIntercept = 0
        place = [*AFFINE[:2, 3], AFFINE[2, 3] + 2.5 * (frame % 6)]
        group.PlanePositionSequence[0].ImagePositionPatient = numbers(place)
    path = tmp_path / "many.dcm"
    header.save_as(path, enforce_file_format=True)
    with pytest.raises(UsageError, match=r"3\.1 \(MR, 6 slices.*time point 1.*3\.2"):
        open_dicom(path)
    for key, volume in (("3.1", first), ("3.2", second)):
        with open_dicom(path, series=key) as image:
            assert np.array_equal(image.read()[0], volume)


def test_diffusion_splits_twice(tmp_path):
    series = make_series(random_volume(0), AFFINE, modality="MR", DiffusionBValue=0.0)
    for n, turn in enumerate(([1.0, 0, 0], [0, 1.0, 0])):
        series += make_series(random_volume(n + 1), AFFINE, modality="MR", DiffusionBValue=800.0,
                              DiffusionGradientOrientation=turn)  # fmt: skip
    folder = save(series, tmp_path / "mr")
    with pytest.raises(UsageError, match=r"b-value 0\.0.*b-value 800\.0, direction 1 of 2"):
        open_dicom(folder)


def test_a_localiser_is_left_out(tmp_path, caplog):
    volume = random_volume()
    save(make_series(volume, AFFINE), tmp_path / "ct")
    scout = make_slice(random_volume(3)[0], AFFINE[[0, 2, 1, 3]], series="1.2.7", SeriesNumber=1,
                       ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])  # fmt: skip
    save([scout], tmp_path / "ct")
    with open_dicom(tmp_path / "ct") as image:
        assert np.array_equal(image.read()[0], volume)
    assert "opened series 3; left out 1 (CT, 1 slice of 8×9, localiser" in caplog.text
    with open_dicom(tmp_path / "ct", series="1") as image:
        assert image.grid.shape == (1, 9, 8)


def test_planes_of_a_three_plane_localiser(tmp_path):
    turns = (np.eye(4), np.eye(4)[[1, 2, 0, 3]], np.eye(4)[[2, 0, 1, 3]])
    series = []
    for n, turn in enumerate(turns):
        series += make_series(random_volume(n)[:3], turn @ AFFINE, modality="MR")
    folder = save(series, tmp_path / "scout")
    with pytest.raises(UsageError) as caught:
        open_dicom(folder)
    for plane in ("axial", "sagittal", "coronal"):
        assert plane in str(caught.value)
    found = set()
    for key in ("3.1", "3.2", "3.3"):
        with open_dicom(folder, series=key) as image:
            found.add(image.read()[0].tobytes())
    assert found == {random_volume(n)[:3].tobytes() for n in range(3)}


def test_slices_of_another_size_are_another_volume(tmp_path):
    series = make_series(random_volume(), AFFINE)
    series += make_series(random_volume(4, (2, 5, 5)), AFFINE @ shift(20))
    with pytest.raises(UsageError, match=r"3\.1 \(CT, 6 slices of 8×9.*3\.2 \(CT, 2 slices of 5×5"):
        open_dicom(save(series, tmp_path / "ct"))


def test_without_uids_the_folder_holds_a_series_together(tmp_path):
    volume = random_volume()
    bare = {"StudyInstanceUID": None, "SeriesInstanceUID": None, "SOPInstanceUID": None}
    folder = save(make_series(volume, AFFINE, **bare), tmp_path / "ct")
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], volume)
        assert set(image.dicom.missing_uids) == {
            "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
        }  # fmt: skip


def test_screenshots_are_refused_with_the_remedy(tmp_path):
    shots = [make_slice(p, None, i, modality="SC") for i, p in enumerate(random_volume())]
    folder = save(shots, tmp_path / "sc")
    for path in (folder, folder / "IM0000"):
        with pytest.raises(InputError, match=r"secondary capture.*give the original series"):
            open_dicom(path)


def test_a_screenshot_beside_a_series_is_left_out(tmp_path, caplog):
    save(make_series(random_volume(), AFFINE), tmp_path / "ct")
    save([make_slice(random_volume()[0], None, modality="SC", series="1.9", SeriesNumber=99)],
         tmp_path / "ct")  # fmt: skip
    with open_dicom(tmp_path / "ct") as image:
        assert image.grid.shape == (6, 9, 8)
    assert "left out 99 (OT, 1 frame of 8×9, secondary capture)" in caplog.text


def test_what_is_no_image(tmp_path):
    from pydicom.dataset import Dataset, FileMetaDataset

    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.3"
    report.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    segmentation = make_slice(random_volume()[0], AFFINE)
    segmentation.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    segmentation.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="DICOM without an image"):
        open_dicom(tmp_path / "sr.dcm")
    with pytest.raises(InputError, match="is a DICOM segmentation"):
        open_dicom(tmp_path / "seg.dcm")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="is a folder without DICOM files"):
        open_dicom(empty)


@pytest.mark.parametrize("content", [b"", b"text " * 100, bytes(128) + b"DICM" + bytes(300)])
def test_what_only_claims_to_be_dicom(tmp_path, content):
    path = tmp_path / "odd.dcm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.dcm: "):
        open_dicom(path)


def test_colour_slices_are_no_volume(tmp_path):
    colours = np.zeros((3, 5, 4, 3), np.uint8)
    series = [make_slice(p, AFFINE, i, modality="MR") for i, p in enumerate(colours)]
    with pytest.raises(InputError, match="in colour"):
        open_dicom(save(series, tmp_path / "fused"))


def test_archives_are_not_searched(tmp_path, monkeypatch):
    monkeypatch.setattr("samovar_medical.dicom_study.MAX_FILES", 5)
    folder = save(make_series(random_volume(), AFFINE), tmp_path / "ct")
    with pytest.raises(InputError, match="more than 5 files: give the folder of one study"):
        open_dicom(folder)
