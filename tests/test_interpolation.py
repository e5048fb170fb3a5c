"""The resize kernels against values of other libraries, and against what defines them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from samovar.interpolation import interval_means, resample, resample_levels

LINE = np.array([[[3, -1, 4, 1, 5, 9, -2]]], dtype=np.float32)

# torch 2.13: F.interpolate(LINE, (1, n), mode=…, antialias=…, align_corners=False)
TORCH = {
    ("bilinear", 3): [0.333333, 1.0, 5.333337],
    ("bilinear-antialias", 3): [1.5, 3.0, 4.214286],
    ("bicubic", 3): [-0.296297, 1.0, 5.981484],
    ("bicubic-antialias", 3): [1.366936, 3.233211, 4.133065],
    ("bilinear", 11): [
        3.0, 1.181818, -0.545455, 2.636364, 2.909091, 1.0, 3.545454, 6.090908, 8.636364, 3.0, -2.0
    ],
    ("bicubic", 11): [
        3.365139, 0.781743, -0.838468, 2.911345, 3.2562, 1.0, 2.977458, 6.879788, 9.346355,
        3.276107, -3.004132,
    ],
    ("bicubic-antialias", 11): [
        3.28125, 1.075299, -0.853494, 2.969948, 3.203606, 1.0, 3.250939, 6.496616, 9.199851,
        2.778326, -2.773436,
    ],
}  # fmt: skip
RULES = ("bilinear-antialias", "bilinear", "area", "bicubic", "bicubic-antialias")


@pytest.mark.parametrize(("rule", "size"), TORCH)
def test_rules_agree_with_torch_along_both_axes(rule, size):
    wanted = np.array(TORCH[rule, size], dtype=np.float32)
    np.testing.assert_allclose(resample(LINE, (1, size), rule)[0, 0], wanted, atol=1e-5)
    column = resample(LINE.transpose(0, 2, 1), (size, 1), rule)
    np.testing.assert_allclose(column[0, :, 0], wanted, atol=1e-5)


def test_area_is_the_exact_mean_over_each_footprint():
    planes = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    blocks = planes.reshape(1, 2, 2, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resample(planes, (2, 2), "area"), blocks)
    # 3 → 2: the middle pixel is shared half and half
    thirds = resample(np.array([[[0, 6, 12]]], dtype=np.float32), (1, 2), "area")
    np.testing.assert_allclose(thirds[0, 0], [2, 10])


def test_interval_means_take_uneven_edges():
    values = np.array([1.0, 3.0, 5.0])
    means = interval_means(values, np.array([0.0, 0.5, 2.5, 3.0]), 0)
    np.testing.assert_allclose(means, [1.0, (0.5 + 3 + 2.5) / 2, 5.0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (40, 3), (32, 64)])
def test_a_constant_stays_constant(rule, size):
    out = resample(np.full((3, 17, 31), 91.5, dtype=np.float32), size, rule)
    assert out.shape == (3, *size)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, 91.5, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_one_pixel_can_be_enlarged(rule):
    out = resample(np.full((3, 1, 1), 7, dtype=np.float32), (8, 4), rule)
    np.testing.assert_allclose(out, 7, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_mirrored_input_gives_mirrored_output(rule):
    planes = np.random.default_rng(0).random((2, 13, 21), dtype=np.float32)
    straight = resample(planes, (8, 30), rule)
    mirrored = resample(planes[:, ::-1, ::-1], (8, 30), rule)[:, ::-1, ::-1]
    np.testing.assert_allclose(straight, mirrored, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_a_broadcast_grey_plane_gives_the_same_as_copies(rule):
    plane = np.random.default_rng(1).random((1, 9, 12), dtype=np.float32)
    grey = np.broadcast_to(plane, (3, 9, 12))
    copied = resample(np.ascontiguousarray(grey), (5, 7), rule)
    np.testing.assert_array_equal(resample(grey, (5, 7), rule), copied)


def test_the_same_size_is_a_copy_that_can_be_written_to():
    planes = np.ones((3, 4, 4), dtype=np.float32)
    out = resample(planes, (4, 4), "area")
    out[...] = 0
    assert planes.min() == 1


LEVELS = np.random.default_rng(2).integers(0, 256, (3, 40, 60)).astype(np.float32)


def test_whole_levels_are_those_of_pillow():
    picture = Image.fromarray(LEVELS.transpose(1, 2, 0).astype(np.uint8))
    wanted = np.asarray(picture.resize((25, 90), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(resample_levels(LEVELS, (90, 25), "bilinear-antialias"), wanted)


@pytest.mark.parametrize("rule", [*RULES, "nearest", "spline-cubic"])
@pytest.mark.parametrize("size", [(40, 60), (20, 30), (64, 64), (7, 90)])
def test_whole_levels_are_near_the_unrounded(rule, size):
    smooth = resample(LEVELS, (40, 60), "bilinear")
    smooth[:] = 128 + 100 * np.sin(np.arange(60) / 9) * np.cos(np.arange(40) / 7)[:, None]
    got = resample_levels(smooth, size, rule)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.rint(got))
    wanted = resample(np.rint(smooth), size, rule)
    if rule == "area" and (size[0] > 40 or size[1] > 60):
        return  # enlarging, OpenCV's area is another rule
    assert np.abs(got - wanted).max() < 2, "each of two passes rounds"


def test_a_broadcast_grey_plane_stays_three_planes_of_levels():
    grey = np.broadcast_to(LEVELS[:1] + 0.3, (3, 40, 60))
    out = resample_levels(grey, (10, 20), "area")
    assert out.shape == (3, 10, 20)
    np.testing.assert_array_equal(out, resample_levels(np.array(grey), (10, 20), "area"))


def test_nearest_takes_pixels_as_they_are():
    out = resample(LINE, (1, 3), "nearest")
    np.testing.assert_array_equal(out[0, 0], [3, 4, 5])
