"""Where objects lie, from the written files, in all 48 orientations, oblique and anisotropic.

SEG and RTSTRUCT are read by pydicom alone (written by highdicom), NIfTI and NRRD by SimpleITK
(written by hand and nibabel); the RTSTRUCT's centre is shapely's.
"""

from __future__ import annotations

import numpy as np
import pytest

from dicom_making import make_series, save
from dicom_reading import centroid, contours, filled, polygon_centroid, segments
from found_objects import RECORD, found
from samovar.formats import open_image, write_all
from samovar.objects import Objects


def lopsided(shape):
    mask = np.zeros(shape, dtype=bool)
    mask[1:4, 2:6, 3:5] = True
    mask[1, 2, 4:8] = True
    return mask


def test_48_orientations_of_a_series(geometry, tmp_path):
    """Rows, columns and slices along each axis and in both directions."""
    base, mask = geometry.reference_affine(), lopsided(geometry.SHAPE)
    half = geometry.SPACING.min() / 2
    wanted = base[:3, :3] @ np.argwhere(mask).mean(axis=0)[::-1] + base[:3, 3]
    pixels = np.where(mask, 500, 0).astype(np.int16)
    for number, (order, flips) in enumerate(geometry.ORIENTATIONS):
        stored, affine = geometry.reoriented(pixels, base, order, flips)
        folder = save(make_series(stored, affine), tmp_path / f"s{number}")
        with open_image(folder) as image:
            # the mask is taken from the pixels, so that reading is part of what is tested
            inside = image.read()[0] > 250
            objects = Objects(image.grid, (found(1, inside, "liver"),), RECORD, image)
            outputs = ["seg.dcm", "rt.dcm", "a.nii.gz", "a.nrrd"]
            paths = [tmp_path / name for name in outputs]
            prefixes = ["", "rtstruct:", "", ""]
            write_all(objects, [f"{a}{b}" for a, b in zip(prefixes, paths, strict=True)], image)
        centres = {
            "seg": centroid(segments(paths[0])["liver"]),
            "rtstruct": polygon_centroid(contours(paths[1])["liver"]),
        }
        for path in paths[2:]:
            centres[path.name] = geometry.centroid(*geometry.read_by_itk(path))
        for name, centre in centres.items():
            off = np.abs(centre - wanted).max()
            assert off < half, (name, order, flips, off)
            assert off < 0.02, (name, order, flips, off)
        back = filled(contours(paths[1])["liver"], image.grid.shape, image.grid.affine)
        assert np.array_equal(back, inside)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_label_files_hold_numbers_beyond_16_bits(geometry, volume, tmp_path, suffix):
    path = volume(".nii")
    with open_image(path) as image:
        a, b, c = (np.zeros(image.grid.shape, dtype=bool) for _ in range(3))
        a[0, 0, 0], b[1, 1, 1], c[2, 2, 2] = True, True, True
        items = (found(255, a, ""), found(300, b, ""), found(70_000, c, ""))
        write_all(Objects(image.grid, items, RECORD, image), [tmp_path / f"o{suffix}"], image)
    labels, _ = geometry.OTHER_READERS[suffix](tmp_path / f"o{suffix}")
    assert [labels[0, 0, 0], labels[1, 1, 1], labels[2, 2, 2]] == [255, 300, 70_000]
    assert np.count_nonzero(labels) == 3
