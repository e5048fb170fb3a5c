"""Buildings and trees of a parcel: right angles at any rotation, one record each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.ground import Ground, Parcel
from samovar_datasets.randomness import unit

Floats = NDArray[np.float64]
TREE_CELL = 6.0
MAX_REACH = 45.0
"""No building, and no shadow, reaches farther than this from where it stands, in metres."""


@dataclass(frozen=True)
class Wing:
    """A rectangle on the ground: centre, half sizes along its own axes."""

    centre: tuple[float, float]
    half: tuple[float, float]

    def corners(self, angle: float) -> Floats:
        """``(4, 2)`` u, v."""
        a, b = self.half
        local = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
        return local @ _turn(angle).T + np.array(self.centre)


@dataclass(frozen=True)
class Building:
    """A building; ``wings`` share the angle, and their union is ``outline``."""

    number: int
    """From 1, unique in its parcel."""
    wings: tuple[Wing, ...]
    outline: Floats
    angle: float
    height: float
    roof: str
    """``gable``, ``hip`` or ``flat``."""
    material: str
    tone: float

    @property
    def area(self) -> float:
        """Square metres on the ground."""
        x, y = self.outline.T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


@dataclass(frozen=True)
class Tree:
    """A crown."""

    centre: tuple[float, float]
    radius: float
    tone: float
    conifer: bool


class Houses:
    """Everything that stands on the ground of one seed."""

    def __init__(self, ground: Ground):
        self.ground = ground
        self.seed = ground.seed
        self.buildings = lru_cache(maxsize=1024)(self._buildings)
        self.trees = lru_cache(maxsize=1024)(self._trees)

    def _buildings(self, key: tuple[int, int]) -> tuple[Building, ...]:
        parcel = self.ground.parcel(*key)
        lots = {"town": (21.0, 25.0, 40), "works": (46.0, 38.0, 4), "farm": (30.0, 26.0, 3)}
        if parcel.use not in lots or len(parcel.proper) < 3:
            return ()
        wide, deep, most = lots[parcel.use]
        turn = _turn(parcel.angle)
        origin = np.array(parcel.site)
        reach = int(2 * 92 // min(wide, deep))
        found: list[Building] = []
        order = [(a, b) for b in range(-reach, reach + 1) for a in range(-reach, reach + 1)]
        order.sort(key=lambda ab: (max(abs(ab[0]), abs(ab[1])), ab))
        middles = origin + (np.array(order) + 0.5) * (wide, deep) @ turn.T
        near = parcel.inside(middles[:, 0], middles[:, 1]) > 0
        order = [ab for ab, inside in zip(order, near, strict=True) if inside]
        for a, b in order:
            if len(found) >= most:
                break
            dice = [unit(self.seed, 50 + n, *key, a, b) for n in range(11)]
            if dice[0] > 0.88:
                continue
            centre = origin + turn @ np.array([(a + 0.5) * wide, (b + 0.5) * deep])
            building = self._building(parcel, centre, dice, len(found) + 1)
            corners = np.concatenate([w.corners(building.angle) for w in building.wings])
            setback = 2.5 if parcel.use == "town" else 1.5
            if parcel.inside(corners[:, 0], corners[:, 1]).min() > setback and not any(
                _close(building, other) for other in found
            ):
                found.append(building)
        return tuple(found)

    def _building(self, parcel: Parcel, centre: Floats, dice: list[float], number: int) -> Building:
        angle = parcel.angle
        if parcel.use == "town":
            half = np.array([4.6 + 2.8 * dice[1], 3.9 + 1.9 * dice[2]])
            room = np.array([10.5, 12.5]) - half - 1.6
            if dice[3] < 0.22:
                angle += math.pi / 2
                room = np.array([12.5, 10.5]) - half - 1.6
            height, material = 4.5 + 4.5 * dice[4], _pick(dice[5], _HOUSE_ROOFS)
            roof = "flat" if material in ("membrane", "metal") else _pick(dice[6], _SHAPES)
        elif parcel.use == "works":
            half = np.array([12 + 8.5 * dice[1], 9 + 7.5 * dice[2]])
            room = np.array([22.0, 18.0]) - half
            height, roof = 6 + 6 * dice[4], "flat"
            material = _pick(dice[5], ("membrane", "metal", "slate", "concrete"))
        else:
            half = np.array([9 + 4.5 * dice[1], 5 + 3 * dice[2]])
            room = np.array([14.0, 12.0]) - half
            height, roof = 6 + 3 * dice[4], "gable"
            material = _pick(dice[5], ("tile", "brown", "metal", "slate"))
        room = np.clip(room, 0, 3.5)
        centre = centre + _turn(angle) @ ((2 * np.array(dice[7:9]) - 1) * room)
        main = Wing((float(centre[0]), float(centre[1])), (float(half[0]), float(half[1])))
        wings, outline = (main,), main.corners(angle)
        if dice[9] < 0.34:
            wings, outline = _with_wing(main, angle, dice[10])
        tone = 0.82 + 0.36 * dice[10]
        return Building(number, wings, outline, angle, height, roof, material, tone)

    def _trees(self, key: tuple[int, int]) -> tuple[Tree, ...]:
        """Crowns in a parcel that hang over no building, no road and no field."""
        parcel = self.ground.parcel(*key)
        share = {"town": 0.12, "farm": 0.09, "wood": 0.93, "meadow": 0.035, "pond": 0.07}
        density = share.get(parcel.use, 0.10 if parcel.use == "bank" else 0.0)
        if density == 0 or len(parcel.proper) < 3:
            return ()
        low = np.floor(parcel.proper.min(axis=0) / TREE_CELL).astype(int)
        high = np.ceil(parcel.proper.max(axis=0) / TREE_CELL).astype(int)
        a, b = (
            g.ravel() for g in np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        )
        dice = [unit(self.seed, 70 + n, a, b) for n in range(6)]
        u, v = (a + dice[1]) * TREE_CELL, (b + dice[2]) * TREE_CELL
        radius = 1.5 + 2.4 * dice[3] + (0.5 if parcel.use == "wood" else 0)
        keep = (dice[0] < density) & (parcel.inside(u, v) > radius * 1.15)
        if parcel.use == "bank":
            keep &= self.ground.river(u, v) > radius * 0.8
        if parcel.use == "pond":
            keep &= self.ground.pond(parcel, u, v) > radius
        for building in self.buildings(key):
            for wing in building.wings:
                keep &= wing_level(wing, building.angle, u, v) > radius * 1.15
        return tuple(
            Tree((float(x), float(y)), float(r), float(0.72 + 0.5 * t), bool(c < 0.3))
            for x, y, r, t, c in zip(
                u[keep], v[keep], radius[keep], dice[4][keep], dice[5][keep], strict=True
            )
        )


def _close(one: Building, other: Building) -> bool:
    """Whether less than about two metres lie between two buildings."""
    if math.dist(one.wings[0].centre, other.wings[0].centre) > 2 * MAX_REACH:
        return False
    for a, b in ((one, other), (other, one)):
        steps = np.linspace(0, 1, 12)[:, None, None]
        rim = (a.outline * (1 - steps) + np.roll(a.outline, -1, axis=0) * steps).reshape(-1, 2)
        if min(wing_level(w, b.angle, rim[:, 0], rim[:, 1]).min() for w in b.wings) < 2.0:
            return True
    return False


def wing_level(wing: Wing, angle: float, u: Floats, v: Floats) -> Floats:
    """Level of a rectangle: negative inside; metres."""
    p, q = wing_frame(wing, angle, u, v)
    return np.maximum(np.abs(p) - wing.half[0], np.abs(q) - wing.half[1])


def wing_frame(wing: Wing, angle: float, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Ground coordinates in the wing's own axes."""
    x, y = u - wing.centre[0], v - wing.centre[1]
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


_HOUSE_ROOFS = ("tile", "tile", "tile", "brown", "slate", "slate", "membrane", "metal")
_SHAPES = ("gable", "gable", "hip")


def _pick(dice: float, choices: tuple[str, ...]) -> str:
    return choices[min(int(dice * len(choices)), len(choices) - 1)]


def _turn(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _with_wing(main: Wing, angle: float, dice: float) -> tuple[tuple[Wing, ...], Floats]:
    """An L: a narrower wing at one end of the main one, flush with its gable."""
    a, b = main.half
    side = 1.0 if dice < 0.5 else -1.0
    width, depth = 0.42 * a, min(0.62 * b, 3.0)
    # local axes: p along the main wing, q across; the wing overlaps so that the roofs meet
    p0, p1 = (a - 2 * width, a) if side > 0 else (-a, -a + 2 * width)
    local = np.array([(p0 + p1) / 2, b / 2 + depth])
    centre = _turn(angle) @ local + np.array(main.centre)
    wing = Wing((float(centre[0]), float(centre[1])), (width, b / 2 + depth))
    top = b + 2 * depth
    if side > 0:
        shape = [(-a, -b), (a, -b), (a, top), (p0, top), (p0, b), (-a, b)]
    else:
        shape = [(-a, -b), (a, -b), (a, b), (p1, b), (p1, top), (-a, top)]
    outline = np.array(shape) @ _turn(angle).T + np.array(main.centre)
    return (main, wing), outline
