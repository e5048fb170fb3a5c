"""How a block of a scene is painted: ground, roads, water, shadows, roofs, crowns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.ground import Edge, Ground, Parcel
from samovar_datasets.houses import Building, Houses, Tree, wing_frame, wing_level
from samovar_datasets.randomness import noise, unit
from samovar_datasets.spectra import spectrum

Floats = NDArray[np.float64]
CLASSES = {1: "building", 2: "field", 3: "road", 4: "water", 5: "tree"}
"""Values of the class raster; 0 is everything else."""
INSTANCES = ("building", "field", "water")
_ROWS = {"crop": 0.75, "wheat": 1.6, "rape": 1.1, "soil": 2.4, "dark_soil": 3.0, "hay": 5.0}


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


class Block:
    """A rectangle of ground being painted.

    Args:
        ground, houses: what is there.
        u, v: ``(1, columns)`` and ``(rows, 1)`` metres of the pixel centres.
        gsd: metres a pixel.
        bands: how many.
        sun: direction that shadows fall to, and metres of shadow a metre of height.
    """

    def __init__(
        self,
        ground: Ground,
        houses: Houses,
        u: Floats,
        v: Floats,
        gsd: float,
        bands: int,
        sun: tuple[float, float],
    ):
        self.ground, self.houses, self.gsd, self.bands = ground, houses, gsd, bands
        self.seed = ground.seed
        self.u, self.v = np.broadcast_arrays(u, v)
        self.shape = self.u.shape
        self.shadow = np.array([math.cos(sun[0]), math.sin(sun[0])]) * sun[1]
        self.light = -self.shadow / np.hypot(*self.shadow)
        self.pixels = np.empty((bands, *self.shape), np.float32)
        self.classes = np.zeros(self.shape, np.uint8)
        self.owner = np.full(self.shape, -1, np.int32)
        self.local = np.zeros(self.shape, np.uint8)
        """0: the parcel itself (field or water), n: its n-th building."""

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

    # Mixing --------------------------------------------------------------------------------

    def window(self, u: float, v: float, reach: float) -> tuple[slice, slice] | None:
        """The pixels within ``reach`` metres of a place, or None."""
        c0 = math.floor((u - reach - self.u[0, 0]) / self.gsd)
        c1 = math.ceil((u + reach - self.u[0, 0]) / self.gsd) + 1
        r0 = math.floor((v - reach - self.v[0, 0]) / self.gsd)
        r1 = math.ceil((v + reach - self.v[0, 0]) / self.gsd) + 1
        c0, r0 = max(c0, 0), max(r0, 0)
        c1, r1 = min(c1, self.shape[1]), min(r1, self.shape[0])
        return (slice(r0, r1), slice(c0, c1)) if c1 > c0 and r1 > r0 else None

    def cover(self, level: NDArray[Any]) -> NDArray[np.float32]:
        """Share of a pixel that lies inside, from the level at its centre."""
        return np.clip(0.5 - level / self.gsd, 0, 1).astype(np.float32)

    def mix(self, part: Any, cover: NDArray[np.float32], material: str, tone: Any = 1.0) -> None:
        """Blend a material, times ``tone``, into a part of the picture."""
        tone = np.asarray(tone, np.float32)
        colour = spectrum(material, self.bands)
        for band in range(self.bands):
            pixels = self.pixels[band][part]
            pixels += cover * (colour[band] * tone - pixels)

    def fade(self, period: float) -> float:
        """How much of a pattern of ``period`` metres survives at this pixel size."""
        return float(np.clip((period / self.gsd - 2) / 2, 0, 1))

    # Ground --------------------------------------------------------------------------------

    def _parcel(self, number: int, parcel: Parcel) -> None:
        low, high = parcel.outline.min(axis=0), parcel.outline.max(axis=0)
        middle, reach = (low + high) / 2, float((high - low).max() / 2 + 2 * self.gsd)
        part = self.window(*middle, reach)
        if part is None:
            return
        u, v = self.u[part], self.v[part]
        whole = np.minimum.reduce(
            [e.offset - e.normal[0] * u - e.normal[1] * v for e in parcel.edges]
        )
        # the borders of the partition are drawn sharp: neighbours fill each other's pixels
        mine = whole >= 0
        mine &= self.owner[part] < 0
        self.owner[part][mine] = number
        inside = parcel.inside(u, v)
        u, v, inside = u[mine], v[mine], inside[mine]
        tone = self._texture(parcel, u, v)
        ground = spectrum(parcel.cover, self.bands)
        verge = spectrum("grass", self.bands) * 1.02
        share = np.clip(0.5 + inside / self.gsd, 0, 1)
        rough = 1 + 0.13 * noise(self.seed + 3, u, v, 2.6)
        second = self._second(parcel, u, v)
        for band in range(self.bands):
            proper = ground[band] * tone
            if second is not None:
                other, amount = second
                proper = proper + amount * (spectrum(other, self.bands)[band] * tone - proper)
            self.pixels[band][part][mine] = verge[band] * rough * (1 - share) + proper * share
        proper_part = np.zeros(mine.shape, bool)
        proper_part[mine] = inside >= 0
        if parcel.use == "field":
            self.classes[part][proper_part] = 2

    def _texture(self, parcel: Parcel, u: Floats, v: Floats) -> Any:
        seed, key = self.seed, parcel.key
        tone = 0.88 + 0.26 * unit(seed, 61, *key)
        tone = tone * (1 + 0.10 * noise(seed + 1, u, v, 34.0) + 0.06 * noise(seed + 2, u, v, 7.0))
        tone = tone * (1 + 0.10 * self.fade(1.2) * noise(seed + 4, u, v, 0.8))
        if parcel.use != "field":
            if parcel.use == "wood":
                return tone * 0.8
            return tone * (1 + 0.12 * noise(seed + 8, u, v, 2.1))
        c, s = math.cos(parcel.angle), math.sin(parcel.angle)
        across = c * v - s * u
        period = _ROWS[parcel.cover]
        wobble = 0.25 * noise(seed + 7, u, v, 18.0)
        row = np.sin(2 * np.pi * (across + wobble) / period)
        tone = tone * (1 + 0.11 * self.fade(period) * row)
        # the sprayer's tracks, and bands of a harvester's width
        width = 12.0 + 9.0 * unit(seed, 62, *key)
        place = np.mod(across + wobble, width)
        for at in (1.0, 2.8):
            tone = tone * (1 - 0.20 * np.clip(1 - np.abs(place - at) / 0.35, 0, 1))
        lanes = unit(seed, 63, np.floor((across + wobble) / width).astype(np.int64), key[0], key[1])
        return tone * (0.965 + 0.07 * lanes)

    def _second(self, parcel: Parcel, u: Floats, v: Floats) -> tuple[str, NDArray[Any]] | None:
        """A material that shows through in patches, and how much of it."""
        patches = noise(self.seed + 9, u, v, 23.0) + 0.5 * noise(self.seed + 10, u, v, 6.0)
        if parcel.use == "town":
            plots = noise(self.seed + 13, u, v, 9.0)
            return "hay", np.clip(0.28 + 0.5 * patches + 0.3 * plots, 0, 0.75)
        if parcel.use == "works":
            return "gravel", np.clip(0.3 + patches, 0, 1)
        if parcel.use in ("meadow", "bank", "pond", "farm"):
            return "hay", np.clip(0.3 + 0.6 * patches, 0, 0.8)
        if parcel.use == "field" and parcel.cover in ("crop", "wheat", "rape", "hay"):
            return "soil", np.clip(patches - 0.75, 0, 0.6)
        return None

    def _waters(self) -> None:
        level = self.ground.river(self.u, self.v)
        if level.min() < 6:
            self._water(np.s_[:, :], level, -1)
        for number, parcel in enumerate(self.parcels):
            part = self.window(*parcel.site, 50.0) if parcel.use == "pond" else None
            if part is not None:
                level = self.ground.pond(parcel, self.u[part], self.v[part])
                level = np.maximum(level, 2.0 - parcel.inside(self.u[part], self.v[part]))
                self._water(part, level, number)

    def _water(self, part: Any, level: NDArray[Any], number: int) -> None:
        u, v = self.u[part], self.v[part]
        self.mix(part, self.cover(level - 1.3) * np.float32(0.75), "hay", 0.8)
        ripple = 1 + 0.06 * noise(self.seed + 36, u, v, 3.0) + 0.08 * noise(self.seed, u, v, 45.0)
        shallow = 1 + 0.8 * np.exp(np.minimum(level, 0) / 1.4)
        self.mix(part, self.cover(level), "water", ripple * shallow)
        wet = level < 0
        self.classes[part][wet] = 4
        self.owner[part][wet] = number

    def _lots(self, buildings: list[tuple[Parcel, Building]]) -> None:
        """The paved strip around houses and the way to the next road."""
        for parcel, building in buildings:
            main = building.wings[0]
            reach = max(main.half) + 22
            part = self.window(*main.centre, reach)
            if part is None or parcel.use == "works":
                continue
            u, v = self.u[part], self.v[part]
            paved = wing_level(main, building.angle, u, v) - 0.9
            edges = [e for e in parcel.edges if e.road > 0]
            if edges:
                c = np.array(main.centre)
                edge = min(edges, key=lambda e: e.offset - np.dot(e.normal, c))
                normal = np.array(edge.normal)
                if edge.offset - normal @ c < 34:
                    away = (u - c[0]) * normal[0] + (v - c[1]) * normal[1]
                    aside = (u - c[0]) * -normal[1] + (v - c[1]) * normal[0]
                    shift = 0.5 * main.half[0]
                    drive = np.maximum(np.abs(aside - shift) - 1.5, -away)
                    paved = np.minimum(paved, np.maximum(drive, away - 40))
            paved = np.maximum(paved, -parcel.inside(u, v) - 3.0)
            tone = 0.75 + 0.2 * building.tone + 0.08 * noise(self.seed + 14, u, v, 1.5)
            material = ("concrete", "gravel", "asphalt")[building.number % 3]
            self.mix(part, self.cover(paved) * np.float32(0.9), material, tone * 0.85)

    # Roads ---------------------------------------------------------------------------------

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

    # What stands ---------------------------------------------------------------------------

    def _shade(self, buildings: list[tuple[Parcel, Building]], trees: list[Tree]) -> None:
        dark = np.zeros(self.shape, np.float32)
        for _, building in buildings:
            fall = self.shadow * building.height
            for wing in building.wings:
                corners = wing.corners(building.angle)
                hull = _hull(np.concatenate([corners, corners + fall]))
                middle = hull.mean(axis=0)
                reach = float(np.linalg.norm(hull - middle, axis=1).max()) + 1
                part = self.window(*middle, reach)
                if part is not None:
                    level = _hull_level(hull, self.u[part], self.v[part])
                    np.maximum(dark[part], self.cover(level), out=dark[part])
        for tree in trees:
            at = np.array(tree.centre) + self.shadow * tree.radius * 1.6
            part = self.window(*at, tree.radius * 1.2 + 1)
            if part is not None:
                level = np.hypot(self.u[part] - at[0], self.v[part] - at[1]) - tree.radius
                np.maximum(dark[part], self.cover(level) * np.float32(0.9), out=dark[part])
        blue = spectrum("concrete", self.bands)
        for band in range(self.bands):
            keep = 0.40 if self.bands < 3 or blue[band] > 0.255 else 0.46
            self.pixels[band] *= 1 - dark * np.float32(1 - keep)

    def _roof(self, number: int, building: Building) -> None:
        low, high = building.outline.min(axis=0), building.outline.max(axis=0)
        middle = (low + high) / 2
        part = self.window(*middle, float((high - low).max() / 2 + 2 * self.gsd))
        if part is None:
            return
        u, v = self.u[part], self.v[part]
        best = np.full(u.shape, -np.inf)
        tone = np.ones(u.shape)
        level = np.full(u.shape, np.inf)
        for wing in building.wings:
            p, q = wing_frame(wing, building.angle, u, v)
            rise, shade = self._slope(wing, building, p, q)
            inside = np.maximum(np.abs(p) - wing.half[0], np.abs(q) - wing.half[1])
            rise = np.where(inside < self.gsd, rise, -np.inf)
            tone = np.where(rise > best, shade, tone)
            best = np.maximum(best, rise)
            level = np.minimum(level, inside)
        rough = 1 + 0.05 * noise(self.seed + 16, u, v, 1.7) + 0.04 * noise(self.seed, u, v, 5.0)
        self.mix(part, self.cover(level), building.material, tone * rough * building.tone)
        if building.roof == "flat":
            self._flat_roof(part, building, level)
        covered = level < 0
        self.classes[part][covered] = 1
        self.owner[part][covered] = number
        self.local[part][covered] = building.number

    def _slope(self, wing: Any, building: Building, p: Floats, q: Floats) -> tuple[Any, Any]:
        """Height above the eaves and brightness of a roof at local coordinates."""
        if building.roof == "flat":
            return np.zeros(p.shape), np.ones(p.shape)
        a, b = wing.half
        c, s = math.cos(building.angle), math.sin(building.angle)
        light_p = c * self.light[0] + s * self.light[1]
        light_q = c * self.light[1] - s * self.light[0]
        along_p = a >= b
        if not along_p:
            p, q, a, b, light_p, light_q = q, p, b, a, light_q, light_p
        sides, ends = b - np.abs(q), a - np.abs(p)
        shade = 1 + 0.42 * np.sign(q) * light_q
        rise = sides
        if building.roof == "hip":
            end = 1 + 0.42 * np.sign(p) * light_p
            shade = np.where(ends < sides, end, shade)
            rise = np.minimum(sides, ends)
        period = 0.9
        course = np.sin(2 * np.pi * (q if building.material == "tile" else p) / period)
        shade = shade * (1 + 0.06 * self.fade(period) * course)
        ridge = np.clip(1 - np.abs(q) / 0.22, 0, 1) * (rise > 0.3)
        return rise, shade + 0.16 * ridge

    def _flat_roof(self, part: Any, building: Building, level: NDArray[Any]) -> None:
        u, v = self.u[part], self.v[part]
        parapet = np.abs(level + 0.35) - 0.25
        self.mix(part, self.cover(parapet) * np.float32(0.6), "concrete", 1.1)
        wing = building.wings[0]
        p, q = wing_frame(wing, building.angle, u, v)
        for n in range(int(building.area // 60)):
            dice = [
                unit(self.seed, 90 + k, round(wing.centre[0] * 8), round(wing.centre[1] * 8), n)
                for k in range(4)
            ]
            at = (2 * np.array(dice[:2]) - 1) * (np.array(wing.half) - 2.2)
            x, y = p - at[0], q - at[1]
            size = 0.5 + 0.9 * dice[2]
            box = np.maximum(np.abs(x) - size, np.abs(y) - size * 0.7)
            inside = np.maximum(box, level + 0.6)
            light = "glass" if dice[3] < 0.4 else "metal"
            self.mix(part, self.cover(inside - 0.35) * np.float32(0.5), "car_dark", 1.5)
            self.mix(part, self.cover(inside), light, 0.95)

    def _crown(self, tree: Tree) -> None:
        part = self.window(*tree.centre, tree.radius * 1.3 + 1)
        if part is None:
            return
        x, y = self.u[part] - tree.centre[0], self.v[part] - tree.centre[1]
        bumps = noise(self.seed + 17, self.u[part], self.v[part], 1.3)
        distance = np.hypot(x, y)
        level = distance - tree.radius * (1 + 0.14 * bumps)
        dome = np.sqrt(np.clip(1 - np.square(distance / (tree.radius * 1.2)), 0, 1))
        lit = (x * self.light[0] + y * self.light[1]) / tree.radius
        tone = tree.tone * (0.62 + 0.42 * dome + 0.34 * lit + 0.16 * bumps)
        material = "wood" if tree.conifer else "leaves"
        self.mix(part, self.cover(level), material, np.clip(tone, 0.25, 2.0) * 1.15)
        crown = (level < 0) & (self.classes[part] == 0)
        self.classes[part][crown] = 5


def _hull(points: Floats) -> Floats:
    """Convex hull, counter-clockwise (monotone chain)."""
    order = sorted(map(tuple, points))
    halves: list[list[tuple[float, float]]] = []
    for run in (order, order[::-1]):
        chain: list[tuple[float, float]] = []
        for p in run:
            while len(chain) > 1 and _turns_right(chain[-2], chain[-1], p):
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return np.array(halves[0] + halves[1])


def _turns_right(a: Any, b: Any, c: Any) -> bool:
    return bool((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0)


def _hull_level(hull: Floats, u: Floats, v: Floats) -> Floats:
    level = np.full(u.shape, -np.inf)
    for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        d = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        level = np.maximum(level, (u - a[0]) * d[1] - (v - a[1]) * d[0])
    return level
