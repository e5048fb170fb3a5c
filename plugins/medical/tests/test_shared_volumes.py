"""Real volumes: they open, say what they are, and their labels come back the same."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import InputError
from samovar.formats import open_image, read_prompts, write_objects

pytestmark = pytest.mark.shared

IMAGES = {
    "totalsegmentator_ref/example_ct.nii.gz": ((112, 101, 122), (3, 3, 3), "RAS"),
    "totalsegmentator_ref/example_mr_sm.nii.gz": ((20, 91, 117), (3, 3, 3), "LPS"),
    "pyradiomics_cases/brain1_image.nrrd": ((25, 256, 256), (0.78125, 0.78125, 6.5), "LAS"),
    "pyradiomics_cases/prostate_phantom_subvolume.nrrd": ((13, 67, 82), (0.5, 0.5, 3), "RAS"),
    "sct_testing_data/t2/t2.nii.gz": ((52, 55, 60), (1, 1, 1), None),
    "msd_hippocampus/images/hippocampus_001.nii.gz": ((35, 51, 35), (1, 1, 1), "RAS"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_it_opens_and_says_what_it_is(geometry, shared_data, name):
    shape, spacing, towards = IMAGES[name]
    path = shared_data / "volumes" / name
    with open_image(path) as image:
        assert image.grid.shape == shape
        assert image.grid.spacing == pytest.approx(spacing, abs=1e-4)
        if towards:
            ends = [
                "LPS"[i] if column[i] > 0 else "RAI"[i]
                for column in image.grid.direction.T
                for i in [int(np.argmax(np.abs(column)))]
            ]
            assert "".join(ends) == towards
        found, affine = geometry.read_by_itk(path)
        assert np.allclose(image.grid.affine, affine, atol=1e-3)
        assert np.array_equal(image.read()[0], found.astype(image.dtype))


LABELS = {
    "totalsegmentator_ref/example_seg_fast_force_split.nii.gz":
        "totalsegmentator_ref/example_ct.nii.gz",
    "totalsegmentator_ref/example_seg_mr.nii.gz": "totalsegmentator_ref/example_mr_sm.nii.gz",
    "pyradiomics_cases/brain1_label.nrrd": "pyradiomics_cases/brain1_image.nrrd",
    "msd_hippocampus/labels/hippocampus_001.nii.gz":
        "msd_hippocampus/images/hippocampus_001.nii.gz",
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", LABELS)
def test_labels_come_back_identical(geometry, shared_data, tmp_path, name, suffix):
    folder = shared_data / "volumes"
    with open_image(folder / LABELS[name]) as image, open_image(folder / name) as given:
        labels = given.read()[0].astype(np.uint32)
        out = tmp_path / f"labels{suffix}"
        write_objects(geometry.objects_of(image.grid, labels), out, image)
        found, affine = geometry.OTHER_READERS[suffix](out)
        assert np.array_equal(found, labels)
        assert np.allclose(affine, image.grid.affine, atol=1e-3)
        prompts = read_prompts(folder / name, image)
        again = read_prompts(out, image)
    assert [p.id for p in prompts] == np.unique(labels[labels > 0]).tolist()
    assert [p.box for p in again] == [p.box for p in prompts]


def test_organs_are_named_by_the_file(shared_data):
    folder = shared_data / "volumes" / "totalsegmentator_ref"
    with open_image(folder / "example_ct.nii.gz") as image:
        prompts = read_prompts(folder / "example_seg_fast_force_split.nii.gz", image)
    names = {p.id: p.name for p in prompts}
    assert [names[i] for i in (1, 2, 3, 5, 52)] == [
        "spleen", "kidney_right", "kidney_left", "liver", "aorta",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("volumes/sct_testing_data/dmri/dmri.nii.gz", "40×42×5×7"),
        ("volumes/sct_testing_data/mt/warp_t22mt1.nii.gz", "40×40×5×1×3"),
        ("volumes/totalsegmentator_ref/spine_report/example_ct_report/spine_report.nii.gz", "RGB"),
    ],
)
def test_what_is_refused(shared_data, name, word):
    with pytest.raises(InputError, match=word):
        open_image(shared_data / name)


@pytest.mark.parametrize(
    "name",
    ["totalsegmentator_ref/example_ct.nii.gz", "totalsegmentator_ref/example_mr_sm.nii.gz",
     "msd_hippocampus/images/hippocampus_001.nii.gz",
     "msd_hippocampus/images/hippocampus_003.nii.gz",
     "pyradiomics_cases/brain1_image.nrrd", "pyradiomics_cases/breast1_image.nrrd",
     "sct_testing_data/t2/t2.nii.gz"],
)  # fmt: skip
def test_images_are_not_taken_for_labels(shared_data, name):
    path = shared_data / "volumes" / name
    with open_image(path) as image, pytest.raises(InputError, match="not a label image"):
        read_prompts(path, image)
