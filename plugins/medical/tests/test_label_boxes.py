"""Label images as prompts."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import GeometryError, InputError, PromptError
from samovar.formats import open_image, read_prompts, write_objects
from samovar.image import ArrayImage


def labelled(geometry):
    labels = np.zeros(geometry.SHAPE, np.uint8)
    labels[1:4, 2:6, 3:5] = 7
    labels[0, 0, 0] = 52
    return labels


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.float64])
def test_boxes_and_names(geometry, volume, suffix, kind):
    path = volume(suffix, labelled(geometry).astype(kind), name="labels")
    with open_image(volume()) as image:
        prompts = read_prompts(path, image)
    assert prompts.space == "index"
    assert [(p.id, p.name, p.box) for p in prompts] == [
        (7, "label 7", (3, 2, 1, 5, 6, 4)),
        (52, "label 52", (0, 0, 0, 1, 1, 1)),
    ]


def test_names_come_from_the_file(geometry, volume, tmp_path):
    out = tmp_path / "named.nii.gz"
    with open_image(volume()) as image:
        objects = geometry.objects_of(image.grid, labelled(geometry), {7: "spleen", 52: "aorta"})
        write_objects(objects, out, image)
        assert [p.name for p in read_prompts(out, image)] == ["spleen", "aorta"]


def test_axes_stored_otherwise_are_the_same_voxels(geometry, volume, tmp_path):
    labels, base = labelled(geometry), geometry.reference_affine()
    with open_image(volume()) as image:
        for order, flips in geometry.ORIENTATIONS:
            stored, affine = geometry.reoriented(labels, base, order, flips)
            path = geometry.write_volume(tmp_path / "turned.nrrd", stored, affine)
            found = [p.box for p in read_prompts(path, image)]
            assert found == [(3, 2, 1, 5, 6, 4), (0, 0, 0, 1, 1, 1)], (order, flips)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda a: a @ np.diag([1, 1, 2.0, 1]), "mm off"),
        (lambda a: a + np.array([[0, 0, 0, 1.0]] + [[0] * 4] * 3), "1 mm off"),
        (lambda a: a @ np.diag([-1, 1, 1, 1]), "mm off"),
    ],
)
def test_another_grid_is_refused(geometry, volume, tmp_path, change, word):
    affine = change(geometry.reference_affine())
    path = geometry.write_volume(tmp_path / "other.nii.gz", labelled(geometry), affine)
    with open_image(volume()) as image, pytest.raises(GeometryError, match="resample") as caught:
        read_prompts(path, image)
    assert word in str(caught.value)
    assert "other.nii.gz" in str(caught.value)


def test_rounded_headers_are_the_same_grid(geometry, volume, tmp_path):
    affine = np.round(geometry.reference_affine(), 3)
    affine = geometry.reference_affine() + (affine - geometry.reference_affine()) * 0.5
    path = geometry.write_volume(tmp_path / "rounded.nii.gz", labelled(geometry), affine)
    with open_image(volume()) as image:
        assert len(read_prompts(path, image)) == 2


def test_another_shape_is_refused(geometry, volume, tmp_path):
    affine = geometry.reference_affine()
    path = geometry.write_volume(tmp_path / "cut.mha", labelled(geometry)[:-1], affine)
    with open_image(volume()) as image, pytest.raises(GeometryError, match="9×7×5 voxels, not"):
        read_prompts(path, image)


def test_a_picture_takes_no_volume(geometry, volume):
    picture = ArrayImage(np.zeros((7, 9), np.uint8))
    with pytest.raises(InputError):
        read_prompts(volume(".nii", labelled(geometry)), picture)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_no_label_at_all(geometry, volume, suffix):
    path = volume(suffix, np.zeros(geometry.SHAPE, np.uint8), name="none")
    with open_image(volume()) as image, pytest.raises(PromptError, match="every voxel is 0"):
        read_prompts(path, image)


def grey(kind):
    """An image with structure and noise, as scanners make them."""
    z, y, x = np.mgrid[0:12, 0:40, 0:40]
    smooth = 90 + 60 * np.sin(x / 7) * np.cos(y / 9) + 2 * z
    noise = np.random.default_rng(5).normal(0, 4, smooth.shape)
    return (smooth + noise).astype(kind)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_an_image_given_as_prompts(geometry, tmp_path, kind):
    path = geometry.write_volume(tmp_path / "mr.nii.gz", grey(kind), np.eye(4))
    with open_image(path) as image, pytest.raises(PromptError, match="not a label image"):
        read_prompts(path, image)


def test_a_ct_given_as_prompts(volume):
    path = volume()
    with open_image(path) as image, pytest.raises(PromptError, match="values down to -"):
        read_prompts(path, image)


@pytest.mark.parametrize("step", [1, 3])
def test_many_small_objects_are_labels(geometry, tmp_path, step):
    """300 single voxels or bars, close to each other, are not taken for an image."""
    labels = np.zeros((12, 40, 40), np.uint16)
    for i in range(300):
        labels[2 * (i // 60), 3 * (i // 10 % 6), 4 * (i % 10) : 4 * (i % 10) + step] = i + 1
    path = geometry.write_volume(tmp_path / "many.nii.gz", labels, np.eye(4))
    with open_image(path) as image:
        assert len(read_prompts(path, image)) == 300


def test_huge_label_values(geometry, volume):
    labels = labelled(geometry).astype(np.uint32)
    labels[labels == 52] = 3_000_000_000
    path = volume(".nrrd", labels, name="huge")
    with open_image(volume()) as image:
        assert [p.id for p in read_prompts(path, image)] == [7, 3_000_000_000]
