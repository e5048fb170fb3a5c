"""The parts that a stage's loss is made of. All return one number a picture, to be minimised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samovar.embedding import Fit
from samovar_train.distil.examples import SIDE, content
from samovar_train.distil.learner import EMBEDDING, Features
from samovar_train.losses import mask_loss


def in_teachers_place(
    student: Features, student_fit: Fit, teacher: Features, teacher_fit: Fit, project: nn.Module
) -> Tensor:
    """The student's embedding where the teacher's would be: `(1, C, h, w)` of the teacher.

    Cells that the picture covers are the student's, resized and projected; the others stay the
    teacher's own, since what a model makes of its padding need not be learnt.
    """
    own, wanted = student[EMBEDDING], teacher[EMBEDDING]
    rows, columns = covered(own, student_fit)
    tall, wide = covered(wanted, teacher_fit)
    moved = F.interpolate(
        project(own[:, :, :rows, :columns]), (tall, wide), mode="bilinear", align_corners=False
    )
    out = wanted.clone()
    out[:, :, :tall, :wide] = moved
    return out


def covered(embedding: Tensor, fit: Fit) -> tuple[int, int]:
    """Rows and columns of an embedding that the picture covers."""
    h, w = embedding.shape[-2:]
    return content(h, fit.content[0], fit.encode[0]), content(w, fit.content[1], fit.encode[1])


def embedding_part(placed: Tensor, teacher: Features, kind: str) -> Tensor:
    """Mean squared (or absolute) error of the embedding, over all of the teacher's cells."""
    wanted = teacher[EMBEDDING]
    return F.mse_loss(placed, wanted) if kind == "mse" else F.l1_loss(placed, wanted)


def mask_part(logits: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Soft Dice and cross entropy of `(N, 1, SIDE, SIDE)` logits, weighted a mask `(N,)`."""
    each = mask_loss(logits, wanted)[:, 0]
    return each.mean() if weight is None else (each * weight).sum() / weight.sum()


@torch.no_grad()
def hardness(student: Tensor, teacher: Tensor, truth: Tensor) -> Tensor:
    """Weight of each mask `(N,)`: sigmoid(IoU of the teacher / IoU of the student − 1).

    After TinySAM (Shu et al., arXiv:2312.13789): above a half where the teacher is better.
    """

    def iou(logits: Tensor) -> Tensor:
        found, wanted = logits[:, 0] > 0, truth[:, 0] > 0.5
        both = (found & wanted).sum((1, 2)).float()
        return (both + 1e-3) / ((found | wanted).sum((1, 2)).float() + 1e-3)

    return torch.sigmoid(iou(teacher) / (iou(student) + 1e-3) - 1)


def disagreement(
    student: Tensor, teacher: Tensor, generator: torch.Generator, extent: Tensor
) -> tuple[Tensor, Tensor]:
    """A point an object where the two masks differ: `(N, 1, 2)` pixels, `(N, 1)` labels.

    Positive where the student misses what the teacher has. Where they agree it lies in the mask.
    """
    wanted = teacher[:, 0] > 0
    wrong = ((student[:, 0] > 0) != wanted).float()
    depth = F.avg_pool2d(wrong[:, None], 3, 1, 1)[:, 0]
    weight = (wrong * depth).flatten(1)
    nowhere = weight.sum(1, keepdim=True) == 0
    weight = torch.where(nowhere, wanted.flatten(1).float() + 1e-6, weight)
    index = torch.multinomial(weight, 1, generator=generator)
    cells = torch.stack([index % SIDE, index // SIDE], dim=-1).float() + 0.5
    return cells / SIDE * extent, wanted.flatten(1).gather(1, index).float()


@contextmanager
def output_tokens(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the tokens that a SAM decoder's transformer returns while the context is open.

    The list stays empty for a decoder without a `mask_decoder.transformer`.
    """
    caught: list[Tensor] = []
    decoder = getattr(module, "mask_decoder", None)
    transformer = getattr(decoder, "transformer", None)
    if transformer is None:
        yield caught
        return
    handle = transformer.register_forward_hook(lambda _m, _a, out: caught.append(out[0]))
    try:
        yield caught
    finally:
        handle.remove()


def token_part(student: list[Tensor], teacher: list[Tensor], own: int = 5) -> Tensor | None:
    """L1 of the quality and mask tokens; None where a decoder shows none, or of another width."""
    if not student or not teacher or student[-1].shape[-1] != teacher[-1].shape[-1]:
        return None
    return F.l1_loss(student[-1][:, :own], teacher[-1][:, :own])
