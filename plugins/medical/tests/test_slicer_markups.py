"""Points and ROIs of 3D Slicer: where they lie, what they name, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from samovar.errors import PromptError
from samovar.formats import open_image, read_prompts
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo

SHAPE = (20, 30, 40)


def image_of(affine):
    grid = Grid(SHAPE, affine, Frame.lps())
    return ArrayImage(np.zeros(SHAPE), grid, ImageInfo("ct.nrrd", "volume", "array"))


def write(tmp_path, *markups, name="liver.mrk.json"):
    path = tmp_path / name
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": markups}))
    return path


def roi(centre, size, axes=None, system="LPS", **fields):
    given = {} if axes is None else {"orientation": np.asarray(axes).ravel().tolist()}
    return {
        "type": "ROI", "coordinateSystem": system, "coordinateUnits": "mm", "roiType": "Box",
        "center": list(map(float, centre)), "size": list(map(float, size)), **given, **fields,
    }  # fmt: skip


def points(*listed, system="LPS"):
    return {
        "type": "Fiducial", "coordinateSystem": system,
        "controlPoints": [
            {"label": label, "position": list(map(float, at)), "positionStatus": "defined",
             "selected": True, **(more or {})}
            for label, at, more in listed
        ],
    }  # fmt: skip


def test_a_box_is_the_same_in_both_systems(geometry, tmp_path):
    """LPS with the axes as Slicer writes them, and RAS; oblique images too: exactly the voxels."""
    affine = geometry.reference_affine()
    image = image_of(affine)
    box = np.array([4.0, 5, 6, 20, 15, 12])
    middle = (box[:3] + box[3:]) / 2 - 0.5
    centre = image.grid.to_world(middle)
    size = (box[3:] - box[:3]) * image.grid.spacing
    axes = image.grid.direction
    flip = np.diag([-1.0, -1, 1])
    for markup in (
        roi(centre, size, axes),
        roi(centre, size, -axes),
        roi(flip @ centre, size, flip @ axes, "RAS"),
    ):
        (prompt,) = read_prompts(write(tmp_path, markup), image)
        assert prompt.box == pytest.approx(box, abs=1e-6)
        assert prompt.name == "liver"


def test_a_turned_roi_is_boxed_with_a_warning(tmp_path, caplog):
    image = image_of(np.diag([1.0, 1, 2, 1]))
    c = np.cos(np.pi / 6)
    axes = np.array([[c, -0.5, 0], [0.5, c, 0], [0, 0, 1]])
    (prompt,) = read_prompts(write(tmp_path, roi((20, 15, 20), (10, 4, 8), axes)), image)
    assert "turned by 30.0°" in caplog.text
    wide, high = 10 * c + 4 * 0.5, 10 * 0.5 + 4 * c
    assert prompt.box == pytest.approx(
        (20.5 - wide / 2, 15.5 - high / 2, 8.5, 20.5 + wide / 2, 15.5 + high / 2, 12.5)
    )
    caplog.clear()
    read_prompts(write(tmp_path, roi((20, 15, 20), (10, 4, 8))), image)
    assert caplog.text == ""


def test_points_of_one_name_are_one_object(tmp_path):
    image = image_of(np.diag([2.0, 2, 2, 1]))
    listed = points(
        ("liver-1", (10, 20, 30), None), ("liver-2", (12, 20, 30), None),
        ("spleen", (40, 20, 10), None), ("-liver", (60, 20, 10), None),
        ("skip-1", (1, 1, 1), {"positionStatus": "undefined"}),
        ("skip-2", (1, 1, 1), {"selected": False}),
    )  # fmt: skip
    liver, spleen = read_prompts(write(tmp_path, listed), image)
    assert (liver.id, liver.name, liver.labels) == (1, "liver", (1, 1, 0))
    assert liver.points == ((5, 10, 15), (6, 10, 15), (30, 10, 5))
    assert (spleen.id, spleen.name, spleen.points) == (2, "spleen", ((20, 10, 5),))


@pytest.mark.parametrize("system", ["RAS", 0])
def test_ras_points(tmp_path, system):
    image = image_of(np.diag([2.0, 2, 2, 1]))
    listed = points(("F-1", (-10, -20, 30), None), system=system)
    (prompt,) = read_prompts(write(tmp_path, listed), image)
    assert prompt.points == ((5, 10, 15),)
    assert prompt.name == "F"


def test_negative_points(tmp_path):
    image = image_of(np.eye(4))
    listed = points(
        ("a", (1, 2, 3), None), ("b", (4, 5, 6), None), ("negative-1", (7, 8, 9), None),
        ("b-2", (9, 9, 9), {"description": "background"}),
    )  # fmt: skip
    a, b = read_prompts(write(tmp_path, listed), image)
    assert a.labels == (1, 0)
    assert b.labels == (1, 0, 0)


def test_unlabelled_points_are_the_files(tmp_path):
    listed = points(("", (1, 2, 3), None), ("2", (4, 5, 6), None))
    (prompt,) = read_prompts(
        write(tmp_path, listed, name="left kidney.mrk.json"), image_of(np.eye(4))
    )
    assert (prompt.name, prompt.labels) == ("left kidney", (1, 1))


def test_a_roi_with_points_of_its_name(tmp_path):
    both = (roi((10, 10, 10), (4, 4, 4), name="liver"), points(("liver-1", (10, 10, 10), None)))
    (prompt,) = read_prompts(write(tmp_path, *both), image_of(np.eye(4)))
    assert prompt.kinds == {"box", "point"}
    two = (roi((10, 10, 10), (4, 4, 4)), roi((20, 20, 15), (4, 4, 4)))
    assert len(read_prompts(write(tmp_path, *two), image_of(np.eye(4)))) == 2


@pytest.mark.parametrize(
    ("markups", "word"),
    [
        ([points(("a", (1, 2, 3), None), system="")], "coordinateSystem is none"),
        ([points(("a", (1, 2, 3), None), system="IJK")], "coordinateSystem is 'IJK'"),
        ([{"type": "Plane", "coordinateSystem": "LPS"}], "'Plane'"),
        ([points(("a", (1, 2), None))], "3 finite numbers"),
        ([points(("a", (1, 2, float("nan")), None))], "3 finite numbers"),
        ([points()], "no placed point"),
        ([], "no placed point"),
        ([roi((1, 2, 3), (1, 1, 1), np.zeros((3, 3)))], "no rotation"),
        ([{**roi((1, 2, 3), (1, 1, 1)), "coordinateUnits": "um"}], "mm is needed"),
        ([{**roi((1, 2, 3), (1, 1, 1)), "roiType": "Sphere"}], "Box is needed"),
    ],
)
def test_refusals(tmp_path, markups, word):
    with pytest.raises(PromptError, match=word) as caught:
        read_prompts(write(tmp_path, *markups), image_of(np.eye(4)))
    assert "liver.mrk.json" in str(caught.value)


def test_other_json_is_refused(tmp_path):
    path = tmp_path / "x.mrk.json"
    for text, word in (("{", "not valid JSON"), ("[]", "markups"), ('{"a": 1}', "markups")):
        path.write_text(text)
        with pytest.raises(PromptError, match=word):
            read_prompts(path, image_of(np.eye(4)))


def test_plain_json_is_still_the_hosts(tmp_path, volume):
    path = tmp_path / "p.json"
    path.write_text('{"liver": [1, 1, 1, 4, 4, 4]}')
    with open_image(volume()) as image:
        assert len(read_prompts(path, image)) == 1
