"""Recipes of distillation: a student, a teacher, and stages whose losses are weighted parts.

The systems that the parts come from are stages with particular weights; ready-made ones lie in
`plugins/train/recipes/distil_*.toml`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

LEARN = ("encoder", "decoder", "all")
STARTS = ("box", "point", "either")


@dataclass(frozen=True)
class Stage:
    """One stretch of training. A part whose weight is 0 is left out.

    - `embedding`: student's embedding against the teacher's, cached: decoupled distillation
      (MobileSAM, arXiv:2306.14289) by mean squared error, or by `embedding_loss = "l1"`
    - `perceptual`: what the teacher's frozen decoder makes of the student's embedding, against
      what it makes of its own (the perceptual term of KD-SAM)
    - `tokens`: L1 between the output tokens of the two decoders (TinySAM, arXiv:2312.13789)
    - `masks`: student's masks against the teacher's, soft Dice and cross entropy
    - `truth`: student's masks against the labels (supervised; KD-SAM's second step)
    - `rounds`: further rounds, each with a point where student and teacher disagree: the prompt
      in the loop (EdgeSAM, arXiv:2312.06660), hard prompt sampling (TinySAM)
    - `hard_weights`: masks on which the student is worse than the teacher weigh more (TinySAM)
    - `prune`: share of the hidden channels of the encoder that is removed before the stage, by
      disturbed Taylor importance (SlimSAM, arXiv:2312.05284)
    - `learn`: which weights move
    - `objects`, `images`: objects a picture and pictures a step; `start`: the first prompt
    """

    steps: int
    rate: float = 1e-3
    learn: str = "all"
    images: int = 1
    objects: int = 4
    embedding: float = 0.0
    embedding_loss: str = "mse"
    perceptual: float = 0.0
    tokens: float = 0.0
    masks: float = 0.0
    truth: float = 0.0
    rounds: int = 0
    start: str = "box"
    hard_weights: bool = False
    prune: float = 0.0

    @property
    def decodes(self) -> bool:
        return any((self.perceptual, self.tokens, self.masks, self.truth))


@dataclass(frozen=True)
class DistilRecipe:
    """A distillation. Paths are relative to the recipe's `root`.

    - `student`, `teacher`: names of registered models, or `tiny`; `*_weights`: their files
    - `pack`: pictures and objects, built from `data` and `scenes` as supervised recipes do
    - `cache`: where the teacher's answers are kept (default: in the run's folder)
    """

    name: str
    seed: int
    student: str
    teacher: str
    pack: Path
    run: Path
    stages: tuple[Stage, ...]
    data: Path | None = None
    scenes: dict[str, int] | None = None
    student_weights: Path | None = None
    teacher_weights: Path | None = None
    cache: Path | None = None
    threads: int = 1
    checkpoint_minutes: float = 3.0
    sample_steps: int = 200


def load_distil_recipe(path: str | Path) -> DistilRecipe:
    """Read a recipe. Raises ValueError that names the key that is wrong, and the ones there are."""
    path = Path(path).resolve()
    raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    root = (path.parent / raw.pop("root", ".")).resolve()
    stages = raw.pop("stages", [])
    check_keys(path, "a distillation", raw, DistilRecipe, extra={"root"})
    missing = [k for k in ("name", "seed", "student", "teacher", "pack", "run") if k not in raw]
    if missing or not stages:
        raise ValueError(f"{path}: missing {missing or ['stages']}")
    for key in ("pack", "run", "data", "student_weights", "teacher_weights", "cache"):
        if raw.get(key) is not None:
            raw[key] = root / raw[key]
    return DistilRecipe(**raw, stages=tuple(load_stage(path, i, s) for i, s in enumerate(stages)))


def load_stage(path: Path, number: int, raw: dict[str, Any]) -> Stage:
    """One table of `[[stages]]`, checked."""
    check_keys(path, f"stage {number}", raw, Stage)
    stage = Stage(**raw)
    for key, choices in (("learn", LEARN), ("start", STARTS), ("embedding_loss", ("mse", "l1"))):
        if getattr(stage, key) not in choices:
            raise ValueError(f"{path}: stage {number}: {key} is one of {', '.join(choices)}")
    if not (stage.embedding or stage.decodes):
        raise ValueError(f"{path}: stage {number} learns nothing: give a part a weight")
    if not 0 <= stage.prune < 1:
        raise ValueError(f"{path}: stage {number}: prune is a share, 0 up to 1")
    return stage


def check_keys(
    path: Path,
    what: str,
    raw: dict[str, Any],
    kind: type,
    extra: set[str] = frozenset(),  # type: ignore[assignment]
) -> None:
    """Raises ValueError for keys that a record has no field for."""
    known = {f.name for f in fields(kind)} | set(extra)
    unknown = sorted(set(raw) - known)
    if unknown:
        raise ValueError(f"{path}: unknown keys {unknown}; {what} may hold {sorted(known)}")
