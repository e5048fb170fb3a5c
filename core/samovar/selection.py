"""Selection: which of a decoder's several answers becomes the mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.prompts import Prompt

Rule = str | int
RULES = ("first", "best-quality", "best-reading", "stability", "single")
SITUATIONS = ("box", "point", "points", "mask")


@dataclass(frozen=True)
class Selection:
    """The rule for each situation of a prompt.

    Rules: ``first`` (also ``single``), the first token's mask; ``best-quality``, the highest
    predicted IoU; ``best-reading``, the same among all but the first; ``stability``, the highest
    IoU of the mask at the threshold ± 1 logit; or a number, that token's mask.

    Situations: ``point`` is one lone positive point, the ambiguous prompt; ``mask`` has a previous
    mask, ``points`` several points and no box; ``box`` is everything else.
    """

    box: Rule = "first"
    point: Rule | None = None
    points: Rule | None = None
    mask: Rule | None = None

    @classmethod
    def parse(cls, value: Any) -> Selection:
        """From ``bundle.json``: a rule, or rules by situation. Raises ValueError."""
        if not isinstance(value, Mapping):
            return cls(_rule(value))
        unknown = sorted(set(value) - set(SITUATIONS))
        if unknown or "box" not in value:
            raise ValueError(
                '"mask_selection" must be a rule, or an object with "box" and optionally '
                f"{', '.join(SITUATIONS[1:])}"
            )
        return cls(**{situation: _rule(rule) for situation, rule in value.items()})

    def document(self) -> Any:
        """What ``bundle.json`` holds."""
        rules = {s: getattr(self, s) for s in SITUATIONS if getattr(self, s) is not None}
        return rules if len(rules) > 1 else self.box

    def rule(self, prompt: Prompt) -> Rule:
        """The rule that holds for a prompt."""
        if prompt.mask is not None:
            special = self.mask
        elif prompt.box is not None or not prompt.points:
            special = None
        elif prompt.labels == (1,):
            special = self.point
        else:
            special = self.points
        return self.box if special is None else special


def choose(rule: Rule, quality: NDArray[np.float32], stability: NDArray[np.float32]) -> int:
    """Position of the answer.

    Args:
        rule: see :class:`Selection`.
        quality: ``(M,)`` predicted IoU.
        stability: ``(M,)`` IoU at the threshold ± 1 logit.
    """
    if isinstance(rule, int):
        return min(rule, len(quality) - 1)
    if rule in ("first", "single") or len(quality) == 1:
        return 0
    if rule == "best-quality":
        return int(np.argmax(quality))
    if rule == "best-reading":
        return 1 + int(np.argmax(quality[1:]))
    return int(np.argmax(stability))


def _rule(value: Any) -> Rule:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if value not in RULES:
        raise ValueError(
            f'"mask_selection" is {value!r}, not one of {", ".join(RULES)} or a number'
        )
    return str(value)
