"""Thresholds move where they should; a course is the sum of its stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from samovar_train.evaluate import Picture, TorchModel
from samovar_train.loop import run
from samovar_train.model.tiny import Tiny
from samovar_train.recipe import Recipe
from samovar_train.release import course_of, measure, shift_region, write_curves


@pytest.fixture(scope="module")
def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


def test_shifting_serves_both_decoders_with_one_threshold(model: Tiny) -> None:
    picture = Picture(TorchModel(model), np.arange(64 * 48, dtype=np.uint8).reshape(64, 48))
    boxes = np.array([[10, 12, 30, 40]], np.float32)
    before = picture.region_logits(boxes)[0]
    shift_region(model, 0.75)
    after = Picture(TorchModel(model), np.arange(64 * 48, dtype=np.uint8).reshape(64, 48))
    moved = after.region_logits(boxes)[0]
    inside = np.isfinite(before)
    assert np.allclose(moved[inside], before[inside] + 0.75, atol=1e-4)
    assert not inside.all() and inside[0, 12:40, 10:30].all()


def test_a_course_is_the_sum_of_its_stages(toy_pack: Path, tmp_path: Path) -> None:
    recipes = [
        Recipe(
            name="toy", seed=1, steps=n, pack=toy_pack, run=tmp_path / str(n), images=1, prompts=1,
            regions=1, validate_minutes=1e9, sizes=((0.0, (64,)),), threads=1,
        )
        for n in (1, 2)
    ]  # fmt: skip
    for recipe in recipes:
        run(recipe, validate=False, workers=0)
        (recipe.run / "validation.csv").write_text("step,minutes\n")
    course = course_of([Path("a/one.toml"), Path("a/two.toml")], recipes)
    assert course["steps"] == 3 and course["recipe"] == "plugins/train/recipes/two.toml"
    assert [s["steps"] for s in course["stages"]] == [1, 2]
    write_curves(recipes, tmp_path / "curves.csv", every=1)
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0] == "step,minutes,medical,remote_sensing,training_iou"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "3"]  # logged at the last steps
    assert all(line.split(",")[4] for line in lines[1:])


@pytest.mark.shared
@pytest.mark.slow
def test_measuring_covers_both_domains_and_decoders(model: Tiny, data: Path) -> None:
    low, high = measure(model, data, [-100.0, 100.0], side=64)
    for decoder in ("mask_decoder", "decoder_roi"):
        assert set(low[decoder]) == {"medical", "remote_sensing"}
        assert all(v == 0 for v in high[decoder].values()) and min(low[decoder].values()) > 0
