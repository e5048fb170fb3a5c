"""The main job on a real CT: five organs from their 3-D boxes, by the bundled model."""

from __future__ import annotations

import numpy as np
import pytest

from samovar import api
from samovar.formats import read_prompts
from samovar.prompts import Prompts

pytestmark = pytest.mark.shared

ORGANS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 52: "aorta"}
"""Values of the silver labels, as the file's own table names them."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_five_organs_of_example_ct(geometry, shared_data, tmp_path):
    pytest.importorskip("samovar_laptop")
    folder = shared_data / "volumes" / "totalsegmentator_ref"
    silver, where = geometry.read_by_itk(folder / "example_seg_fast_force_split.nii.gz")
    with api.open(folder / "example_ct.nii.gz") as image:
        every = read_prompts(folder / "example_seg_fast_force_split.nii.gz", image)
        asked = Prompts(tuple(p for p in every if p.id in ORGANS))
        assert {p.id: p.name for p in asked} == ORGANS
        found = api.segment(image, prompts=asked, modality="ct", threads=1)
        found.save(tmp_path / "organs.nii.gz")
    labels, there = geometry.read_by_itk(tmp_path / "organs.nii.gz")
    assert np.allclose(there, where)
    scores = {name: dice(labels == v, silver == v) for v, name in ORGANS.items()}
    mean = float(np.mean(list(scores.values())))
    print("\nDice " + ", ".join(f"{n} {s:.3f}" for n, s in scores.items()) + f", mean {mean:.3f}")
    right, left = (np.argwhere(labels == v).mean(axis=0)[::-1] for v in (2, 3))
    lps_right, lps_left = (there[:3, :3] @ c + there[:3, 3] for c in (right, left))
    assert lps_right[0] < lps_left[0]  # x runs to the patient's left
    assert mean >= 0.80
