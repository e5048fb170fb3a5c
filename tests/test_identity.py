from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from samovar import assembly, identity
from samovar.assembly import LargeObject
from samovar.grid import Grid, Region
from samovar.identity import Names, name_of
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.lattice import Tiling
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.prompts import Prompt, Prompts
from samovar.tiles import TileRun, segment_tiles
from scenes import ColourModel, EveryColour, scene, shapes

SMALL = Tiling(largest=32, side=128)
WIDE = Tiling(largest=110, side=128)
"""A point anywhere on an object lies in a tile that shows all of it."""


def job(image: ArrayImage, **fields) -> Job:
    fields.setdefault("generator", EveryColour())
    return Job(image, ColourModel(), choose_intensity(image, "rgb"), **fields)


def asked(labels: np.ndarray) -> Prompts:
    """A point on every object, the last object first."""
    prompts = []
    for value in np.unique(labels[labels > 0])[::-1]:
        y, x = np.argwhere(labels == value)[0]
        prompts.append(Prompt(len(prompts) + 1, points=((float(x), float(y)),), labels=(1,)))
    return Prompts(tuple(prompts))


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return shapes(np.random.default_rng(5), 420, 520, 50, 90)


@pytest.fixture(scope="module")
def names(labels) -> set[str]:
    """Those of every object, by a plain run."""
    items = segment_tiles(job(scene(labels)), TileRun(SMALL))
    assert len({o.key for o in items}) == len(items) > 40
    return {o.key for o in items}


def test_names_are_those_of_the_true_pixels(labels, names):
    true = {
        name_of(SegmentedObject.from_mask(1, PixelMask.of(labels[block] == v, tuple(
            s.start for s in block))))
        for v, block in enumerate(ndimage.find_objects(labels), start=1)
        if block is not None
    }  # fmt: skip
    assert names == true


@pytest.mark.parametrize("tiling", [Tiling(32, 96), Tiling(64, 160), Tiling(16, 512)])
def test_names_do_not_depend_on_tiles(tiling, labels, names):
    assert {o.key for o in segment_tiles(job(scene(labels)), TileRun(tiling))} == names


def test_names_do_not_depend_on_who_asked(labels, names):
    prompted = segment_tiles(
        job(scene(labels), generator=None, prompts=asked(labels)), TileRun(WIDE)
    )
    assert {o.key for o in prompted} == names
    assert sorted(o.id for o in prompted) == list(range(1, len(names) + 1))


def test_names_do_not_depend_on_the_extent_nor_on_other_objects(labels, names):
    part = labels[60:400, 100:480].copy()
    inner = [v for v in np.unique(part) if v and (part == v).sum() == (labels == v).sum()]
    lonely = np.where(np.isin(part, inner[::3]), part, 0)
    found = segment_tiles(job(scene(lonely, (60, 100))), TileRun(SMALL))
    assert len(found) == len(inner[::3]) > 5
    assert {o.key for o in found} <= names


def test_semantic_objects_have_names_and_class_labels():
    labels = np.zeros((300, 300), dtype=np.int64)
    labels[10:40, 10:40], labels[10:40, 40:60], labels[200:230, 100:130] = 1, 2, 3
    found = segment_tiles(job(scene(labels)), TileRun(SMALL, semantic=True))
    assert [o.id for o in found] == [1, 1]
    whole = SegmentedObject.from_mask(1, PixelMask.of(np.ones((30, 50), bool), (10, 10)))
    assert {o.key for o in found} == {
        name_of(whole),
        name_of(SegmentedObject.from_mask(1, PixelMask.of(labels[200:230, 100:130] > 0,
                                                          (200, 100)))),
    }  # fmt: skip


def test_two_prompts_on_one_object_give_two_names(labels, names):
    prompts = asked(labels).objects
    twice = Prompts((*prompts, *(replace(p, id=p.id + 1000) for p in prompts[:5])))
    found = segment_tiles(job(scene(labels), generator=None, prompts=twice), TileRun(WIDE))
    assert len({o.key for o in found}) == len(found) == len(names) + 5
    assert {o.key for o in found} >= names


def test_what_was_not_found_has_no_name(labels):
    nowhere = np.argwhere(labels == 0)[0]
    prompts = Prompts((Prompt(1, points=((float(nowhere[1]), float(nowhere[0])),), labels=(1,)),))
    image = scene(labels)
    (item,) = segment_tiles(job(image, generator=None, prompts=prompts), TileRun(SMALL))
    assert item.key == ""
    (row,) = Objects(image.grid, (item,), image=image).table()
    assert (row["id"], row["label"]) == (None, 1)


def test_an_object_in_pieces_has_the_name_that_it_has_whole(monkeypatch):
    labels = np.zeros((500, 700), dtype=np.int64)
    labels[30:470, 40:660] = 1
    labels[100:300, 200:400] = 0
    (whole,) = segment_tiles(job(scene(labels)), TileRun(SMALL))
    monkeypatch.setattr(assembly, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(assembly, "PIECE", 96)
    monkeypatch.setattr(identity, "PIECE", 5000)
    (pieces,) = segment_tiles(job(scene(labels)), TileRun(SMALL))
    assert isinstance(pieces, LargeObject)
    assert pieces.key == whole.key


def test_the_place_counts_and_so_does_where_the_image_was_cut():
    a, b = (SegmentedObject.from_mask(1, PixelMask.of(np.ones((3, 4), bool), p))
            for p in ((5, 6), (5, 7)))  # fmt: skip
    assert name_of(a) != name_of(b)
    assert name_of(b) == name_of(a, (0, 1))


def test_names_are_forgotten_behind_the_front():
    item = SegmentedObject.from_mask(1, PixelMask.of(np.ones((3, 4), bool), (5, 6)))
    names = Names(None)
    first = names.of(item)
    assert names.of(item) != first
    names.forget(8)
    assert names.of(item) == first


def test_tables_of_volumes_keep_their_labels_as_ids():
    item = SegmentedObject(7, Region((0, 0, 0), (1, 1, 1)), b"\x80")
    (row,) = Objects(Grid((2, 2, 2), np.eye(4)), (item,)).table()
    assert (row["id"], row["label"]) == (7, 7)
