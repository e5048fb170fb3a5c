"""Label images as objects: read, extended without overwriting, split over files."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import GeometryError, InputError, UsageError
from samovar.grid import Frame, Grid, Region
from samovar.image import ArrayImage, ImageInfo
from samovar.labels import (
    extend,
    objects_from_labels,
    one_file_each,
    require_same_grid,
)
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

GRID = Grid((4, 5, 6), np.diag([1.0, 2, 3, 1]), Frame.lps())
IMAGE = ArrayImage(np.zeros(GRID.shape), GRID, ImageInfo("scan", "volume", "array"))


def item(id, mask, name=""):
    return SegmentedObject.from_mask(id, PixelMask.of(mask), name=name)


def block(start, stop):
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


class TestReading:
    @pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i2", "i8", "f4", "f8", ">i2", "?"])
    def test_every_type(self, kind):
        labels = np.zeros(GRID.shape)
        labels[1:3, 2:4, 1:5] = 1
        (found,) = objects_from_labels(labels.astype(kind), "x", {1: "liver"})
        assert (found.id, found.name, found.region) == (1, "liver", Region((1, 2, 1), (3, 4, 5)))
        assert found.mask.all()

    @pytest.mark.parametrize("values", [(5, 300, 70_000), (1, 2, 4_000_000_000), (7, 8, 9)])
    def test_numbers_stay(self, values):
        labels = np.zeros(GRID.shape, dtype=np.int64)
        for i, v in enumerate(values):
            labels[i, i, :] = v
        found = objects_from_labels(labels, "x")
        assert [o.id for o in found] == list(values)
        assert np.array_equal(Objects(GRID, found).labels(), labels)

    def test_numbers_that_fill_everything(self):
        labels = np.full((2, 2), 2_000_000)
        (found,) = objects_from_labels(labels, "x")
        assert (found.id, found.pixels) == (2_000_000, 4)

    def test_random_labels_come_back(self):
        labels = np.random.default_rng(0).integers(0, 40, (9, 10, 11))
        found = objects_from_labels(labels, "x")
        assert np.array_equal(Objects(Grid(labels.shape, np.eye(4)), found).labels(), labels)

    @pytest.mark.parametrize("bad", [0.5, -1.0])
    def test_what_is_no_label_image(self, bad):
        with pytest.raises(InputError, match="is not a label image"):
            objects_from_labels(np.array([[0.0, bad]]), "ct.nii")

    def test_nothing(self):
        assert objects_from_labels(np.zeros((3, 3), np.uint8), "x") == ()


class TestSameGrid:
    def test_same(self):
        require_same_grid("x", GRID, IMAGE)

    def test_other_shape(self):
        with pytest.raises(GeometryError, match=r"6×5×5 pixels, not 6×5×4"):
            require_same_grid("x", Grid((5, 5, 6), GRID.affine, Frame.lps()), IMAGE)

    def test_other_place(self):
        affine = GRID.affine.copy()
        affine[0, 3] += 0.2
        with pytest.raises(GeometryError, match=r"0\.2 pixels off"):
            require_same_grid("x", Grid(GRID.shape, affine, Frame.lps()), IMAGE)


class TestExtending:
    def test_existing_labels_are_not_overwritten(self):
        before = objects_from_labels(np.where(block((0, 0, 0), (2, 5, 6)), 4, 0), "x")
        new = item(1, block((1, 1, 1), (4, 4, 4)), "liver")
        whole, left = extend(Objects(GRID, (new,), {"samovar": "1"}), before, IMAGE)
        labels = whole.labels()
        assert (labels[:2] == 4).all()
        assert left == 9
        assert np.array_equal(labels == 1, block((2, 1, 1), (4, 4, 4)))
        assert whole.items[-1].measures["voxels"] == 18
        assert whole.provenance["extended"] == {"existing_objects": 1, "numbers_shifted_by": 0}

    def test_numbers_that_are_taken_are_moved_up(self):
        before = objects_from_labels(np.where(block((0, 0, 0), (1, 1, 1)), 300, 0), "x")
        before += objects_from_labels(np.where(block((0, 0, 1), (1, 1, 2)), 1, 0), "x")
        new = (item(1, block((2, 0, 0), (3, 1, 1))), item(2, block((3, 0, 0), (4, 1, 1))))
        whole, _ = extend(Objects(GRID, new), before, IMAGE)
        assert [o.id for o in whole] == [300, 1, 301, 302]
        assert whole.label_dtype == np.uint16

    def test_what_lies_wholly_in_others_is_there_and_empty(self):
        before = objects_from_labels(np.ones(GRID.shape, np.uint8), "x")
        whole, left = extend(Objects(GRID, (item(2, block((0, 0, 0), (1, 1, 2))),)), before, IMAGE)
        assert left == 2
        assert whole.items[-1].empty
        assert whole.items[-1].measures["voxels"] == 0


class TestOneFileEach:
    def test_names(self, tmp_path):
        empty = SegmentedObject(5, Region((0, 0, 0), (0, 0, 0)), b"", name="gone")
        mask = block((0, 0, 0), (1, 1, 1))
        items = (
            item(1, mask, "liver"), item(2, mask, "left/kidney: 1"), item(3, mask),
            item(4, mask, ".."),
            item(6, mask, "Node"), item(7, mask, "node"), empty,
        )  # fmt: skip
        jobs = one_file_each(Objects(GRID, items), tmp_path / "seg.nii.gz", ".nii.gz")
        assert [p.name for p, _ in jobs] == [
            "seg_liver.nii.gz", "seg_left_kidney_1.nii.gz", "seg_3.nii.gz", "seg_4.nii.gz",
            "seg_Node_6.nii.gz", "seg_node_7.nii.gz",
        ]  # fmt: skip
        assert [o.items[0].id for _, o in jobs] == [1, 2, 3, 4, 6, 7]
        assert all(p.parent == tmp_path for p, _ in jobs)

    def test_names_that_cannot_be_told_apart(self, tmp_path):
        mask = block((0, 0, 0), (1, 1, 1))
        items = (item(1, mask, "a_2"), item(2, mask, "a"), item(3, mask, "a"))
        with pytest.raises(UsageError, match="one file name"):
            one_file_each(Objects(GRID, items), tmp_path / "s.nii", ".nii")
