import json

import numpy as np
import pytest

from samovar.errors import UsageError
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar.intensity import Intensity, choose_intensity, parse_window


def volume(values: np.ndarray, modality: str | None = None) -> ArrayImage:
    info = ImageInfo("x", "volume", "test", modality)
    return ArrayImage(values, Grid(values.shape, np.eye(4), Frame.lps()), info)


def test_window_limits_become_0_and_255():
    image = volume(np.array([[[-160, 40, 240, 3000]]], dtype=np.int16), "ct")
    step = choose_intensity(image)
    assert step.modality == "ct"
    assert not step.guessed
    picture = step.apply(image.read()[:, 0])
    assert picture.dtype == np.float32
    assert np.allclose(picture[0, 0], [0, 127.5, 255, 255])
    assert (picture[0] == picture[2]).all()


def test_several_windows_are_stacked_as_channels():
    image = volume(np.full((1, 1, 1), 40, dtype=np.int16), "ct")
    step = choose_intensity(image, "ct", ["L40W400", "L-600W1500"])
    assert step.apply(image.read()[:, 0])[:, 0, 0] == pytest.approx([127.5, 236.3, 236.3], abs=0.1)


def test_auto_tells_ct_from_mr_and_says_that_it_guessed():
    air = np.full((4, 8, 8), -1000, dtype=np.int16)
    air[:, 2:6, 2:6] = 50
    assert choose_intensity(volume(air)).modality == "ct"
    signal = np.random.default_rng(0).integers(0, 900, (4, 8, 8)).astype(np.int16)
    step = choose_intensity(volume(signal))
    assert step.modality == "mr"
    assert step.guessed
    assert "percentiles" in step.rule


def test_one_stretch_for_the_whole_scene():
    rng = np.random.default_rng(0)
    dark, bright = rng.normal(500, 20, (1, 64, 64)), rng.normal(3000, 20, (1, 64, 64))
    scene = np.concatenate([dark, bright], axis=2)[0].astype(np.uint16)
    image = ArrayImage(scene)
    step = choose_intensity(image, "ms")
    left, right = (step.apply(image.read()[:, :, s]).mean() for s in (slice(64), slice(64, None)))
    assert left < 20
    assert right > 235


def test_nan_becomes_black_and_constant_images_do_not_divide_by_zero():
    scene = np.full((8, 8), np.nan, dtype=np.float32)
    scene[0] = 5
    image = ArrayImage(scene)
    assert np.isfinite(choose_intensity(image, "ms").apply(image.read())).all()


def test_eight_bit_pictures_stay_as_they_are():
    picture = np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8)
    image = ArrayImage(picture, channels_last=True)
    step = choose_intensity(image)
    assert step.modality == "rgb"
    assert np.array_equal(step.apply(image.read()), picture.transpose(2, 0, 1))


@pytest.mark.parametrize("text", ["40,400", "L40", "L40W0", "L40W-3", "W400L40", ""])
def test_malformed_windows_are_refused(text):
    with pytest.raises(UsageError, match="L40W400"):
        parse_window(text)


def test_unknown_modality_lists_the_known_ones():
    with pytest.raises(UsageError, match="microscopy"):
        choose_intensity(ArrayImage(np.zeros((3, 3), np.uint8)), "xray")


def test_the_step_comes_back_from_its_record():
    step = choose_intensity(volume(np.zeros((2, 3, 3), np.int16)), "ct", ["L40W400", "L0W80"])
    assert Intensity.from_record(json.loads(json.dumps(step.describe()))) == step
