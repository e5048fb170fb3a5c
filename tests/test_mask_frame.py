"""Between coarse logits and pixels: against SciPy, and against geometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from samovar.embedding import Fit
from samovar.mask_frame import MASK_LOGIT, mask_logits, pixel_mask, stability
from samovar.masks import PixelMask
from samovar.resize import Resize

FITS = [
    Fit((100, 100), (64, 64), (64, 64), (64, 64)),
    Fit((37, 150), Resize().content((37, 150), (64, 64)), (64, 64), (128, 128)),
    Fit((150, 37), Resize().content((150, 37), (64, 64)), (64, 64), (64, 64)),
    Fit((9, 7), Resize().content((9, 7), (64, 64)), (64, 64), (64, 64)),
    Fit((50, 80), (64, 96), (64, 96), (64, 96)),
    Fit((1, 1), (64, 64), (64, 64), (64, 64)),
]


def full(mask: PixelMask, shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape, dtype=bool)
    out[mask.region.slices] = mask.inside
    return out


def everywhere(logits: np.ndarray, fit: Fit) -> np.ndarray:
    """Bilinear logits at every pixel of the picture, by SciPy."""
    at = [
        (np.arange(n) + 0.5) * (content / n) * (cells / encode) - 0.5
        for n, content, cells, encode in zip(
            fit.picture, fit.content, logits.shape, fit.encode, strict=True
        )
    ]
    grid = np.meshgrid(*at, indexing="ij")
    return ndimage.map_coordinates(logits.astype(np.float64), grid, order=1, mode="nearest")


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_pixels_agree_with_scipy_where_it_is_not_a_tie(fit, threshold):
    cells = (16, 24) if fit.encode[1] == 96 else (16, 16)
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(-1.2, 1.5, cells).astype(np.float32)
        wanted = everywhere(noise, fit)
        got = full(pixel_mask(noise, fit, threshold), fit.picture)
        clear = np.abs(wanted - threshold) > 1e-4
        np.testing.assert_array_equal(got[clear], (wanted > threshold)[clear])


@pytest.mark.parametrize("fit", FITS)
def test_everything_and_nothing(fit):
    logits = np.full((16, 24 if fit.encode[1] == 96 else 16), 1.0, dtype=np.float32)
    assert full(pixel_mask(logits, fit), fit.picture).all()
    assert pixel_mask(-logits, fit).empty
    assert pixel_mask(logits * 0, fit).empty, "the threshold itself is background"


def test_a_pixel_exactly_at_the_threshold_is_background():
    fit = Fit((1, 3), (1, 3), (1, 3), (1, 3))
    mask = pixel_mask(np.array([[0.0, 2.0, 2.5]], dtype=np.float32), fit, 2.0)
    assert (mask.region.start, mask.region.stop) == ((0, 2), (1, 3))


def test_padding_is_not_part_of_the_picture():
    fit = Fit((32, 64), (32, 64), (64, 64), (64, 64))
    logits = np.full((16, 16), -4.0, dtype=np.float32)
    logits[10:] = 4.0  # below the content, which ends at row 8
    assert pixel_mask(logits, fit).empty


@pytest.mark.parametrize(
    "fit",
    [
        Fit((128, 128), (64, 64), (64, 64), (64, 64)),
        Fit((60, 120), (32, 64), (64, 64), (64, 64)),
        Fit((200, 90), Resize().content((200, 90), (64, 64)), (64, 64), (64, 64)),
    ],
)
def test_a_mask_goes_into_the_frame_and_comes_back_in_place(fit):
    rows, columns = fit.picture
    y, x = np.mgrid[:rows, :columns]
    disc = ((y - rows * 0.4) / (rows * 0.3)) ** 2 + (
        (x - columns * 0.55) / (columns * 0.3)
    ) ** 2 < 1
    back = full(pixel_mask(mask_logits(disc, fit, (32, 32)), fit), fit.picture)
    assert np.count_nonzero(back & disc) / np.count_nonzero(back | disc) > 0.93
    shift = np.subtract(ndimage.center_of_mass(back), ndimage.center_of_mass(disc))
    assert np.abs(shift).max() < 0.25, "no half pixel gets lost"


def test_mask_logits_are_means_over_the_footprint():
    fit = Fit((4, 4), (8, 8), (8, 8), (8, 8))
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = mask[2:, 2:] = True
    logits = mask_logits(mask, fit, (2, 2))
    quarter = MASK_LOGIT * (2 * 0.25 - 1)
    np.testing.assert_allclose(logits, [[quarter, -MASK_LOGIT], [-MASK_LOGIT, MASK_LOGIT]])
    assert logits.dtype == np.float32


def test_cells_outside_the_picture_are_background():
    fit = Fit((3, 8), (3, 8), (8, 8), (8, 8))
    logits = mask_logits(np.ones((3, 8), dtype=bool), fit, (4, 4))
    assert (logits[:2] == MASK_LOGIT).all(), "the cell that the border cuts counts its own part"
    assert (logits[2:] == -MASK_LOGIT).all()


def test_floats_are_taken_as_logits():
    fit = Fit((4, 4), (4, 4), (4, 4), (4, 4))
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_allclose(mask_logits(values, fit, (2, 2)), [[2.5, 4.5], [10.5, 12.5]])


def test_stability_counts_the_picture_only():
    fit = Fit((8, 16), (8, 16), (16, 16), (16, 16))
    logits = np.full((4, 4), 0.5, dtype=np.float32)
    logits[:2, :2] = 3.0
    assert stability(logits, fit, 0.0) == pytest.approx(4 / 8), "rows 2 and 3 are padding"
    stack = np.stack([logits, logits * 0 - 9])
    np.testing.assert_allclose(stability(stack, fit, 0.0), [0.5, 0.0])


def test_large_pictures_are_done_in_bands_without_a_seam(monkeypatch):
    fit = Fit((300, 200), Resize().content((300, 200), (64, 64)), (64, 64), (64, 64))
    noise = np.random.default_rng(3).normal(0, 2, (16, 16)).astype(np.float32)
    whole = full(pixel_mask(noise, fit), fit.picture)
    monkeypatch.setattr("samovar.mask_frame._BLOCK", 700)
    np.testing.assert_array_equal(full(pixel_mask(noise, fit), fit.picture), whole)
