"""The volume benchmark's inputs and sums; the measuring itself is not a test."""

import numpy as np
import pytest

from samovar.benchmark import volume_inputs as inputs
from samovar.benchmark.volume_v import DEPTH, OBJECTS, SLICES, WAYS, _table, seconds
from samovar.formats import open_image, read_prompts

COSTS = {
    "torch encode": [2000.0, 2200.0],
    "torch decode": [80.0, 80.0],
    "same encode": [900.0, 900.0],
    "same decode": [60.0, 60.0],
    "same, region decode": [15.0, 15.0],
    "tiny encode": [25.0, 25.0],
    "tiny decode": [10.0, 10.0],
}


def test_the_yardstick_encodes_every_object_slice_and_the_others_every_slice_once():
    baseline, shared = WAYS[0][1:], WAYS[1][1:]
    assert seconds(COSTS, *baseline, OBJECTS)[0] == pytest.approx(455 * 2.08)
    assert seconds(COSTS, *baseline, 1)[0] == pytest.approx(35 * 2.08)
    assert seconds(COSTS, *shared, OBJECTS)[0] == pytest.approx(64 * 2 + 455 * 0.08)
    assert seconds(COSTS, *shared, 1) == seconds(COSTS, *baseline, 1)
    assert (SLICES, OBJECTS * DEPTH) == (64, 455)


def test_the_table_leaves_out_what_was_not_measured_and_ends_with_whole_runs():
    whole = {"`tiny`, one object": 3.0, "`tiny`, 13 objects": 9.0}
    rows = _table({"cpu_ms": COSTS}, whole)["rows"]
    assert [r[0] for r in rows] == [*(w[0] for w in WAYS[:5]), "`tiny`, whole runs"]
    assert rows[0][4] == rows[0][6] == "1.0"
    ratios = np.array([455 * (e + 80) for e in COSTS["torch encode"]]) / (64 * 900 + 455 * 15)
    assert float(rows[3][6]) == pytest.approx(np.median(ratios), abs=0.06)
    assert float(rows[-1][6]) == pytest.approx(np.median([946.4, 1037.4]) / 9, abs=0.06)


def test_a_written_volume_is_what_two_readers_say_it_is(tmp_path):
    pytest.importorskip("samovar_medical")
    nibabel = pytest.importorskip("nibabel")
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 50
    path = inputs.write_nifti(
        lambda z: values[z], (4, 5, 6), (0.5, 0.75, 2.0), tmp_path / "v.nii.gz"
    )
    with open_image(str(path)) as image:
        assert np.array_equal(image.read()[0], values)
        assert image.grid.spacing == pytest.approx((0.5, 0.75, 2.0))
    other = nibabel.load(path)
    assert np.array_equal(np.asarray(other.dataobj).T, values)
    assert np.allclose(np.diag(other.affine), (0.5, 0.75, 2.0, 1))


def test_the_generated_objects_lie_in_their_boxes(tmp_path):
    pytest.importorskip("samovar_medical")
    path, boxes = inputs.write_many(tmp_path / "many.nii.gz", 23)
    prompts = inputs.write_prompts(boxes, tmp_path / "p.json")
    with open_image(str(path)) as image:
        asked = read_prompts(str(prompts), image)
        assert len(asked) == 23
        bright = image.read()[0] > 80
        inside = np.zeros(bright.shape, dtype=bool)
        for prompt in asked:
            x0, y0, z0, x1, y1, z1 = (int(v) for v in prompt.box)
            block = np.s_[z0:z1, y0:y1, x0:x1]
            inside[block] = True
            assert bright[block].any(axis=(1, 2)).all()
            assert bright[block].any(axis=(0, 1)).all()
        assert not (bright & ~inside).any()


def test_the_large_volume_has_objects_through_all_of_it(tmp_path):
    pytest.importorskip("samovar_medical")
    path, boxes = inputs.write_large(tmp_path / "large.nii.gz", count=6)
    assert len(boxes) == OBJECTS
    with open_image(str(path)) as image:
        bright = image.read()[0] > 85
    for x0, y0, z0, x1, y1, z1 in ([int(v) for v in box] for box in boxes):
        assert (z0, z1) == (0, 6)
        share = bright[:, y0:y1, x0:x1].mean(axis=(1, 2))
        assert (share > 0.1).all()
