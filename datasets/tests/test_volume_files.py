"""Phantoms on disk, read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from samovar_datasets.__main__ import main
from samovar_datasets.phantoms import mr_phantom
from samovar_datasets.volume_files import write_phantom

nibabel = pytest.importorskip("nibabel")


def test_nifti_carries_the_geometry(tmp_path):
    head = mr_phantom(1, (5, 16, 14), (12.0, 12.0, 24.0))
    paths = write_phantom(head, tmp_path, "mr")
    image = nibabel.load(paths["image"])
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), head.image)
    lps = np.diag([-1, -1, 1, 1]) @ image.affine
    np.testing.assert_allclose(lps, head.affine, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    labels = nibabel.load(paths["labels"])
    assert np.array_equal(np.asarray(labels.dataobj).transpose(2, 1, 0), head.labels)
    assert labels.get_data_dtype() == np.uint8


def test_the_command_writes_image_labels_and_prompts(tmp_path, capsys):
    assert main(["phantom", "-o", str(tmp_path), "--seed", "3", "--shape", "8", "26", "32"]) == 0
    printed = capsys.readouterr().out.split()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "ct.nii.gz", "ct_boxes.json", "ct_classes.json", "ct_labels.nii.gz"
    ]  # fmt: skip
    assert len(printed) == 4
    prompts = json.loads((tmp_path / "ct_boxes.json").read_text())
    assert prompts["space"] == "index"
    labels = np.asarray(nibabel.load(tmp_path / "ct_labels.nii.gz").dataobj)
    classes = json.loads((tmp_path / "ct_classes.json").read_text())
    values = {name: int(value) for value, name in classes.items()}
    for thing in prompts["objects"]:
        x0, y0, z0, x1, y1, z1 = thing["box"]
        inside = labels[x0:x1, y0:y1, z0:z1] == values[thing["name"]]
        assert inside.sum() == (labels == values[thing["name"]]).sum()


def test_what_cannot_be_done_is_one_line(tmp_path, capsys):
    assert main(["scene", "-o", str(tmp_path), "--bands", "14", "--size", "64"]) == 2
    assert "1 to 13 bands" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
