"""Distillation: prompts meet the right pixels, teachers are asked once, each part does its part."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samovar.errors import UsageError
from samovar.resize import Preparation
from samovar_train.data.packing import Pack
from samovar_train.distil import loop
from samovar_train.distil.examples import SIDE, Asked, Examples, over_picture
from samovar_train.distil.learner import EMBEDDING, Learner, build
from samovar_train.distil.loop import run_distillation
from samovar_train.distil.parts import disagreement, hardness, output_tokens, token_part
from samovar_train.distil.recipe import DistilRecipe, Stage, load_distil_recipe
from samovar_train.distil.teacher import Teacher

RECIPES = Path(__file__).parents[1] / "recipes"


class Transformer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, tokens: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.mix(tokens), image


class Decoder(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(1, 5, width))
        self.transformer = Transformer(width)

    def forward(self, embedding: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        n = sparse.shape[0]
        tokens = torch.cat([self.tokens.expand(n, -1, -1), sparse], 1)
        tokens, _ = self.transformer(tokens, embedding)
        image = (embedding + dense).flatten(2)  # (N, width, hw)
        side = embedding.shape[-1]
        logits = (tokens[:, 1:5] @ image).reshape(n, 4, side, side)
        return logits, tokens[:, 0, :4].sigmoid()


class Toy(nn.Module):
    """Three steps of a promptable model, as small as they get. `width` channels at stride 4."""

    def __init__(self, width: int, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.image_encoder = nn.Sequential(
            nn.Conv2d(3, 16, 4, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, width, 1)
        )
        self.place = nn.Linear(2, width)
        self.mask_decoder = Decoder(width)

    def encode(self, pictures: Tensor) -> Tensor:
        return self.image_encoder(pictures)

    def prompts(self, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        sparse = self.place(coords / 64)
        return sparse, torch.zeros(len(coords), self.place.out_features, 1, 1)

    def decode(self, embedding: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        return self.mask_decoder(embedding, sparse, dense)


class Step(nn.Module):
    def __init__(self, model: Toy, step: str):
        super().__init__()
        self.model, self.step = model, step

    def forward(self, *arrays: Tensor) -> Tensor | tuple[Tensor, ...]:
        return getattr(self.model, self.step)(*arrays)


class ToyArchitecture:
    lora_targets: tuple[str, ...] = ()
    roles = ("encoder", "prompt_encoder", "mask_decoder")
    preparation = Preparation((64, 64), (64, 64), "continuous")
    arrays: ClassVar = {
        "encoder": (("image",), (EMBEDDING,)),
        "prompt_encoder": (("point_coords", "point_labels"), ("sparse", "dense")),
        "mask_decoder": (
            (EMBEDDING, "sparse_embeddings", "dense_embeddings"),
            ("low_res_masks", "iou_predictions"),
        ),
    }

    def __init__(self, width: int, seed: int):
        self.name, self.module = f"toy{width}", Toy(width, seed)

    def role(self, role: str) -> nn.Module:
        steps = {"encoder": "encode", "prompt_encoder": "prompts", "mask_decoder": "decode"}
        return Step(self.module, steps[role])

    def names(self, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.arrays[role]


def toy(width: int, seed: int) -> Learner:
    return Learner(ToyArchitecture(width, seed))


PREPARATION = ToyArchitecture.preparation


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"teacher": (8, 1), "student": (8, 2), "narrow": (6, 3)}
    monkeypatch.setattr(loop, "build", lambda name, weights=None: toy(*made[name]))


def recipe(toy_pack: Path, run: Path, *stages: Stage, student: str = "student") -> DistilRecipe:
    return DistilRecipe(
        "d", 1, student, "teacher", toy_pack, run, stages, checkpoint_minutes=1e9, sample_steps=5
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "train.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_prompts_reach_a_models_frame_at_the_right_place() -> None:
    preparation = Preparation((64, 64), (128, 128), "continuous")
    fit = preparation.fit((20, 40))  # content 32 x 64 of 64, frame 128: 3.2 units a pixel
    asked = Asked(
        torch.tensor([[10.0, 5.0, 20.0, 15.0]]), torch.tensor([[[15.0, 10.0]]]), torch.ones(1, 1)
    )
    coords, labels = asked.tokens(fit, preparation)
    assert coords.tolist() == [[[48.0, 32.0], [32.0, 16.0], [64.0, 48.0]]]
    assert labels.tolist() == [[1.0, 2.0, 3.0]]
    point = replace(asked, boxes=None)
    coords, labels = point.tokens(fit, replace(preparation, prompt_coordinates="scaled"))
    assert torch.allclose(coords[0, 0], torch.tensor([46.4, 30.4]))
    assert labels.tolist() == [[1.0, -1.0]]  # nothing stands for the box that is not there


def test_masks_of_two_models_are_compared_over_the_picture() -> None:
    fit = PREPARATION.fit((32, 64))  # the upper half of the square
    logits = torch.full((1, 1, 16, 16), -5.0)
    logits[:, :, 4:8] = 5.0  # the lower half of the picture
    over = over_picture(logits, fit)[0, 0]
    assert bool((over[: SIDE // 2 - 4] < 0).all()) and bool((over[SIDE // 2 + 4 :] > 0).all())


def test_a_teacher_is_asked_about_each_picture_once(tmp_path: Path) -> None:
    picture = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    teacher = Teacher(toy(8, 1), tmp_path)
    first, fit = teacher.features(picture)
    again, same = Teacher(toy(8, 1), tmp_path).features(picture)
    assert teacher.asked == 1 and fit == same
    assert torch.equal(first[EMBEDDING], again[EMBEDDING])
    other = Teacher(toy(8, 7), tmp_path)
    assert not torch.equal(other.features(picture)[0][EMBEDDING], first[EMBEDDING])
    assert other.asked == 1 and not list(tmp_path.rglob("*.part"))
    turned = Teacher(toy(8, 1), tmp_path)
    turned.features(picture.T.copy())
    assert turned.asked == 1


@pytest.mark.parametrize("student", ["student", "narrow"])
def test_the_embedding_is_learnt(toy_pack: Path, tmp_path: Path, student: str) -> None:
    stage = Stage(steps=120, rate=1e-2, learn="encoder", embedding=1.0)
    run_distillation(recipe(toy_pack, tmp_path, stage, student=student))
    losses = [float(r["embedding"]) for r in rows(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]


def test_masks_tokens_and_the_loop_are_learnt(toy_pack: Path, tmp_path: Path) -> None:
    stage = Stage(
        steps=100, rate=1e-2, masks=1.0, tokens=1.0, rounds=1, start="point", hard_weights=True
    )
    run_distillation(recipe(toy_pack, tmp_path, stage))
    course = rows(tmp_path)
    assert float(course[-1]["tokens"]) < 0.7 * float(course[0]["tokens"])
    assert float(course[-1]["masks"]) < float(course[0]["masks"])
    assert (tmp_path / "sample-0-100.png").is_file()


def test_the_decoder_alone_learns_from_labels(toy_pack: Path, tmp_path: Path) -> None:
    stage = Stage(steps=5, learn="decoder", truth=1.0, perceptual=0.1)
    last = run_distillation(recipe(toy_pack, tmp_path, stage))
    state = torch.load(last, weights_only=True)["model"]
    fresh = Toy(8, 2).state_dict()
    assert torch.equal(state["image_encoder.0.weight"], fresh["image_encoder.0.weight"])
    assert not torch.equal(state["mask_decoder.tokens"], fresh["mask_decoder.tokens"])


def test_resumed_distillation_equals_an_uninterrupted_one(
    toy_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (
        Stage(steps=4, embedding=1.0, learn="encoder"),
        Stage(steps=6, masks=1.0, rounds=1, prune=0.5),
    )
    whole = run_distillation(recipe(toy_pack, tmp_path / "whole", *stages))
    parts = replace(recipe(toy_pack, tmp_path / "parts", *stages), checkpoint_minutes=0.0)
    original, left = loop.stage_loss, [7]

    def stopping(*args):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return original(*args)

    monkeypatch.setattr(loop, "stage_loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_distillation(parts)
    monkeypatch.setattr(loop, "stage_loss", original)
    resumed = run_distillation(parts)
    a, b = (torch.load(p, weights_only=True)["model"] for p in (whole, resumed))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert a["image_encoder.0.weight"].shape[0] == 8  # half of 16


def test_points_are_drawn_where_the_two_disagree() -> None:
    teacher, student = torch.full((2, 1, SIDE, SIDE), -5.0), torch.full((2, 1, SIDE, SIDE), -5.0)
    teacher[0, :, 10:20, 10:20] = 5  # missed by the student
    student[1, :, 40:50, 10:20] = 5  # too much
    points, labels = disagreement(
        student, teacher, torch.Generator().manual_seed(0), torch.tensor([128.0, 64.0])
    )
    assert labels.flatten().tolist() == [1, 0]
    x, y = points[0, 0].tolist()
    assert 20 <= x < 40 and 10 <= y < 20
    x, y = points[1, 0].tolist()
    assert 20 <= x < 40 and 40 <= y < 50


def test_masks_that_the_teacher_knows_better_weigh_more() -> None:
    truth = torch.zeros(2, 1, 8, 8)
    truth[:, :, 2:6, 2:6] = 1
    right = torch.where(truth > 0, 5.0, -5.0)
    student = right.clone()
    student[1, :, 4:6] = -5
    weight = hardness(student, right, truth)
    assert float(weight[0]) == pytest.approx(0.5, abs=1e-2) and float(weight[1]) > 0.7


def test_tokens_are_compared_where_there_are_any() -> None:
    model = Toy(8, 0)
    with output_tokens(model) as caught:
        model.decode(torch.zeros(1, 8, 4, 4), torch.zeros(1, 2, 8), torch.zeros(1, 8, 1, 1))
    assert float(token_part(caught, caught).detach()) == 0
    with output_tokens(nn.Linear(2, 2)) as nothing:
        pass
    assert token_part(nothing, caught) is None
    assert token_part([caught[0][..., :4]], caught) is None


def test_examples_are_seeded_and_tell_where_objects_are(toy_pack: Path) -> None:
    pack = Pack(toy_pack)
    a, b = Examples(pack, 3, 2)[5], Examples(pack, 3, 2)[5]
    assert a.key == b.key and torch.equal(a.boxes, b.boxes)
    x0, y0, x1, y1 = (a.boxes[0] / a.extent.repeat(2) * SIDE).tolist()
    outside = a.truth[0, 0].clone()
    outside[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = 0
    assert float(outside.max()) == 0 and float(a.truth[0].max()) > 0


@pytest.mark.parametrize("file", sorted(RECIPES.glob("distil_*.toml")), ids=lambda f: f.stem)
def test_ready_made_recipes_load(file: Path) -> None:
    assert load_distil_recipe(file).stages


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("[[stages]]\nsteps = 3\n", "learns nothing"),
        ('[[stages]]\nsteps = 3\nmasks = 1.0\nlearn = "heads"\n', "learn is one of"),
        ("[[stages]]\nsteps = 3\nmaskz = 1.0\n", "maskz"),
        ("[[stages]]\nsteps = 3\nmasks = 1.0\nprune = 1.0\n", "prune"),
        ("", "stages"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(tmp_path: Path, change: str, word: str) -> None:
    text = 'name="a"\nseed=1\nstudent="tiny"\nteacher="tiny"\npack="p"\nrun="r"\n' + change
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=word):
        load_distil_recipe(tmp_path / "r.toml")


def test_a_model_nobody_offers_is_refused() -> None:
    with pytest.raises(UsageError, match="no-such"):
        build("no-such-model")
