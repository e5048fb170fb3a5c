"""References that cost nothing must be as good as they can be, or beating them means nothing."""

import json

import numpy as np
import pytest

from samovar.errors import DependencyError
from samovar.evaluation import references
from samovar.evaluation.metrics import dice
from samovar.evaluation.references import (
    References,
    box_region,
    ellipse,
    grabcut_picture,
    otsu_threshold,
)
from samovar.grid import Region
from samovar.masks import PixelMask


def disc(shape=(80, 90), middle=(40, 50), radius=15) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2


def picture_of(inside: np.ndarray, bright: float, dark: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, inside.shape)
    grey = np.clip(np.where(inside, bright, dark) + noise, 0, 255)
    return np.broadcast_to(grey, (3, *inside.shape)).astype(np.float32)


def tight_box(mask: PixelMask) -> tuple[float, ...]:
    return (*mask.region.start[::-1], *mask.region.stop[::-1])


def test_ellipse_of_a_discs_box_is_the_disc():
    true = PixelMask.of(disc())
    box = tight_box(true)
    assert dice(ellipse(box, box_region(box, (80, 90))), true) > 0.97


def test_ellipsoid_of_a_balls_box_is_the_ball():
    z, y, x = np.indices((30, 32, 34))
    true = PixelMask.of((z - 14) ** 2 + (y - 15) ** 2 + (x - 16) ** 2 <= 90)
    box = tight_box(true)
    assert dice(ellipse(box, box_region(box, (30, 32, 34))), true) > 0.95


@pytest.mark.parametrize(("bright", "dark"), [(200, 40), (40, 200)])
def test_otsu_finds_bright_and_dark_objects(bright, dark):
    true = PixelMask.of(disc())
    result = References().dice(picture_of(disc(), bright, dark), tight_box(true), true)
    assert result["otsu"] > 0.99
    assert "grabcut" not in result


def test_otsu_threshold_separates_two_heaps():
    values = np.concatenate([np.full(500, 10.0), np.full(200, 90.0)])
    assert 10 < otsu_threshold(values) < 90
    assert otsu_threshold(np.full(5, 7.0)) == 7


def test_box_region_takes_pixel_centres_and_stays_in_the_image():
    assert box_region((9.6, -3.0, 20.4, 400.0), (80, 90)) == Region((0, 10), (80, 20))
    assert box_region((89.9, 79.9, 90.0, 80.0), (80, 90)).shape == (1, 1)


def test_grabcut_finds_a_disc_and_remembers_it(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    true, file = PixelMask.of(disc()), tmp_path / "memory.json"
    picture = picture_of(disc(), 200, 40)
    first = References(grabcut=True, memory=file)
    value = first.dice(picture, tight_box(true), true)["grabcut"]
    first.save()
    assert value > 0.97
    assert list(json.loads(file.read_text()).values()) == [value]
    monkeypatch.setattr(references, "grabcut_picture", None)  # asking again must not compute
    again = References(grabcut=True, memory=file)
    assert again.dice(picture, tight_box(true), true)["grabcut"] == value


def test_grabcut_of_a_whole_picture_is_the_box():
    pytest.importorskip("cv2")
    whole = Region((0, 0), (20, 30))
    found = grabcut_picture(np.zeros((3, 20, 30), np.uint8), whole)
    assert found.region == whole
    assert found.inside.all()


def test_grabcut_goes_through_a_volume_slice_by_slice():
    pytest.importorskip("cv2")
    inside = np.stack([disc(radius=r) for r in (10, 12, 14)])
    true, picture = PixelMask.of(inside), picture_of(inside, 200, 40)
    assert References(grabcut=True).dice(picture, tight_box(true), true, axis=0)["grabcut"] > 0.9


def test_without_opencv_the_message_names_the_remedy(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(references, "import_module", missing)
    with pytest.raises(DependencyError, match=r"pip install .*grabcut"):
        References(grabcut=True)
