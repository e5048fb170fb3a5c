"""View plans: which views of an image are looked at, for which objects, in which order.

A volume is looked at slice by slice (how prompted objects are followed: chains.py), a raster or a
picture as a set of independent tiles on a fixed grid. Nothing after the plan knows the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from samovar.chains import slice_view
from samovar.grid import Grid
from samovar.view import View


@dataclass(frozen=True)
class Step:
    """One look at one view.

    ``objects`` are the ids to be asked for; None means that a prompt generator proposes.
    ``sweep`` is +1 or -1 along a volume's slices and 0 where order does not matter.
    """

    view: View
    objects: tuple[int, ...] | None
    sweep: int = 0
    position: int = 0
    """Index of the slice along the slicing axis; 0 for 2-D images."""
    certain: bool = True
    """It will be looked at, so it may be read and encoded ahead."""


def plan_slices(grid: Grid, axis: int) -> list[Step]:
    """Every slice of a volume once, for a prompt generator."""
    return [Step(slice_view(grid, axis, i), None, position=i) for i in range(grid.shape[axis])]
