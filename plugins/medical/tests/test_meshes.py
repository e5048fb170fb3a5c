"""Meshes as files: read by hand, closed, in LPS millimetres."""

from __future__ import annotations

import re

import numpy as np
import pytest

from found_objects import RECORD, found, not_found, organ_and_lesion
from samovar.errors import OutputError
from samovar.formats import open_image, write_objects
from samovar.objects import Objects


@pytest.fixture
def scene(volume):
    with open_image(volume()) as image:
        organ, lesion = organ_and_lesion(image.grid.shape)
        items = (found(1, organ, "left kidney"), not_found(2, "spleen"), found(3, lesion, "a b"))
        yield image, Objects(image.grid, items, RECORD, image), organ, lesion


def volume_of(triangles):
    a, b, c = (triangles[:, i] for i in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def is_closed(triangles):
    """Every directed edge has its opposite."""
    corners = np.round(triangles, 3)
    edges = [(tuple(t[i]), tuple(t[(i + 1) % 3])) for t in corners.tolist() for i in range(3)]
    return sorted(edges) == sorted((b, a) for a, b in edges)


def test_stl(scene, tmp_path, caplog):
    image, objects, organ, lesion = scene
    path = tmp_path / "mesh.stl"
    write_objects(objects, path, image)
    raw = path.read_bytes()
    assert raw[:9] == b"SPACE=LPS"
    (count,) = np.frombuffer(raw[80:84], "<u4")
    kind = np.dtype([("n", "<f4", 3), ("t", "<f4", (3, 3)), ("a", "<u2")])
    table = np.frombuffer(raw[84:], kind)
    assert len(table) == count
    triangles = table["t"].astype(float)
    assert is_closed(triangles)
    voxels = (organ.sum() + lesion.sum()) * image.grid.pixel_measure
    assert volume_of(triangles) == pytest.approx(voxels, rel=0.15)
    outward = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (np.einsum("ij,ij->i", outward, table["n"]) >= 0).all()
    centre = image.grid.to_world(np.argwhere(organ).mean(axis=0)[::-1])
    middle = (triangles.reshape(-1, 3).min(axis=0) + triangles.reshape(-1, 3).max(axis=0)) / 2
    assert middle == pytest.approx(centre, abs=0.5)
    assert "2 (spleen)" in caplog.text


def test_obj(scene, tmp_path):
    image, objects, organ, lesion = scene
    path = tmp_path / "mesh.obj"
    write_objects(objects, path, image)
    text = path.read_text(encoding="utf-8")
    assert "# SPACE=LPS" in text
    assert re.findall(r"^o (.+)$", text, re.MULTILINE) == ["left_kidney", "a_b"]
    vertices = np.array([line.split()[1:] for line in text.splitlines() if line[:2] == "v "], float)
    groups = re.split(r"^o .+$", text, flags=re.MULTILINE)[1:]
    for group, mask in zip(groups, (organ, lesion), strict=True):
        faces = np.array([f.split()[1:] for f in group.splitlines() if f[:2] == "f "], int) - 1
        triangles = vertices[faces]
        assert is_closed(triangles)
        wanted = mask.sum() * image.grid.pixel_measure
        # marching cubes bevels what is small
        assert 0.75 * wanted < volume_of(triangles) < wanted


def test_nothing_found(scene, tmp_path):
    image, objects, *_ = scene
    nothing = Objects(image.grid, objects.items[1:2], RECORD, image)
    for name in ("mesh.stl", "mesh.obj"):
        with pytest.raises(OutputError, match="no object was found"):
            write_objects(nothing, tmp_path / name, image)
        assert list(tmp_path.glob("*mesh*")) == []
