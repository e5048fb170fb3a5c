"""Training goes on as if it had never been stopped; recipes say what is wrong with them."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samovar_train.loop import average_into, learning_rate, run
from samovar_train.losses import mask_loss, overlap, prompt_loss
from samovar_train.model.choice import Choice
from samovar_train.model.tiny import Tiny
from samovar_train.recipe import Recipe, load_recipe
from samovar_train.samples import CELL
from samovar_train.step import corrective_points

TINY = Path(__file__).parents[1] / "recipes" / "tiny.toml"


def toy(toy_pack: Path, folder: Path, steps: int) -> Recipe:
    return Recipe(
        name="toy", seed=1, steps=steps, pack=toy_pack, run=folder, images=2, prompts=2, warmup=2,
        sizes=((0.0, (64,)),), checkpoint_minutes=1e9, threads=1,
    )  # fmt: skip


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)
    return {f"{part}.{k}": v for part in ("model", "ema") for k, v in state[part].items()}


def test_resumed_run_equals_uninterrupted_run(toy_pack: Path, tmp_path: Path) -> None:
    whole = weights(run(toy(toy_pack, tmp_path / "whole", 6), validate=False, workers=0))
    # stop after 3 of 6 steps: the same schedule, cut short by its data running out
    recipe = toy(toy_pack, tmp_path / "parts", 6)
    stopped = StopAfter(3)
    with pytest.raises(StopAfter), stopped:
        run(replace(recipe, checkpoint_minutes=0.0), validate=False, workers=0)
    parts = weights(run(recipe, validate=False, workers=0))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    with (tmp_path / "parts" / "train.csv").open() as lines:
        assert [row["step"] for row in csv.DictReader(lines)] == ["6"]


class StopAfter(Exception):
    """Raises itself from the training step after so many steps."""

    def __init__(self, steps: int):
        self.left = steps

    def __enter__(self) -> None:
        from samovar_train import loop

        self.loop, self.original = loop, loop.training_step

        def step(*args):
            if self.left == 0:
                raise self
            self.left -= 1
            return self.original(*args)

        loop.training_step = step

    def __exit__(self, *exc: object) -> None:
        self.loop.training_step = self.original


def test_learning_rate_warms_up_and_falls() -> None:
    recipe = Recipe(
        name="r", seed=0, steps=1000, pack=Path("p"), run=Path("r"), warmup=100, rate=1.0
    )
    rates = [learning_rate(recipe, s) for s in range(1000)]
    assert rates[0] < 0.02 and max(rates) == pytest.approx(1.0) and rates[-1] < 0.03
    assert all(a >= b for a, b in pairwise(rates[100:]))


def test_time_budget_anneals_and_ends(toy_pack: Path, tmp_path: Path) -> None:
    recipe = replace(toy(toy_pack, tmp_path, 1000), minutes=0.0)
    assert learning_rate(replace(recipe, minutes=10.0), 10, minutes=10.0) == pytest.approx(
        0.02 * recipe.rate
    )
    state = torch.load(run(recipe, validate=False, workers=0), weights_only=True)
    assert state["step"] == 0


def test_two_processes_stay_together(toy_pack: Path, tmp_path: Path) -> None:
    recipe = replace(toy(toy_pack, tmp_path, 2), processes=2)
    state = torch.load(run(recipe, validate=False, workers=0), weights_only=True)
    assert state["step"] == 2
    assert all(torch.isfinite(v).all() for v in state["model"].values())


def test_average_moves_towards_the_model() -> None:
    twin, model = Tiny(), Tiny()
    before = (twin.encoder.neck.weight - model.encoder.neck.weight).abs().mean()
    for step in range(20):
        average_into(twin, model, step, 0.9)
    assert (twin.encoder.neck.weight - model.encoder.neck.weight).abs().mean() < 0.5 * before


def test_corrective_point_lies_in_the_error() -> None:
    target = torch.zeros(2, 1, 32, 32)
    target[:, :, 8:24, 8:24] = 1
    logits = torch.where(target > 0, 5.0, -5.0)
    logits[0, :, 8:16, 8:16] = -5  # missed
    logits[1, :, 26:30, 26:30] = 5  # too much
    coords, labels = corrective_points(logits, target, torch.Generator().manual_seed(0))
    assert labels.flatten().tolist() == [1, 0]
    x, y = coords[0, 0].tolist()
    assert 8 <= x < 16 and 8 <= y < 16
    x, y = coords[1, 0].tolist()
    assert 26 <= x < 30 and 26 <= y < 30


def test_loss_prefers_the_right_mask_whatever_its_size() -> None:
    for side in (2, 40):
        target = torch.zeros(1, 1, 64, 64)
        target[:, :, :side, :side] = 1
        right = torch.where(target > 0, 8.0, -8.0)
        wrong = torch.full_like(right, -8.0)
        assert float(mask_loss(right, target)) < 0.2 < 0.5 < float(mask_loss(wrong, target))
        assert float(overlap(right, target)) == pytest.approx(1.0)


def test_single_points_teach_the_other_masks() -> None:
    target = torch.zeros(2, 1, 16, 16)
    target[:, :, 4:9, 4:9] = 1
    logits = torch.zeros(2, 4, 16, 16, requires_grad=True)
    prompt_loss(logits, torch.full((2, 4), 0.5), target, torch.tensor([True, False]))[0].backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 1:].abs().sum()) > 0 and float(logits.grad[1, 1:].abs().sum()) == 0


def test_bundled_recipe_loads() -> None:
    recipe = load_recipe(TINY)
    assert recipe.name == "tiny" and recipe.sizes_in_steps()[0][0] == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("stepz = 3\n", "stepz"),
        ("sizes = [[0.0, 100]]\n", "multiples of 32"),
        (None, "missing keys"),
    ],
)
def test_recipe_errors_name_the_key(tmp_path: Path, change: str | None, word: str) -> None:
    base = 'name = "a"\nseed = 1\nsteps = 2\npack = "p"\nrun = "r"\n'
    path = tmp_path / "r.toml"
    path.write_text('name = "a"\n' if change is None else change + base)
    with pytest.raises(ValueError, match=word):
        load_recipe(path)


def test_a_run_without_regions_leaves_the_region_decoder_alone(
    toy_pack: Path, tmp_path: Path
) -> None:
    recipe = replace(toy(toy_pack, tmp_path, 2), regions=0, weight_decay=0.0)
    state = torch.load(run(recipe, validate=False, workers=0), weights_only=True)["model"]
    torch.manual_seed(recipe.seed)
    fresh = Tiny().state_dict()
    own = [k for k in fresh if k.startswith("decoder_roi.")]
    assert own and all(torch.equal(state[k], fresh[k]) for k in own)


def test_the_recipe_for_ones_own_model_loads() -> None:
    recipe = load_recipe(TINY.parent / "retrain.toml")
    assert recipe.elastic > 0 and len(recipe.pseudo) == 4 and recipe.model == Choice()


@pytest.mark.parametrize(("regions", "prompts"), [(2, 0), (0, 1)])
def test_a_run_shows_its_course(
    toy_pack: Path, tmp_path: Path, regions: int, prompts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(toy(toy_pack, tmp_path, 2), regions=regions, prompts=prompts)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    run(recipe, validate=False, workers=0)
    assert "toy: step 2 of 2" in terminal.getvalue() and terminal.getvalue().endswith("\n")
    with Image.open(tmp_path / "sample-2.png") as sample:
        assert sample.size == (4 * CELL, 2 * CELL)
        pixels = np.asarray(sample).reshape(2, CELL, 4, CELL, 3)
    for row in pixels:
        assert set(np.unique(row[:, 2])) == {0, 255}  # the label is there
        assert row[:, 0].std() > 0 and row[:, 1].std() > 0
    assert (tmp_path / "train.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("file", sorted(TINY.parent.glob("tiny*.toml")), ids=lambda f: f.stem)
def test_stages_of_the_bundled_model_load(file: Path) -> None:
    assert load_recipe(file).name == "tiny"


def test_only_the_named_parts_learn(toy_pack: Path, tmp_path: Path) -> None:
    first = run(toy(toy_pack, tmp_path / "first", 1), validate=False, workers=0)
    still = replace(
        toy(toy_pack, tmp_path / "still", 3), init=first, parts=("decoder_roi",), regions=3
    )
    before = torch.load(first, weights_only=True)["ema"]
    after = torch.load(run(still, validate=False, workers=0), weights_only=True)["model"]
    changed = {k.split(".")[0] for k in after if not torch.equal(before[k], after[k])}
    assert changed == {"decoder_roi"}
    with pytest.raises(ValueError, match="decoder"):
        run(replace(still, parts=("decoder",)), validate=False, workers=0)
