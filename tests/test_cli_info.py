"""``samovar info``."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from samovar.cli.info import describe_image, directions
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo


def test_picture(samovar, tmp_path):
    PIL.Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "x.png")
    ran = samovar("info", tmp_path / "x.png", "--json")
    record = json.loads(ran.out)
    assert record["shape"] == [4, 6]
    assert record["channel_names"] == ["red", "green", "blue"]
    assert record["dtype"] == "uint8"
    assert record["modality_from"] == "a guess from the values"
    assert record["file_bytes"] == (tmp_path / "x.png").stat().st_size
    text = samovar("info", tmp_path / "x.png")
    assert "shape          4, 6" in text.out


def test_volume():
    affine = np.diag([-0.8, 0.7, 3.0, 1.0])
    grid = Grid((2, 3, 4), affine, Frame.lps())
    pixels = np.full((2, 3, 4), -1000, np.int16)
    info = ImageInfo("ct.nii.gz", "volume", "nifti", modality="ct", nodata=float("nan"))
    record = describe_image(ArrayImage(pixels, grid, info))
    assert record["directions"] == "RPS"
    assert record["sliced_along"] == "z"
    assert record["modality_from"] == "the file"
    assert record["nodata"] == "nan"
    assert np.allclose(record["spacing_xyz"], [0.8, 0.7, 3.0])


@pytest.mark.parametrize(
    ("columns", "letters"), [([0, 1, 2], "LPS"), ([2, 0, 1], "SLP"), ([1, 2, 0], "PSL")]
)
def test_directions(columns, letters):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, columns]
    assert directions(Grid((2, 2, 2), affine, Frame.lps())) == letters
    affine[:3, :3] *= -1
    flipped = letters.translate(str.maketrans("LPS", "RAI"))
    assert directions(Grid((2, 2, 2), affine, Frame.lps())) == flipped
    assert directions(Grid((2, 2, 2), affine)) is None
