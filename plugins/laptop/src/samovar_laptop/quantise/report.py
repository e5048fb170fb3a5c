"""The report of ``samovar quantize``: what stayed in float, what it gained, what the gate says."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.bundle_precisions import Gate
    from samovar_laptop.quantise.speed import Pair

SMALL = "of the work"
"""How the reason of a node ends that stays in float because it is small."""


class Report:
    """What is printed at the end."""

    def __init__(
        self,
        target: Path,
        own: str,
        precision: str,
        pairs: list[Pair],
        verdict: Gate | None,
        left: dict[str, dict[str, str]],
        notes: list[str],
    ) -> None:
        self.target, self.own, self.precision = target, own, precision
        self.pairs, self.verdict, self.left, self.notes = pairs, verdict, left, notes

    def text(self) -> str:
        from samovar_laptop.quantise import gate as gates
        from samovar_laptop.quantise import speed

        lines = list(self.notes)
        for role, nodes in self.left.items():
            lines += summary_of(role, nodes)
        lines += speed.lines(self.pairs, self.own, self.precision, 1)
        if self.verdict is None:
            name = self.precision
            lines.append(f"gate: not asked; {name} runs only on --precision {name}")
        else:
            lines += gates.lines(self.verdict, self.own, self.precision)
            word = "passed" if self.verdict.passed else "NOT passed"
            lines.append(f"gate: {word} ({self.verdict.rule})")
        lines.append(f"{self.target}")
        return "\n".join(lines)

    def json(self) -> str:
        return json_module.dumps(
            {
                "bundle": str(self.target),
                "speed": [asdict(p) for p in self.pairs],
                "gate": None if self.verdict is None else self.verdict.document(),
                "left_in_float": self.left,
                "notes": self.notes,
            },
            indent=1,
            ensure_ascii=False,
        )


def summary_of(role: str, nodes: Mapping[str, str]) -> list[str]:
    """What stays in float in one graph: small nodes as a number, the others by name."""
    small = [name for name, why in nodes.items() if why.endswith(SMALL)]
    lines = [f"{role}: {n} stays in float: {why}" for n, why in nodes.items() if n not in small]
    if small:
        lines.append(f"{role}: {len(small)} small nodes stay in float, as {small[0]}")
    return lines


def say(line: str) -> None:
    """Progress, over itself on a terminal's standard error; silent elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")


def done() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
