"""Sets are found where people put them, and described by what lies beside them."""

import json

import numpy as np
import pytest
from PIL import Image

from evaluation_fakes import BoxModel, rectangle, write_set
from samovar.errors import InputError, UsageError
from samovar.evaluation.run import Settings, evaluate
from samovar.evaluation.sets import choose, find_sets
from samovar.evaluation.targets import read_labels, targets_of, volume_targets

THING = rectangle((40, 50), (5, 5, 25, 25))


def manifest(folder, *records) -> str:
    file = folder / "MANIFEST.json"
    file.write_text(json.dumps({"datasets": list(records)}))
    return str(file)


def test_a_set_a_folder_of_sets_and_a_folder_of_those(tmp_path):
    write_set(tmp_path / "medical" / "a", [THING, THING])
    write_set(tmp_path / "remote" / "b", [THING])
    assert [s.name for s in find_sets(tmp_path / "medical" / "a")[0]] == ["a"]
    assert [s.name for s in find_sets(tmp_path)[0]] == ["a", "b"]
    assert [c.stem for c in find_sets(tmp_path / "medical")[0][0].cases()] == ["001", "002"]


def test_a_manifest_describes_its_sets_and_says_what_is_left_out(tmp_path):
    write_set(tmp_path / "pairs" / "a", [THING, THING, THING])
    (tmp_path / "rasters" / "x").mkdir(parents=True)
    records = [
        {"path": "pairs/a", "domain": "medical", "modality": "CT", "train": True,
         "classes": {"0": "background", "1": "spleen"}, "validation": ["002"]},
        {"path": "rasters/x", "domain": "remote_sensing", "train": True},
    ]  # fmt: skip
    [found], skipped = find_sets(manifest(tmp_path, *records))
    assert (found.domain, found.modality, found.train) == ("medical", "CT", True)
    assert found.class_name(1) == "spleen"
    assert [c.stem for c in found.cases(validation=True)] == ["002"]
    assert skipped == ["rasters/x: no images/ with masks/ or labels/"]
    # the folder itself, asked for alone, is described by the manifest above it
    [alone], _ = find_sets(tmp_path / "pairs" / "a")
    assert alone == found


def test_sets_of_one_name_are_told_apart(tmp_path):
    write_set(tmp_path / "x" / "a", [THING])
    write_set(tmp_path / "y" / "a", [THING])
    assert [s.name for s in find_sets(tmp_path)[0]] == ["x/a", "y/a"]


def test_hippocampus_is_split_by_its_rule(tmp_path):
    folder = tmp_path / "msd_hippocampus"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
        for stem in ("hippocampus_001", "hippocampus_003", "hippocampus_006", "hippocampus_007"):
            (folder / part / f"{stem}.nii.gz").touch()
    [found], _ = find_sets(folder)
    assert found.kind == "volumes"
    assert len(found.cases()) == 4
    wanted = ["hippocampus_001", "hippocampus_007"]  # crc32(stem) % 5 is 1 for the two others
    assert [c.stem for c in found.cases(validation=True)] == wanted


@pytest.mark.parametrize(
    ("name", "thin"),
    [("retinal vessel", True), ("road", True), ("aorta", False), ("broad leaf", False),
     ("hepatic vessels/veins", True)],
)  # fmt: skip
def test_thin_structures_are_known_by_their_names(tmp_path, name, thin):
    write_set(tmp_path / "a", [THING], {"0": "background", "1": name})
    assert find_sets(tmp_path)[0][0].thin(1) is thin


def test_a_manifest_may_say_itself_what_is_thin(tmp_path):
    write_set(tmp_path / "a", [THING], {"1": "vessel", "2": "wire"})
    record = {"path": "a", "domain": "d", "thin": ["wire"]}
    [found], _ = find_sets(manifest(tmp_path, record))
    assert (found.thin(1), found.thin(2)) == (False, True)


def test_options_that_leave_nothing_are_refused(tmp_path):
    write_set(tmp_path / "a", [THING])
    sets, _ = find_sets(tmp_path)
    with pytest.raises(UsageError, match="--unseen"):
        choose(sets, validation=False, unseen=True)
    with pytest.raises(UsageError, match="--validation"):
        choose(sets, validation=True, unseen=False)


@pytest.mark.parametrize("content", ["", "[1]", '{"datasets": 3}', "{"])
def test_a_broken_manifest_is_named(tmp_path, content):
    (tmp_path / "MANIFEST.json").write_text(content)
    with pytest.raises(InputError, match=r"MANIFEST\.json"):
        find_sets(tmp_path)


def test_nothing_there_and_nothing_in_it(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        find_sets(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no evaluation set"):
        find_sets(tmp_path)


def test_labels_without_an_image_are_left_out_and_named(tmp_path):
    write_set(tmp_path / "a", [THING, THING])
    (tmp_path / "a" / "images" / "001.png").unlink()
    [found], _ = find_sets(tmp_path)
    assert [c.stem for c in found.cases()] == ["002"]
    assert found.unpaired() == ["001"]
    notes = evaluate(str(tmp_path), BoxModel(), Settings()).notes
    assert notes == ("a: labels without an image: 001",)


def test_components_of_a_class_from_100_px_the_8_largest_first(tmp_path):
    [where], _ = find_sets(write_set(tmp_path / "a", [THING]))
    windows = [(y, x, y + 10, x + 10 + k) for k, (y, x) in
               enumerate((y, x) for y in (0, 20, 40) for x in (0, 40, 80, 120))]  # fmt: skip
    labels = rectangle((60, 160), *windows)
    labels[55:60, 0:5] = 2  # 25 px: too small
    found = targets_of(labels, where)
    assert [t.pixels for t in found] == [10 * (10 + k) for k in range(11, 3, -1)]
    assert [t.number for t in found] == list(range(1, 9))
    assert len(targets_of(labels, where, most=0)) == 12
    assert len(targets_of(labels, where, most=3)) == 3
    assert found[0].box == (120, 40, 141, 50)


def test_instances_are_one_value_an_object_however_many_and_small(tmp_path):
    [where], _ = find_sets(write_set(tmp_path / "a", [THING], {"0": "background", "*": "nucleus"}))
    labels = np.zeros((60, 60), np.uint16)
    for i in range(20):
        labels[3 * i : 3 * i + 2, :5] = 300 + i
    labels[0, 50] = 300  # a part that does not touch belongs to the same instance
    found = targets_of(labels, where)
    assert len(found) == 20
    assert found[0].pixels == 11
    assert found[0].class_name == "nucleus"


def test_volumes_give_the_largest_component_of_each_class(tmp_path):
    [where], _ = find_sets(write_set(tmp_path / "a", [THING], {"1": "liver", "2": "spleen"}))
    labels = np.zeros((8, 20, 20), np.int16)
    labels[1:4, 2:9, 2:9] = 1
    labels[6, 0, 0] = 1
    labels[5:7, 12:15, 12:15] = 2
    liver, spleen = volume_targets(labels, where)
    assert (liver.pixels, spleen.pixels) == (147, 18)
    assert (liver.class_name, spleen.box) == ("liver", (12, 12, 5, 15, 15, 7))


def test_colour_pictures_are_no_labels(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_labels(tmp_path / "m.png")
    (tmp_path / "t.png").write_text("no picture")
    with pytest.raises(InputError, match=r"t\.png cannot be read"):
        read_labels(tmp_path / "t.png")
