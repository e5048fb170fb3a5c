"""Tables that spreadsheets and programs read."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from found_objects import RECORD, found, not_found, organ_and_lesion
from samovar.formats import open_image, write_objects
from samovar.objects import Objects
from samovar_medical.measuring import COLUMNS


@pytest.fixture
def scene(volume):
    with open_image(volume()) as image:
        organ, lesion = organ_and_lesion(image.grid.shape)
        items = (found(1, organ, "Leber, größe"), found(3, lesion, ""), not_found(4, "spleen"))
        yield image, Objects(image.grid, items, RECORD, image)


def test_csv(scene, tmp_path):
    image, objects = scene
    write_objects(objects, tmp_path / "m.csv", image)
    with (tmp_path / "m.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["label", "name", *COLUMNS, "score"]
    assert [r["name"] for r in rows] == ["Leber, größe", "", "spleen"]
    item = objects.items[0]
    inside = image.read()[0][item.region.slices][item.mask]
    assert float(rows[0]["volume_ml"]) == pytest.approx(
        item.measures.get("volume_ml", item.pixels * image.grid.pixel_measure / 1000), abs=5e-4
    )
    assert float(rows[0]["mean"]) == pytest.approx(inside.mean(), abs=5e-4)
    assert float(rows[0]["std"]) == pytest.approx(inside.std(), abs=5e-4)
    assert float(rows[0]["longest_mm"]) >= float(rows[0]["perpendicular_mm"]) > 0
    assert (rows[2]["voxels"], rows[2]["longest_mm"]) == ("0", "")


def test_json(scene, tmp_path):
    image, objects = scene
    write_objects(objects, tmp_path / "m.json", image)
    document = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert document["model"]["weights_sha256"] == "ab" * 32
    assert "not a medical device" in document["notice"]
    assert np.allclose(document["geometry"]["affine_xyz"], image.grid.affine)
    assert [o["label"] for o in document["objects"]] == [1, 3, 4]
    assert document["objects"][2]["mean"] is None
    assert document["objects"][0]["voxels"] == objects.items[0].pixels
