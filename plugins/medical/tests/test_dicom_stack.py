"""One grid out of positions: gaps, uneven spacing, rounding, gantry tilt, slices that wander."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from dicom_making import make_series, numbers, save
from samovar.errors import GeometryError
from samovar_medical.dicom import DicomFormat

AFFINE = np.array([[0.8, 0, 0, -30], [0, 0.9, 0, 12], [0, 0, 2.5, 400], [0, 0, 0, 1.0]])
RAMP = (np.arange(20)[:, None, None] * 10 + np.zeros((1, 9, 8))).astype(np.int16)


def open_dicom(path, **options):
    return DicomFormat().open(str(path), **options)


def without(tmp_path, *missing, volume=RAMP, affine=AFFINE):
    series = make_series(volume, affine)
    return save([s for i, s in enumerate(series) if i not in missing], tmp_path / "ct")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ((7,), "1 of its 20 slices is missing: z = 417.5 mm"),
        ((7, 8, 13), "3 of its 20 slices are missing: z = 417.5, 420, 432.5 mm"),
        (tuple(range(2, 18)), "are missing"),
        (tuple(range(3, 17)), "z = 407.5, 410, 412.5, 415, 417.5, 420, 422.5, 425 and 6 more mm"),
    ],
)
def test_missing_slices_are_refused_by_name(tmp_path, missing, words):
    with pytest.raises(GeometryError, match="--allow-gaps") as caught:
        open_dicom(without(tmp_path, *missing))
    assert words in str(caught.value)


def test_gaps_that_are_allowed_are_interpolated(tmp_path, caplog):
    with open_dicom(without(tmp_path, 7, 8, 13), allow_gaps=True) as image:
        assert np.array_equal(image.read()[0], RAMP)  # a ramp: interpolation gives it back
        assert image.grid.spacing[2] == pytest.approx(2.5)
        slices = image.dicom.slices
        assert [i for i, s in enumerate(slices) if s is None] == [7, 8, 13]
        assert slices[:7] == tuple(range(7))
        assert slices[-1] == 16
        assert image.dicom.resampled
    assert "3 of its 20 slices are missing: z = 417.5, 420, 432.5 mm" in caplog.text
    assert "interpolated" in caplog.text


def test_positions_of_missing_slices_in_a_sagittal_series(tmp_path):
    turned = np.array([[0, 0, -3.0, 50], [1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]])
    with pytest.raises(GeometryError, match=r"is missing: x = 29 mm"):
        open_dicom(without(tmp_path, 7, affine=turned))


def uneven(tmp_path, places):
    def move(header, i):
        header.ImagePositionPatient = numbers([-30, 12, places[i]])

    volume = np.rint(np.array(places) * 4)[:, None, None] + np.zeros((1, 9, 8))
    return save(make_series(volume.astype(np.int16), AFFINE, move), tmp_path / "ct")


def test_uneven_spacing_is_refused_by_name(tmp_path):
    places = [0, 2, 4, 6, 9.2, 12.4, 15.6]
    with pytest.raises(GeometryError, match=r"unevenly spaced \(2 to 3.2 mm.*after z = 6") as c:
        open_dicom(uneven(tmp_path, places))
    assert "--allow-gaps" in str(c.value)


def test_uneven_spacing_is_resampled_when_allowed(tmp_path, caplog):
    places = [0, 2, 4, 6, 9.2, 12.4, 15.6]
    with open_dicom(uneven(tmp_path, places), allow_gaps=True) as image:
        assert image.grid.spacing[2] == pytest.approx(2.0)
        heights = image.grid.affine[2, 3] + 2.0 * np.arange(image.grid.shape[0])
        inside = heights <= 15.6
        assert np.abs(image.read()[0, inside, 0, 0] - 4 * heights[inside]).max() <= 1
        assert image.dicom.slices[:4] == (0, 1, 2, 3)
        assert None in image.dicom.slices
    assert "unevenly spaced" in caplog.text


def test_too_much_to_interpolate(tmp_path):
    with pytest.raises(GeometryError, match="too much to interpolate"):
        open_dicom(uneven(tmp_path, [0, 1, 2, 60, 61]), allow_gaps=True)


@pytest.mark.parametrize("step", [0.625, 1.25, 2.5])
def test_rounded_positions_are_even(tmp_path, step):
    places = [round(-550 + step * i, 1) for i in range(40)]
    with open_dicom(uneven(tmp_path, places)) as image:
        assert image.grid.shape[0] == 40
        assert image.grid.spacing[2] == pytest.approx(step, rel=0.01)


def test_slices_that_wander_are_refused(tmp_path):
    def wander(header, i):
        header.ImagePositionPatient = numbers([-30 + 3 * (i == 11), 12, 400 + 2.5 * i])

    folder = save(make_series(RAMP, AFFINE, wander), tmp_path / "ct")
    with pytest.raises(
        GeometryError, match=r"shifted against each other \(by 3.75 pixels at z = 42"
    ):
        open_dicom(folder)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"ImageOrientationPatient": ["1", "0", "0", "0.3", "1", "0"]}, "right angles"),
        ({"ImageOrientationPatient": ["0", "0", "0", "0", "0", "0"]}, "right angles"),
        ({"PixelSpacing": ["0", "1"]}, "pixel spacing is 0"),
    ],
)
def test_geometry_that_cannot_be(tmp_path, elements, words):
    folder = save(make_series(RAMP, AFFINE, **elements), tmp_path / "ct")
    with pytest.raises(GeometryError, match=words):
        open_dicom(folder)


def tilted(degrees, flip=1):
    """Slices of a gantry tilted about x: shifted along y the deeper they lie."""
    affine = AFFINE.copy()
    affine[1, 2] = flip * 2.5 * np.tan(np.radians(degrees))
    return affine


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("degrees", [4, 17.5])
def test_gantry_tilt_is_resampled_with_a_word(tmp_path, caplog, degrees, flip):
    """A ball in the patient is a ball on the new grid, at its place, by another reader."""
    affine = tilted(degrees, flip)
    shape, centre, radius = (20, 60, 50), np.array([-10.0, 45.0, 424.0]), 9.0
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape[::-1]), indexing="ij"), -1)
    place = index @ affine[:3, :3].T + affine[:3, 3]
    inside = (np.linalg.norm(place - centre, axis=-1) <= radius).transpose(2, 1, 0)
    volume = np.where(inside, 1000, -1000).astype(np.int16)
    folder = save(make_series(volume, affine), tmp_path / "ct")
    with open_dicom(folder) as image:
        grid, values = image.grid, image.read()[0]
        assert set(image.dicom.slices) == {None}
    assert f"the gantry was tilted by {degrees:.3g}°" in caplog.text
    assert np.allclose(grid.direction, np.eye(3))
    hits = np.argwhere(values > 0)[:, ::-1]
    found = grid.to_world(hits.mean(axis=0))
    assert np.abs(found - centre).max() < 0.5 * 0.8
    measured = len(hits) * grid.pixel_measure
    assert measured == pytest.approx(inside.sum() * 0.8 * 0.9 * 2.5, rel=0.03)
    assert values.min() >= -1024


def test_a_tilt_too_small_to_see_is_kept_as_it_is(tmp_path):
    affine = tilted(0.02)
    with open_dicom(save(make_series(RAMP, affine), tmp_path / "ct")) as image:
        assert np.allclose(image.grid.affine, affine)
        assert image.dicom.slices == tuple(range(20))


def test_sheared_beyond_any_gantry(tmp_path):
    with pytest.raises(GeometryError, match="no gantry tilts that far"):
        open_dicom(save(make_series(RAMP, tilted(60)), tmp_path / "ct"))


@pytest.mark.parametrize("thickness", [None, "4"])
def test_one_slice(tmp_path, thickness, caplog):
    folder = save(make_series(RAMP[:1], AFFINE, SliceThickness=thickness), tmp_path / "ct")
    with open_dicom(folder) as image:
        assert image.grid.spacing[2] == (1 if thickness is None else 4)
    assert ("1 mm is assumed" in caplog.text) == (thickness is None)


def test_as_itk_has_it(tmp_path):
    """The same voxels in the same place as ITK's own series reader."""
    volume = np.random.default_rng(0).integers(-900, 900, (7, 9, 8)).astype(np.int16)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [0.7, 1.3, 2.9], (5, 6, 7)
    folder = save(make_series(volume, affine, RescaleIntercept=-100), tmp_path / "ct")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    other = reader.Execute()
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], sitk.GetArrayFromImage(other))
        assert np.allclose(image.grid.affine[:3, 3], other.GetOrigin())
        assert np.allclose(image.grid.spacing, other.GetSpacing(), atol=1e-6)
        assert np.allclose(image.grid.direction.ravel(), other.GetDirection(), atol=1e-6)
