"""Gate: int8 runs by default only where it is as good as float, in every modality.

Both precisions answer the same boxes on pictures that calibration has not seen. The mean Dice over
the sets may fall by half a point, that of a modality by one. Whether int8 is also faster is asked
on each machine anew (:mod:`samovar.choice`), since that is a property of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samovar.bundle_precisions import Gate
from samovar.errors import UsageError
from samovar.evaluation.references import References
from samovar.evaluation.run import Settings, evaluate_sets
from samovar.evaluation.sets import EvaluationSet
from samovar.models import load_model
from samovar_laptop.quantise.samples import Source

MOST_MEAN, MOST_MODALITY = 0.5, 1.0
"""Dice points (hundredths) that may be lost."""
RULE = (
    f"on held-back pictures, one box an object: mean Dice over sets at most {MOST_MEAN} points "
    f"below the float model's, and at most {MOST_MODALITY} in every modality"
)
ALL = "all"

_WORDS = {
    "microscopy": ("microscopy",),
    "fundus": ("fundus",),
    "pet": ("pet",),
    "us": ("ultrasound", "us", "echo"),
    "xr": ("x-ray", "xray", "xr", "radiograph"),
    "ct": ("ct",),
    "mr": ("mr", "mri"),
    "ms": ("multispectral", "landsat", "sentinel-2", "nir", "ms"),
    "sar": ("sar", "sentinel-1"),
    "rgb": ("rgb", "photo"),
}

Row = dict[str, float | int]
Found = Mapping[str, tuple[str, NDArray[np.float64]]]
"""By set: its modality, and the Dice of every object."""


def modality_of(where: EvaluationSet) -> str:
    """The word of ``--modality`` that a set's own wording means; ``other`` where none does."""
    words = where.modality.lower().replace(",", " ").replace("/", " ").split()
    for name, meanings in _WORDS.items():
        if any(word in meanings for word in words):
            return name
    return "other"


def measure(
    folder: Path,
    precision: str,
    sources: Sequence[Source],
    *,
    limit: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Found:
    """Dice of one precision of a bundle on the cases that were held back.

    Args:
        limit: at most this many pictures a set; 0: all.

    Raises:
        UsageError: nothing could be measured.
    """
    sets = [
        replace(s.where, validation=frozenset(c.stem for c in s.held)) for s in sources if s.held
    ]
    if not sets:
        raise UsageError(
            "no picture is left to measure int8 with: give more labelled pictures, or --no-gate"
        )

    def report(name: str, done: int, total: int) -> None:
        if progress is not None and done == total:
            progress(f"gate, {precision}: {name}")

    with load_model(folder, precision=precision, threads=threads) as model:
        settings = Settings(validation=True, limit=limit)
        results = evaluate_sets(sets, model, settings, References(), report)
    return {
        s.where.name: (modality_of(s.where), np.array([o.dice for o in s.objects]))
        for s in results.sets
        if s.objects
    }


def judge(before: Found, after: Found, own: str, precision: str) -> Gate:
    """The verdict on what :func:`measure` found in the bundle's own precision and in another."""
    means = {
        name: (modality, float(np.mean(dice)), float(np.mean(after[name][1])), len(dice))
        for name, (modality, dice) in before.items()
    }
    modalities = sorted({m for m, *_ in means.values()})
    table: dict[str, Row] = {}
    for name in (*modalities, ALL):
        rows = [row for row in means.values() if name in (ALL, row[0])]
        float_dice, int_dice = (float(np.mean([r[i] for r in rows])) for i in (1, 2))
        table[name] = {
            own: round(float_dice, 4),
            precision: round(int_dice, 4),
            "drop": round(100 * (float_dice - int_dice), 2),
            "sets": len(rows),
            "objects": sum(r[3] for r in rows),
        }
    passed = table[ALL]["drop"] <= MOST_MEAN and all(
        table[m]["drop"] <= MOST_MODALITY for m in modalities
    )
    return Gate(passed, RULE, table)


def lines(gate: Gate, own: str, precision: str) -> list[str]:
    """The table for a person."""
    out = [f"{'':12}{'sets':>5}{'objects':>9}{own:>8}{precision:>8}{'drop':>7}  points of Dice"]
    for name, row in gate.table.items():
        limit = MOST_MEAN if name == ALL else MOST_MODALITY
        mark = "" if row["drop"] <= limit else f"  more than {limit}"
        out.append(
            f"{name:12}{row['sets']:>5}{row['objects']:>9}{100 * row[own]:>8.2f}"
            f"{100 * row[precision]:>8.2f}{row['drop']:>7.2f}{mark}"
        )
    return out
