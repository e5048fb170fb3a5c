"""Roads along the edges of parcels, and what drives on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samovar_datasets.ground import Edge, Parcel
from samovar_datasets.mixing import Floats, Mixture
from samovar_datasets.randomness import noise, unit


@dataclass(frozen=True, eq=False)
class Run:
    """A straight piece of road in sight of a block; arrays cover the pixels of ``part``."""

    parcel: Parcel
    edge: Edge
    part: tuple[slice, slice]
    start: Floats
    way: Floats
    length: float
    along: Floats
    across: Floats
    beyond: Floats
    """Metres past the nearer end; negative between the ends."""
    distance: Floats


class Streets(Mixture):
    """Paints roads."""

    def _roads(self) -> None:
        """In layers, so that kerbs do not cross the carriageway where roads meet."""
        runs = [
            run
            for parcel in self.parcels
            for edge in parcel.edges
            if edge.road > 0 and parcel.key < edge.neighbour
            for run in self._run(parcel, edge)
        ]
        for layer in (self._kerb, self._carriageway, self._marking):
            for run in runs:
                layer(run)

    def _run(self, parcel: Parcel, edge: Edge) -> list[Run]:
        """One side of the partition as a road, if it is in sight."""
        depth = parcel.outline @ np.array(edge.normal) - edge.offset
        rim = parcel.outline[np.abs(depth) < 1e-6]
        if len(rim) < 2:
            return []
        a, b = rim[0], rim[1]
        length = float(np.linalg.norm(b - a))
        part = self.window(*((a + b) / 2), length / 2 + edge.verge + 2)
        if part is None or length < 1e-6:
            return []
        u, v = self.u[part], self.v[part]
        way = (b - a) / length
        along = (u - a[0]) * way[0] + (v - a[1]) * way[1]
        across = (u - a[0]) * -way[1] + (v - a[1]) * way[0]
        beyond = np.maximum(-along, along - length)
        distance = np.hypot(across, np.maximum(beyond, 0))
        return [Run(parcel, edge, part, a, way, length, along, across, beyond, distance)]

    def _kerb(self, run: Run) -> None:
        if run.edge.paving == "asphalt" and run.edge.verge > 4:
            self.mix(run.part, self.cover(run.distance - run.edge.road - 1.3), "concrete", 0.75)

    def _carriageway(self, run: Run) -> None:
        u, v = self.u[run.part], self.v[run.part]
        worn = 1 + 0.07 * noise(self.seed + 15, u, v, 11.0) + 0.05 * noise(self.seed, u, v, 1.1)
        level = run.distance - run.edge.road
        self.mix(run.part, self.cover(level), run.edge.paving, 1.05 * worn)
        if run.edge.paving == "gravel":
            self.mix(run.part, self.cover(run.distance - 0.3), "grass", 0.9 * worn)
        on_road = level < 0
        self.classes[run.part][on_road] = 3
        self.owner[run.part][on_road] = -1

    def _marking(self, run: Run) -> None:
        if run.edge.road > 2.7:
            dash = np.abs(np.mod(run.along, 6.0) - 3.0) - 1.5
            line = np.maximum(np.abs(run.across) - 0.09, np.maximum(dash, run.beyond + 5))
            self.mix(run.part, self.cover(line) * np.float32(min(1, 0.3 / self.gsd)), "paint")
        if run.edge.paving != "asphalt":
            return
        for n in range(int(run.length // 14)):
            keys = (*run.parcel.key, *run.edge.neighbour, n)
            dice = [unit(self.seed, 81 + k, *keys) for k in range(3)]
            if dice[0] < 0.2:
                side = run.edge.road * (0.55 if dice[1] < 0.5 else -0.55)
                left = np.array([-run.way[1], run.way[0]])
                self._car(
                    run.start + run.way * (n * 14 + 5 + 4 * dice[2]) + left * side, run, dice[2]
                )

    def _car(self, at: Floats, run: Run, dice: float) -> None:
        part = self.window(*at, 4.0)
        if part is None:
            return
        x, y = self.u[part] - at[0], self.v[part] - at[1]
        p, q = x * run.way[0] + y * run.way[1], y * run.way[0] - x * run.way[1]
        body = np.maximum(np.abs(p) - 2.2, np.abs(q) - 0.9)
        colour = ("paint", "car_dark", "car_red", "metal")[int(dice * 4)]
        self.mix(part, self.cover(body), colour, 0.9)
        panes = np.maximum(np.abs(np.abs(p) - 1.1) - 0.3, body + 0.2)
        self.mix(part, self.cover(panes), "glass")
