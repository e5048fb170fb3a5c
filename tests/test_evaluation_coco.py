"""COCO's files: polygons, run lengths, detections."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as PillowImage

from samovar.errors import InputError
from samovar.evaluation.coco import decode, is_coco, read_coco, read_detections


def packed(runs):
    """COCO's packing, written from its description: differences from the third run on."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            part = value & 0x1F
            value >>= 5
            more = value != (-1 if part & 0x10 else 0)
            text += chr((part | (0x20 if more else 0)) + 48)
            if not more:
                break
    return text


def test_a_polygon_holds_the_pixels_whose_centres_it_holds():
    square = decode([[2, 1, 12, 1, 12, 9, 2, 9]], (20, 30))
    assert square[1:9, 2:12].all()
    assert square.sum() == 80
    triangle = decode([[0, 0, 10, 0, 0, 10]], (10, 10))
    y, x = np.mgrid[:10, :10] + 0.5
    np.testing.assert_array_equal(triangle, x + y < 10)
    hole = decode([[0, 0, 5, 0, 5, 5, 0, 5], [7, 7, 9, 7, 9, 9, 7, 9]], (10, 10))
    assert hole.sum() == 25 + 4
    assert decode([[-5, -5, 50, -5, 50, 50, -5, 50]], (10, 10)).all()


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_go_down_the_columns_packed_or_not(seed):
    mask = np.random.default_rng(seed).random((37, 53)) > 0.4
    mask[:, 10:40] = seed % 2
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    for counts in (runs, packed(runs)):
        np.testing.assert_array_equal(decode({"size": [37, 53], "counts": counts}, (37, 53)), mask)


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "images").mkdir()
    PillowImage.new("RGB", (30, 20)).save(tmp_path / "images" / "a.png")
    document = {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 8, "file_name": "nothing-in-it.png", "height": 20, "width": 30},
        ],
        "categories": [{"id": 3, "name": "house"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]},
            {"id": 2, "image_id": 7, "category_id": 3, "iscrowd": 1,
             "segmentation": {"size": [20, 30], "counts": [0, 100, 500]}},
        ],
    }  # fmt: skip
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(document))
    return file


def test_pictures_with_objects_are_read_largest_object_first(coco):
    assert is_coco(coco)
    found = read_coco(coco)
    [image] = found.images
    assert (image.id, image.shape, image.file.name) == (7, (20, 30), "a.png")
    assert found.classes == {3: "house"}
    crowd, house = image.annotations()
    assert (crowd.crowd, int(crowd.mask.inside.sum())) == (True, 100)
    assert (house.crowd, house.class_id, int(house.mask.inside.sum())) == (False, 3, 16)


def test_detections_are_grouped_and_ordered(tmp_path):
    file = tmp_path / "d.json"
    rows = [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": s} for s in (0.2, 0.9)]
    file.write_text(json.dumps(rows))
    found = read_detections(file)
    assert [d.score for d in found[7]] == [0.9, 0.2]
    assert found[7][0].box == (1, 2, 4, 6)


def test_what_is_wrong_is_said_in_one_line(coco, tmp_path):
    other = tmp_path / "o.json"
    other.write_text('{"datasets": []}')
    assert not is_coco(other)
    with pytest.raises(InputError, match="no COCO file"):
        read_coco(other)
    with pytest.raises(InputError, match="no COCO results"):
        read_detections(other)
    other.write_text('[{"image_id": 1}]')
    with pytest.raises(InputError, match="lacks a field"):
        read_detections(other)
    (coco.parent / "images" / "a.png").unlink()
    with pytest.raises(InputError, match="--images FOLDER"):
        read_coco(coco)


def test_runs_that_do_not_fill_the_picture_are_refused(coco):
    text = coco.read_text().replace("[0, 100, 500]", "[0, 100, 400]")
    coco.write_text(text)
    with pytest.raises(InputError, match="annotation 2 cannot be read"):
        read_coco(coco).images[0].annotations()
