"""Results: what was measured of each object, and what one set's evaluation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from samovar.evaluation.metrics import Found
from samovar.evaluation.sets import EvaluationSet
from samovar.evaluation.targets import Target
from samovar.masks import PixelMask
from samovar.prompts import Prompt


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """One true object and how well it was found."""

    stem: str
    target: Target
    measures: Mapping[str, float]
    """``dice``, ``iou``, ``boundary_iou``; of volumes ``nsd`` at 2 mm too."""
    references: Mapping[str, float] = field(default_factory=dict)
    """Dice of each reference."""
    steps: tuple[float, ...] = ()
    """Dice after the first prompt and after each corrective click."""
    prompt: Prompt | None = None
    predicted: PixelMask | None = None
    """Kept for the worst objects only."""
    quality: float | None = None
    """The IoU that the model itself expects; None where a generator proposed."""

    @property
    def dice(self) -> float:
        return self.measures["dice"]


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What came of one picture or volume."""

    objects: tuple[ObjectResult, ...]
    found: Found | None = None
    """Set where objects are instances or come from a generator."""


@dataclass(frozen=True, eq=False)
class SetResult:
    """What came of one set. Cases that failed are named in ``failures``."""

    where: EvaluationSet
    objects: tuple[ObjectResult, ...]
    found: tuple[Found, ...] = ()
    cases: int = 0
    failures: tuple[str, ...] = ()
    seconds: float = 0.0
