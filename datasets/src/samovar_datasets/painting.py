"""How a block of a scene is painted: ground, roads, water, shadows, roofs, crowns."""

from __future__ import annotations

from samovar_datasets.land import Land
from samovar_datasets.standing import Standing
from samovar_datasets.streets import Streets

CLASSES = {1: "building", 2: "field", 3: "road", 4: "water", 5: "tree"}
"""Values of the class raster; 0 is everything else."""


class Block(Land, Streets, Standing):
    """A rectangle of ground: everything, from the soil to the crowns of trees."""

    def paint(self) -> None:
        """Everything, in order."""
        margin = 60.0
        u0, v0 = float(self.u.min()), float(self.v.min())
        u1, v1 = float(self.u.max()), float(self.v.max())
        self.parcels = self.ground.parcels(u0, v0, u1, v1)
        around = self.ground.parcels(u0 - margin, v0 - margin, u1 + margin, v1 + margin)
        buildings = [(p, b) for p in around for b in self.houses.buildings(p.key)]
        trees = [t for p in around for t in self.houses.trees(p.key)]
        for number, parcel in enumerate(self.parcels):
            self._parcel(number, parcel)
        self._waters()
        self._lots(buildings)
        self._roads()
        self._shade(buildings, trees)
        keys = {p.key: n for n, p in enumerate(self.parcels)}
        for parcel, building in buildings:
            self._roof(keys.get(parcel.key, -1), building)
        for tree in trees:
            self._crown(tree)
