"""From a picture of 0…255 to an encoder's input, by stated rules."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import InputError
from samovar.resize import Normalisation, Preparation, Resize, prepare

NONE = Normalisation("none")


def picture(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (3, rows, columns)).astype(np.float32)


def preparation(size: int = 8, **resize: object) -> Preparation:
    rule = Resize.parse({"interpolation": "area", **resize})
    return Preparation((size, size), (size, size), "scaled", rule, NONE)


@pytest.mark.parametrize(
    ("rounding", "of_1_5", "of_2_5", "of_2_25"),
    [("floor", 1, 2, 2), ("half-up", 2, 3, 2), ("round", 2, 2, 2), ("ceil", 2, 3, 3)],
)
def test_content_is_rounded_as_the_rule_says(rounding, of_1_5, of_2_5, of_2_25):
    rule = Resize(rounding=rounding)
    assert rule.content((3, 8), (4, 4)) == (of_1_5, 4)
    assert rule.content((8, 5), (4, 4)) == (4, of_2_5)
    assert rule.content((9, 16), (4, 4)) == (of_2_25, 4)


def test_content_of_a_thin_picture_keeps_one_row():
    assert Resize(rounding="floor").content((1, 1000), (64, 64)) == (1, 64)


def test_stretch_fills_the_square():
    fit = preparation(policy="stretch").fit((3, 20))
    assert fit.content == (8, 8)
    assert fit.scale == (8 / 20, 8 / 3)


def test_padding_is_at_the_bottom_and_at_the_right():
    wide, tall = picture(4, 8), picture(8, 2)
    batch, fits = prepare([wide, tall], preparation(pad_value=-5.0))
    assert batch.shape == (2, 3, 8, 8)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert [f.content for f in fits] == [(4, 8), (8, 2)]
    np.testing.assert_array_equal(batch[0, :, :4], wide)
    np.testing.assert_array_equal(batch[1, :, :, :2], tall)
    assert (batch[0, :, 4:] == -5).all()
    assert (batch[1, :, :, 2:] == -5).all()


def test_padding_comes_after_normalising_unless_stated():
    rule = Normalisation("mean-std", (100, 100, 100), (50, 50, 50))
    grey = np.full((3, 1, 2), 200, dtype=np.float32)
    late = Preparation((2, 2), (2, 2), "scaled", Resize(pad_value=0), rule)
    early = Preparation(
        (2, 2), (2, 2), "scaled", Resize(pad_value=0, pad_before_normalising=True), rule
    )
    np.testing.assert_array_equal(prepare([grey], late)[0][0, 0], [[2, 2], [0, 0]])
    np.testing.assert_array_equal(prepare([grey], early)[0][0, 0], [[2, 2], [-2, -2]])


def test_mean_and_deviation_are_a_channel_s_own():
    pixels = np.array([10, 20, 30], dtype=np.float32).reshape(3, 1, 1)
    Normalisation("mean-std", (10, 10, 10), (1, 2, 4)).apply(pixels, pixels)
    np.testing.assert_array_equal(pixels.ravel(), [0, 5, 5])


@pytest.mark.parametrize("kind", ["mean-std", "min-max", "none"])
def test_the_picture_itself_is_not_written_to(kind):
    own = picture(8, 8)
    kept = own.copy()
    rule = Preparation((8, 8), (8, 8), "scaled", Resize(), Normalisation(kind))
    prepare([own], rule)
    np.testing.assert_array_equal(own, kept)


def test_channel_order_turns_before_normalising():
    pixels = np.array([10, 20, 30], dtype=np.float32).reshape(3, 1, 1)
    rule = Normalisation("mean-std", (30, 20, 10), (1, 1, 1))
    swapped = Preparation((1, 1), (1, 1), "scaled", Resize(), rule, "BGR")
    np.testing.assert_array_equal(prepare([pixels], swapped)[0].ravel(), [0, 0, 0])


def test_min_max_is_of_each_picture_s_content():
    bright, dark = picture(4, 8) + 500, picture(4, 8) / 10
    rule = Preparation((8, 8), (8, 8), "scaled", Resize(), Normalisation("min-max"))
    batch, _ = prepare([bright, dark], rule)
    for one in batch:
        assert one[:, :4].min() == 0
        assert one[:, :4].max() == pytest.approx(1)
        assert (one[:, 4:] == 0).all()


def test_a_constant_picture_does_not_divide_by_zero():
    rule = Preparation((8, 8), (8, 8), "scaled", Resize(), Normalisation("min-max"))
    batch, _ = prepare([np.full((3, 1, 1), 9, dtype=np.float32)], rule)
    assert np.isfinite(batch).all()


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 0, 4), (4, 4)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(InputError, match="3, rows, columns"):
        prepare([np.zeros(shape, dtype=np.float32)], preparation())


@pytest.mark.parametrize(
    ("parse", "rule", "named"),
    [
        (Resize.parse, {"policy": "crop"}, "policy"),
        (Resize.parse, {"interpolation": "lanczos"}, "interpolation"),
        (Resize.parse, {"rounding": "up"}, "rounding"),
        (Resize.parse, {"pad_value": float("nan")}, "pad_value"),
        (Normalisation.parse, {"kind": "z"}, "kind"),
        (Normalisation.parse, {"mean": [1, 2]}, "mean"),
        (Normalisation.parse, {"std": [1, 0, 1]}, "std"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(parse, rule, named):
    with pytest.raises(ValueError, match=named):
        parse(rule)


def test_prompts_may_be_scaled_by_another_rule_than_the_picture():
    picture = (334, 1000)  # 85.504 of 256 rows become 86, 171.008 of 512 become 171
    places = {
        rule: Preparation((256, 256), (512, 512), prompt_scale=rule).fit(picture)
        for rule in ("content", "frame", "longest-side")
    }
    assert {fit.content for fit in places.values()} == {(86, 256)}
    assert places["content"].scale == pytest.approx((0.512, 2 * 86 / 334))
    assert places["frame"].scale == pytest.approx((0.512, 171 / 334))
    assert places["longest-side"].scale == pytest.approx((0.512, 0.512))
    for fit in places.values():
        assert fit.content_scale == pytest.approx((0.512, 2 * 86 / 334)), "where it really lies"
