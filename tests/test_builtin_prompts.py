"""Prompt files: JSON, CSV and NPZ, right ones and wrong ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from samovar.errors import PromptError
from samovar.formats import read_prompts
from samovar.image import ArrayImage

IMAGE = ArrayImage(np.zeros((20, 30), np.uint8))


def read(path):
    return read_prompts(path, IMAGE)


def written(folder, name: str, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


class TestJson:
    def test_long_form(self, tmp_path):
        objects = [
            {"name": "liver", "box": [1, 2, 3, 4], "class": 5, "ward": "B2"},
            {"id": 1, "points": [[1, 2], [3, 4.5]], "labels": [1, 0]},
        ]
        found = read(written(tmp_path, "p.json", {"space": "ras", "objects": objects}))
        first, second = found
        assert found.space == "ras"
        assert (first.id, first.name, first.box, first.class_id) == (2, "liver", (1, 2, 3, 4), 5)
        assert first.attributes == {"ward": "B2"}
        assert (second.id, second.points, second.labels) == (1, ((1, 2), (3, 4.5)), (1, 0))

    @pytest.mark.parametrize(
        "document",
        [
            [{"name": "a", "box": [1, 2, 3, 4]}, {"name": "b", "box": [5, 6, 7, 8]}],
            {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]},
            {"objects": [{"name": "a", "box": [1, 2, 3, 4]}, {"name": "b", "box": [5, 6, 7, 8]}]},
        ],
    )
    def test_short_forms(self, tmp_path, document):
        found = read(written(tmp_path, "p.json", document))
        assert [(p.id, p.name, p.box) for p in found] == [
            (1, "a", (1, 2, 3, 4)),
            (2, "b", (5, 6, 7, 8)),
        ]

    def test_list_of_boxes_and_one_point(self, tmp_path):
        assert len(read(written(tmp_path, "p.json", [[1, 2, 3, 4], [5, 6, 7, 8]]))) == 2
        (one,) = read(written(tmp_path, "q.json", [{"points": [1, 2]}]))
        assert (one.points, one.labels) == (((1.0, 2.0),), (1,))

    def test_byte_order_mark(self, tmp_path):
        assert read(written(tmp_path, "p.json", "\ufeff[[1, 2, 3, 4]]"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "is not valid JSON"),
            ("[]", "holds no prompts"),
            ("3", "must hold a list"),
            ('["x"]', "object 1 is neither"),
            ('[{"name": "x"}]', "object x has neither a box nor points"),
            ('[{"box": "1,2"}]', "object 1: box is not a list of numbers"),
            ('[{"box": [1, 2, 3, null]}]', "object 1: box is not a list of numbers"),
            ('[{"points": [[1, 2]], "labels": [2]}]', "labels must be 1"),
            ('[{"points": [[1, 2]], "labels": [1, 1]}]', "one number, 1 or 0, a point"),
            ('[{"id": 1, "box": [1, 2, 3, 4]}, {"id": 1, "box": [1, 2, 3, 4]}]', "the id 1"),
            ('[{"id": -1, "box": [1, 2, 3, 4]}]', "id is -1, not a whole number"),
            ('{"space": "voxels", "objects": [[1, 2, 3, 4]]}', "space is 'voxels'"),
            ('{"type": "FeatureCollection", "features": []}', "rename it to .geojson"),
        ],
    )
    def test_wrong_ones(self, tmp_path, content, message):
        with pytest.raises(PromptError, match=message) as caught:
            read(written(tmp_path, "p.json", content))
        assert "p.json" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_binary(self, tmp_path):
        (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00\x01")
        with pytest.raises(PromptError, match="is not valid JSON"):
            read(tmp_path / "p.json")


class TestCsv:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_boxes(self, tmp_path, delimiter):
        text = "name,x0,y0,x1,y1,class,Owner\nhouse,1,2,3,4,6,A & B\n,5,6,7,8,,\n"
        first, second = read(written(tmp_path, "p.csv", text.replace(",", delimiter)))
        assert (first.id, first.name, first.box) == (1, "house", (1, 2, 3, 4))
        assert (first.class_id, first.attributes) == (6, {"Owner": "A & B"})
        assert (second.id, second.name, second.box) == (2, "", (5, 6, 7, 8))
        assert second.attributes == {}

    def test_rows_of_one_name_are_one_object(self, tmp_path):
        text = (
            "name,x,y,label,x0,y0,x1,y1\nk,,,,1,1,9,9\nk,3,4,+,,,,\nk,5,6,-,,,,\nother,7,8,,,,,\n"
        )
        first, second = read(written(tmp_path, "p.csv", text))
        assert (first.box, first.points) == ((1, 1, 9, 9), ((3, 4), (5, 6)))
        assert (first.labels, second.labels) == ((1, 0), (1,))

    def test_boxes_of_one_name_in_a_volume_are_key_slices(self, tmp_path):
        text = "name,x0,y0,z0,x1,y1,z1\nk,1,2,3,9,9,4\nk,2,2,7,9,9,8\n"
        (only,) = read(written(tmp_path, "p.csv", text))
        assert (only.box, only.key_boxes) == ((1, 2, 3, 9, 9, 4), ((2, 2, 7, 9, 9, 8),))
        text = '[{"name": "k", "boxes": [[1, 2, 3, 9, 9, 4], [2, 2, 7, 9, 9, 8]]}]'
        (same,) = read(written(tmp_path, "p.json", text))
        assert same.boxes == only.boxes

    def test_volumes_and_space(self, tmp_path):
        text = "id,x0,y0,z0,x1,y1,z1,space\n4,1,2,3,4,5,6,world\n"
        found = read(written(tmp_path, "p.csv", text))
        assert (found.space, found.objects[0].id) == ("world", 4)
        assert found.objects[0].box == (1, 2, 3, 4, 5, 6)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a,b\n1,2\n", "its first row must name the columns"),
            ("x0,y0,x1,y1\n", "holds no prompts"),
            ("x0,y0,x1,y1\n1,2,three,4\n", "row 2 is not a list of numbers"),
            ("x0,y0,x1,y1\n1,2,,4\n", "row 2: only x0, y0, y1 of"),
            ("x,y,label\n1,2,yes\n", "row 2: label is 'yes'"),
            ("name,x0,y0,x1,y1\na,1,2,3,4\na,1,2,3,4\n", "row 3: a second box"),
            ("x,y,space\n1,2,ras\n1,2,world\n", "the same space"),
            ("name,x,y\na,,\n", "object a has neither"),
        ],
    )
    def test_wrong_ones(self, tmp_path, content, message):
        with pytest.raises(PromptError, match=message) as caught:
            read(written(tmp_path, "p.csv", content))
        assert "p.csv" in str(caught.value)


class TestNpz:
    def save(self, folder, **arrays):
        np.savez(folder / "p.npz", **arrays)
        return folder / "p.npz"

    def test_boxes(self, tmp_path):
        boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
        found = read(self.save(tmp_path, boxes=boxes, names=["a", "b"], ids=[0, 1], imgs=[0]))
        assert [(p.id, p.name, p.box) for p in found] == [
            (2, "a", (1, 2, 3, 4)),
            (1, "b", (5, 6, 7, 8)),
        ]
        assert len(read(self.save(tmp_path, boxes=boxes[0]))) == 1

    def test_points(self, tmp_path):
        points = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        found = read(self.save(tmp_path, points=points, labels=[1, 1, 0], ids=[2, 1, 2]))
        assert {p.id: (p.points, p.labels) for p in found} == {
            2: (((1, 2), (5, 6)), (1, 0)),
            1: (((3, 4),), (1,)),
        }
        assert len(read(self.save(tmp_path, points=points))) == 3

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"other": [1]}, "neither an array 'boxes' nor 'points'"),
            ({"boxes": np.zeros((2, 5))}, r"shape \(2, 5\)"),
            ({"boxes": np.array([["1"] * 4])}, "dtype"),
            ({"boxes": np.zeros((2, 4)), "ids": [1]}, "1 entries for 2 prompts"),
            ({"boxes": np.zeros((1, 4)), "points": np.zeros((1, 2))}, "not both"),
            ({"points": np.zeros((1, 2)), "labels": [7]}, "labels"),
            ({"boxes": np.zeros((0, 4))}, "holds no prompts"),
            ({"boxes": np.ones((1, 4)), "space": "here"}, "space is 'here'"),
        ],
    )
    def test_wrong_ones(self, tmp_path, arrays, message):
        with pytest.raises(PromptError, match=message) as caught:
            read(self.save(tmp_path, **arrays))
        assert "p.npz" in str(caught.value)

    def test_objects_are_not_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (open, (str(tmp_path / "sprung"), "w"))

        path = self.save(tmp_path, boxes=np.array([Trap()], dtype=object))
        with pytest.raises(PromptError, match="holds Python objects, which are refused"):
            read(path)
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("content", [b"PK\3\4 cut", b"text", b"\x93NUMPY\1\0"])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "p.npz").write_bytes(content)
        with pytest.raises(PromptError, match="is damaged"):
            read(tmp_path / "p.npz")
