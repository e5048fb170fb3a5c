"""Label images as prompts: boxes, grids that differ, and what is no label image."""

from __future__ import annotations

import numpy as np
import pytest

from samovar import label_prompts
from samovar.errors import PromptError
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar.label_prompts import prompts_from_labels

SHAPE = (6, 20, 30)


def volume(pixels: np.ndarray, affine: np.ndarray | None = None, frame: Frame | None = None):
    grid = Grid(pixels.shape, np.eye(4) if affine is None else affine, frame or Frame.lps())
    return ArrayImage(pixels, grid, ImageInfo("labels.nii.gz", "volume", "made"))


def labels() -> np.ndarray:
    found = np.zeros(SHAPE, np.int32)
    found[1:4, 5:9, 7:12] = 4
    found[5, 0, 0] = 100_000
    found[3:6, 15:20, 20:30] = 9
    return found


BOXES = {
    4: (7, 5, 1, 12, 9, 4),
    9: (20, 15, 3, 30, 20, 6),
    100_000: (0, 0, 5, 1, 1, 6),
}


@pytest.mark.parametrize("block", [1, 1000, 1 << 24])
def test_boxes_whatever_the_block(block, monkeypatch):
    monkeypatch.setattr(label_prompts, "BLOCK_PIXELS", block)
    found = prompts_from_labels(volume(labels()), volume(np.zeros(SHAPE, np.int16)))
    assert found.space == "index"
    assert {p.id: p.box for p in found} == BOXES


def test_another_grid_of_the_same_frame_goes_through_the_world():
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[0, 3] = SHAPE[2] - 1
    image = volume(np.zeros(SHAPE, np.int16))
    mirrored = volume(np.ascontiguousarray(labels()[:, :, ::-1]), flipped)
    found = prompts_from_labels(mirrored, image)
    assert found.space == "world"
    boxes = {p.id: p.box for p in found.to_index(image.grid)}
    assert {k: np.allclose(boxes[k], v) for k, v in BOXES.items()} == dict.fromkeys(BOXES, True)


def test_finer_grid():
    fine = np.diag([0.5, 0.5, 1.0, 1.0])
    fine[:2, 3] = -0.25
    doubled = labels().repeat(2, axis=1).repeat(2, axis=2)
    image = volume(np.zeros(SHAPE, np.int16))
    boxes = {
        p.id: p.box for p in prompts_from_labels(volume(doubled, fine), image).to_index(image.grid)
    }
    assert np.allclose(boxes[4], BOXES[4])


def test_grids_that_cannot_be_related():
    image = volume(np.zeros(SHAPE, np.int16), frame=Frame.index())
    smaller = volume(labels()[:3], frame=Frame.index())
    with pytest.raises(PromptError, match="give the labels of this image"):
        prompts_from_labels(smaller, image)
    flat = ArrayImage(labels()[0], info=ImageInfo("flat.png", "picture", "made"))
    with pytest.raises(PromptError, match=r"flat\.png: has 2 dimensions"):
        prompts_from_labels(flat, image)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(-1000, 1000, 3600).reshape(SHAPE),
        np.linspace(0, 1, 3600).reshape(SHAPE),
        np.full(SHAPE, np.nan),
        np.random.default_rng(0).integers(0, 1500, SHAPE),
        np.random.default_rng(0).integers(0, 200, SHAPE),
    ],
    ids=["ct", "fractions", "nan", "nearly unique", "everywhere"],
)
def test_images_are_not_labels(values):
    with pytest.raises(PromptError, match=r"labels\.nii\.gz: is an image, not a label image"):
        prompts_from_labels(volume(values), volume(np.zeros(SHAPE, np.int16)))


def test_nodata_is_background():
    pixels = labels().astype(np.float32)
    pixels[0] = -9999
    grid = Grid(SHAPE, np.eye(4), Frame.lps())
    info = ImageInfo("labels.nii.gz", "volume", "made")
    masked = ArrayImage(pixels, grid, info, valid=pixels >= 0)
    found = prompts_from_labels(masked, volume(np.zeros(SHAPE, np.int16)))
    assert {p.id: p.box for p in found} == BOXES
