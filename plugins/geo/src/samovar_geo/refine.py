"""From the outline of pixels to the outline that is written."""

from __future__ import annotations

from typing import Any

from samovar.grid import Grid
from samovar_geo.borders import Neighbourhood
from samovar_geo.measures import Ellipsoid
from samovar_geo.regularize import regularize
from samovar_geo.simplify import refine_shape
from samovar_geo.spool import Kept, Spool

ROUGHNESS = 3.0
"""Pixels within which a wall of a regularised building may lie, unless --simplify says metres."""
LEAST_SHARED = 0.05
"""A building with so much of its outline along another's keeps it: the border is of both."""


class Refinement:
    """Shapes of the spool's objects as they are written, and what changed of their rows."""

    def __init__(
        self,
        spool: Spool,
        ellipsoid: Ellipsoid,
        grid: Grid,
        tolerance: float | None,
        regular: bool,
    ) -> None:
        self._ellipsoid = ellipsoid
        self._tolerance = tolerance or 0.0
        self._regular = regular
        self._around = Neighbourhood(spool)
        rows, columns = grid.shape
        size = ellipsoid.pixel_metres(columns / 2, rows / 2) if ellipsoid.known else grid.spacing
        self._pixel = (float(size[0]), float(size[1]))

    def __call__(self, kept: Kept, *, shared: bool) -> tuple[Any, dict[str, float]]:
        """The shape in corner coordinates, and new sizes where it is no longer that of pixels.

        Args:
            shared: straight edges will bend or be rounded on their way to the file, so that they
                need a vertex wherever a neighbour has one.
        """
        if not (self._tolerance or self._regular):
            if not shared:
                return kept.shape, {}
            return refine_shape(kept.shape, *self._around.around(kept), 0.0, self._pixel), {}
        nodes, corners = self._around.around(kept)
        squared = None
        if self._regular and self._around.shared(kept) < LEAST_SHARED:
            roughness = self._tolerance or ROUGHNESS * max(self._pixel)
            squared = regularize(kept.shape, roughness, self._pixel)
        if squared is None:
            squared = refine_shape(kept.shape, nodes, corners, self._tolerance, self._pixel)
        return squared, self._ellipsoid.measure_polygon(squared)
