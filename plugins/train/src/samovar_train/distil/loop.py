"""Runs a distillation: stage after stage, seeded, resumable, with a log and sample pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from samovar_train.course import Log, save_checkpoint
from samovar_train.data.build import build_pack
from samovar_train.distil.examples import (
    SIDE,
    Asked,
    Example,
    Examples,
    over_picture,
    random_points,
)
from samovar_train.distil.learner import EMBEDDING, Learner, build
from samovar_train.distil.parts import (
    disagreement,
    embedding_part,
    hardness,
    in_teachers_place,
    mask_part,
    output_tokens,
    token_part,
)
from samovar_train.distil.prune import disturbed, prune, shrink
from samovar_train.distil.recipe import DistilRecipe, Stage
from samovar_train.distil.teacher import Teacher

FIGURES = ("loss", "embedding", "perceptual", "tokens", "masks", "truth", "iou")


@dataclass(eq=False)
class Course:
    """Where a distillation stands."""

    student: Learner
    teacher: Teacher
    project: nn.Module
    stage: int = 0
    step: int = 0
    widths: dict[str, int] | None = None


def run_distillation(recipe: DistilRecipe, resume: bool = True) -> Path:
    """Train the student; returns the path of the last checkpoint.

    Killed and called again it goes on from the checkpoint, with the same result.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    recipe.run.mkdir(parents=True, exist_ok=True)
    pack = build_pack(recipe.pack, recipe.data, recipe.seed, recipe.scenes or {})
    teacher = build(recipe.teacher, recipe.teacher_weights)
    student = build(recipe.student, recipe.student_weights)
    course = Course(
        student,
        Teacher(teacher, recipe.cache or recipe.run / "teacher"),
        projection(student, teacher),
    )
    checkpoint = recipe.run / "last.pt"
    saved = torch.load(checkpoint, weights_only=True) if resume and checkpoint.is_file() else None
    if saved is not None:
        restore(course, saved)
    log = Log(recipe.run / "train.csv", ("stage", "step", *FIGURES, "seconds"))
    for number in range(course.stage, len(recipe.stages)):
        stage = recipe.stages[number]
        examples = Examples(pack, recipe.seed + number, stage.objects)
        if course.stage != number or saved is None:
            course.stage, course.step = number, 0
        run_stage(course, stage, examples, recipe, log, saved)
        saved = None
        course.stage, course.step = number + 1, 0
        save(course, checkpoint, None)
    return checkpoint


def run_stage(
    course: Course,
    stage: Stage,
    examples: Examples,
    recipe: DistilRecipe,
    log: Log,
    saved: dict[str, Any] | None,
) -> None:
    """One stage from the course's step on."""
    if stage.prune and course.step == 0:
        prune_student(course, stage, examples, recipe.seed)
    moving = learning(course, stage)
    optimiser = torch.optim.AdamW(moving, lr=stage.rate, weight_decay=0.01)
    if saved is not None and saved["optimiser"] is not None:
        optimiser.load_state_dict(saved["optimiser"])
    written = started = time.monotonic()
    window: list[dict[str, float]] = []
    course.student.module.train()
    for step in range(course.step, stage.steps):
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * (0.05 + 0.95 * (1 - step / stage.steps))
        optimiser.zero_grad(set_to_none=True)
        figures: dict[str, float] = {}
        for k in range(stage.images):
            shown = examples[step * stage.images + k]
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step * 64 + k)
            loss, figures, masks = stage_loss(course, stage, shown, generator)
            (loss / stage.images).backward()
        nn.utils.clip_grad_norm_(moving, 1.0)
        optimiser.step()
        course.step = step + 1
        window.append(figures)
        last = course.step == stage.steps
        if course.step % 20 == 0 or last:
            means = {
                key: f"{np.mean([f[key] for f in window if key in f]):.4f}"
                for key in FIGURES
                if any(key in f for f in window)
            }
            seconds = f"{(time.monotonic() - started) / len(window):.3f}"
            log.add(stage=course.stage, step=course.step, seconds=seconds, **means)
            window, started = [], time.monotonic()
        if masks is not None and (course.step % recipe.sample_steps == 0 or last):
            write_sample(recipe.run / f"sample-{course.stage}-{course.step}.png", shown, *masks)
        if time.monotonic() - written > 60 * recipe.checkpoint_minutes:
            save(course, recipe.run / "last.pt", optimiser)
            written = time.monotonic()


def stage_loss(
    course: Course, stage: Stage, shown: Example, generator: torch.Generator
) -> tuple[Tensor, dict[str, float], tuple[Tensor, Tensor] | None]:
    """Loss of one picture, its parts, and the last masks of teacher and student."""
    wanted, fit = course.teacher.features(shown.picture)
    batch, own_fit = course.student.prepare(shown.picture)
    with torch.set_grad_enabled(stage.learn != "decoder"):
        features = course.student.encode(batch)
    total = torch.zeros(())
    figures: dict[str, float] = {}

    def add(name: str, weight: float, value: Tensor | None) -> None:
        nonlocal total
        if value is not None:
            total = total + weight * value
            figures[name] = figures.get(name, 0.0) + float(value.detach())

    if stage.embedding or stage.perceptual:
        placed = in_teachers_place(features, own_fit, wanted, fit, course.project)
        if stage.embedding:
            add("embedding", stage.embedding, embedding_part(placed, wanted, stage.embedding_loss))
    masks = None
    if stage.decodes:
        asked = first_prompt(stage, shown, generator)
        for number in range(stage.rounds + 1):
            with output_tokens(course.teacher.learner.module) as theirs:
                their_logits, _ = course.teacher.masks(wanted, fit, asked)
            with output_tokens(course.student.module) as ours:
                logits, _ = course.student.answer(features, own_fit, asked)
            there = over_picture(their_logits[:, :1].float(), fit)
            here = over_picture(logits[:, :1].float(), own_fit)
            weight = hardness(here, there, shown.truth) if stage.hard_weights else None
            if stage.masks:
                add("masks", stage.masks, mask_part(here, torch.sigmoid(there), weight))
            if stage.truth:
                add("truth", stage.truth, mask_part(here, shown.truth, weight))
            if stage.tokens:
                add("tokens", stage.tokens, token_part(ours, theirs))
            if stage.perceptual and number == 0:
                seen, _ = course.teacher.learner.answer(wanted | {EMBEDDING: placed}, fit, asked)
                add("perceptual", stage.perceptual, nn.functional.l1_loss(seen, their_logits))
            masks = there, here.detach()
            if number < stage.rounds:
                asked = asked.with_points(*disagreement(here, there, generator, shown.extent))
        figures["iou"] = agreement(*masks) if masks else 0.0
    figures["loss"] = float(total.detach())
    return total, figures, masks


def first_prompt(stage: Stage, shown: Example, generator: torch.Generator) -> Asked:
    """A box or a point an object, as the stage says."""
    boxes = stage.start == "box"
    if stage.start == "either":
        boxes = bool(torch.rand((), generator=generator) < 0.5)
    if boxes:
        return Asked(boxes=shown.boxes)
    points = random_points(shown.truth, generator, shown.extent)
    return Asked(points=points, labels=torch.ones(len(points), 1))


def agreement(a: Tensor, b: Tensor) -> float:
    """Mean IoU of two stacks of mask logits."""
    found, wanted = a > 0, b > 0
    both = (found & wanted).sum((1, 2, 3)).float()
    return float(((both + 1e-3) / ((found | wanted).sum((1, 2, 3)) + 1e-3)).mean())


def projection(student: Learner, teacher: Learner) -> nn.Module:
    """From the student's channels to the teacher's; nothing where they are as many."""
    mine, theirs = (channels(m) for m in (student, teacher))
    return nn.Identity() if mine == theirs else nn.Conv2d(mine, theirs, 1)


@torch.no_grad()
def channels(learner: Learner) -> int:
    was = learner.module.training
    learner.module.eval()
    blank, _ = learner.prepare(np.zeros((16, 16), np.uint8))
    count = int(learner.encode(blank)[EMBEDDING].shape[1])
    learner.module.train(was)
    return count


def learning(course: Course, stage: Stage) -> list[nn.Parameter]:
    """Parameters that a stage moves; the others are frozen."""
    module = course.student.module.eval().requires_grad_(True)
    encoder = course.student.encoder_parameters() if stage.learn != "all" else set()
    for parameter in module.parameters():
        inside = id(parameter) in encoder
        parameter.requires_grad_(stage.learn == "all" or (stage.learn == "encoder") == inside)
    own = [p for p in course.student.module.parameters() if p.requires_grad]
    return own + list(course.project.parameters())


def prune_student(course: Course, stage: Stage, examples: Examples, seed: int) -> None:
    """Take hidden channels out of the student, by their importance on eight pictures."""
    module = course.student.module
    module.eval().requires_grad_(True)
    module.zero_grad(set_to_none=True)
    generator = torch.Generator().manual_seed(seed)
    for i in range(8):
        batch, _ = course.student.prepare(examples[i].picture)
        disturbed(course.student.encode(batch)[EMBEDDING], generator).backward()
    course.widths = (course.widths or {}) | prune(module, stage.prune)


def save(course: Course, file: Path, optimiser: torch.optim.Optimizer | None) -> None:
    save_checkpoint(
        file,
        {
            "model": course.student.module.state_dict(),
            "project": course.project.state_dict(),
            "optimiser": None if optimiser is None else optimiser.state_dict(),
            "stage": course.stage,
            "step": course.step,
            "widths": course.widths or {},
            "student": course.student.name,
        },
    )


def restore(course: Course, saved: dict[str, Any]) -> None:
    course.widths = dict(saved["widths"])
    shrink(course.student.module, course.widths)
    course.student.module.load_state_dict(saved["model"])
    course.project.load_state_dict(saved["project"])
    course.stage, course.step = saved["stage"], saved["step"]


def write_sample(file: Path, shown: Example, teacher: Tensor, student: Tensor) -> None:
    """A row an object: the picture, the label, the teacher's mask, the student's."""
    rgb = shown.picture if shown.picture.ndim == 3 else np.repeat(shown.picture[..., None], 3, -1)
    small = np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE)))
    rows = []
    for i in range(len(shown.truth)):
        masks = (shown.truth[i, 0] > 0.5, teacher[i, 0] > 0, student[i, 0] > 0)
        grey = [np.repeat(m.numpy().astype(np.uint8)[..., None] * 255, 3, -1) for m in masks]
        rows.append(np.concatenate([small, *grey], 1))
    part = file.with_suffix(".part.png")
    Image.fromarray(np.concatenate(rows, 0)).resize((SIDE * 8, SIDE * 2 * len(rows))).save(part)
    part.replace(file)
