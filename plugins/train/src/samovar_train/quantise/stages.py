"""Quantisation-aware training in the three stages of QMedSAM (Lu et al., arXiv:2410.22395).

1. the encoder, against the embeddings of its float teacher
2. encoder and mask decoder, against the teacher's masks
3. all graphs end to end, against the true masks

The prompt encoder learns in the third stage, in float. Each stage gets a share of the time, starts
from the best state so far and is judged on lessons that nobody learns from: what did not get better
is thrown away. So the outcome is never worse there than where it started.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from samovar_train.losses import mask_loss
from samovar_train.quantise.interpreter import Rounding, UnknownOperatorError
from samovar_train.quantise.lesson import Lesson, Question, as_tensors
from samovar_train.quantise.student import Student

CHECKED = 8
"""Every eighth lesson is for judging."""
RATE = 1e-5
"""Small, since nothing but rounding is to be undone."""
WARM = 0.1
"""Share of a stage in which the rate rises."""
TOGETHER = 4
"""Lessons a step."""

Loss = Callable[[Lesson, random.Random | None], Tensor]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """What is trained, by which loss, for which share of the time."""

    name: str
    roles: tuple[str, ...]
    share: float
    loss: Loss


@dataclass
class _Budget:
    """Time or steps of one stage; the clock starts when it is first asked."""

    seconds: float
    most: int | None
    steps: int = 0
    began: float | None = None

    def done(self) -> float:
        """Share that is used up; at least one step is made."""
        if self.most is not None:
            return self.steps / max(1, self.most)
        if self.began is None:
            self.began = time.monotonic()
        return (time.monotonic() - self.began) / max(self.seconds, 1e-9) if self.steps else 0.0


@dataclass(frozen=True)
class Report:
    """One stage's outcome."""

    stage: str
    roles: tuple[str, ...]
    steps: int
    before: float
    """Loss on the lessons for judging."""
    after: float

    @property
    def kept(self) -> bool:
        return self.after < self.before


def tune(
    graphs: Mapping[str, Any],
    roundings: Mapping[str, Rounding],
    embedding: str,
    lessons: Sequence[Lesson],
    *,
    minutes: float,
    steps: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    say: Say = lambda _: None,
) -> tuple[dict[str, dict[str, NDArray[np.float32]]], list[Report]]:
    """Train the constants of a bundle's graphs under rounding.

    Args:
        graphs: role → ``onnx.ModelProto`` in float.
        roundings: where the int8 graphs will round, by role.
        embedding: the encoder's name for the embedding.
        lessons: pictures with prompts and truth, at least two.
        minutes: time budget over all stages. A run that ends by time is not repeatable to the bit.
        steps: instead of a time: so many over all stages.

    Returns:
        Role → constant → trained values; and a report a stage.

    Raises:
        UnknownOperatorError: a graph has a kind of node that training does not know.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    teacher = Student(graphs, {}, embedding).eval().requires_grad_(False)
    student = Student(graphs, roundings, embedding)
    checked = [lesson for i, lesson in enumerate(lessons) if i % CHECKED == 0]
    learned = [lesson for i, lesson in enumerate(lessons) if i % CHECKED] or checked
    reports = []
    for stage in stages(student, teacher):
        budget = _Budget(60 * minutes * stage.share, steps and round(steps * stage.share))
        reports.append(_run(stage, student, learned, checked, budget, seed, say))
    return {role: student.graph(role).constants() for role in graphs}, reports


def stages(student: Student, teacher: Student) -> list[Stage]:
    """The three of them; without a prompt encoder the classic decoder takes its place."""
    decoder = "decoder" if "decoder" in student.roles else "mask_decoder"
    lessons = _Losses(student, teacher)
    return [
        Stage("encoder", ("encoder",), 0.4, lessons.embeddings),
        Stage("encoder and decoder", ("encoder", decoder), 0.35, lessons.masks),
        Stage("end to end", tuple(student.roles), 0.25, lessons.truth),
    ]


def _run(
    stage: Stage,
    student: Student,
    learned: Sequence[Lesson],
    checked: Sequence[Lesson],
    budget: _Budget,
    seed: int,
    say: Say,
) -> Report:
    student.requires_grad_(False)
    trained = [p for r in stage.roles for p in student.graph(r).requires_grad_(True).parameters()]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    before = judge(stage.loss, checked)
    start = copy.deepcopy(student.state_dict())
    rng = random.Random(f"{seed} {stage.name}")
    while (done := budget.done()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(done)
        optimiser.zero_grad(set_to_none=True)
        for lesson in rng.choices(learned, k=TOGETHER):
            (stage.loss(lesson, rng) / TOGETHER).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        budget.steps += 1
        say(f"{stage.name}: step {budget.steps}, {100 * min(done, 1):.0f} %")
    after = judge(stage.loss, checked)
    if not after < before:
        student.load_state_dict(start)
    return Report(stage.name, stage.roles, budget.steps, before, after)


def rate_at(done: float) -> float:
    """Learning rate after a share of a stage: up in a line, then down in a cosine."""
    return RATE * min((done + 0.01) / WARM, 0.02 + 0.49 * (1 + math.cos(math.pi * min(done, 1))))


@torch.no_grad()
def judge(loss: Loss, lessons: Sequence[Lesson]) -> float:
    """Mean loss over lessons."""
    return float(np.mean([float(loss(lesson, None)) for lesson in lessons]))


class _Losses:
    def __init__(self, student: Student, teacher: Student) -> None:
        self.student, self.teacher = student, teacher

    def embeddings(self, lesson: Lesson, rng: random.Random | None) -> Tensor:
        """Squared error of embedding and taps, relative to the teacher's variance."""
        picture = turned(lesson.tensor(), rng)
        with torch.no_grad():
            wanted = self.teacher.encode(picture)
        return self._distance(self.student.encode(picture), wanted)

    def masks(self, lesson: Lesson, rng: random.Random | None) -> Tensor:
        """As above, and how far the masks and their quality are from the teacher's."""
        return self._answers(lesson, rng, 0.0)

    def truth(self, lesson: Lesson, rng: random.Random | None) -> Tensor:
        """As above, and how far mask 0 is from the true mask."""
        return self._answers(lesson, rng, 0.5)

    def _answers(self, lesson: Lesson, rng: random.Random | None, truth: float) -> Tensor:
        picture = lesson.tensor()
        with torch.no_grad():
            wanted = self.teacher.encode(picture)
        made = self.student.encode(picture)
        total = self._distance(made, wanted)
        questions = lesson.questions if rng is None else [rng.choice(lesson.questions)]
        for question in questions:
            total = total + self._question(question, made, wanted, truth) / len(questions)
        return total

    def _question(
        self,
        question: Question,
        made: Mapping[str, Tensor],
        wanted: Mapping[str, Tensor],
        truth: float,
    ) -> Tensor:
        prompts = as_tensors(question.prompts)
        with torch.no_grad():
            logits, quality = self.teacher.answer(wanted, prompts)
        ours, our_quality = self.student.answer(made, prompts)
        loss = F.binary_cross_entropy_with_logits(ours, logits.sigmoid(), reduction="none")
        floor = F.binary_cross_entropy_with_logits(logits, logits.sigmoid(), reduction="none")
        # divided by what is not background, so that small objects weigh as much as large ones
        size = logits.sigmoid().sum((2, 3)).clamp(min=60.0)
        total = ((loss - floor).sum((2, 3)) / size).mean() + (our_quality - quality).square().mean()
        if truth:
            target = torch.from_numpy(question.truth)[:, None]
            total = total + truth * mask_loss(ours[:, :1], target).mean()
        return total

    def _distance(self, made: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        errors = [
            (made[k] - wanted[k]).square().mean() / wanted[k].var().clamp(min=1e-6) for k in wanted
        ]
        return torch.stack(errors).mean()


def turned(picture: Tensor, rng: random.Random | None) -> Tensor:
    """The picture flipped and turned by chance; as it is without ``rng``."""
    if rng is None:
        return picture
    picture = torch.rot90(picture, rng.randrange(4), (2, 3)) if _square(picture) else picture
    return picture.flip(3) if rng.random() < 0.5 else picture


def _square(picture: Tensor) -> bool:
    return picture.shape[2] == picture.shape[3]


__all__ = ["Report", "Stage", "UnknownOperatorError", "judge", "stages", "tune", "turned"]
