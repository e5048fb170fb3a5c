"""Spine, ribs and hips of the CT phantom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samovar_datasets.shapes import Array, everywhere, waves
from samovar_datasets.torso import MUSCLE, Stroke, Torso


class Skeleton(Torso):
    """Bones: a cortex round spongy bone."""

    def _bones(self) -> Iterator[Stroke]:
        yield from self._ribs()
        yield from self._hips()
        yield from self._spine()

    def _spine(self) -> Iterator[Stroke]:
        height, offset = self.near(33, 0.05), self.rng.uniform(0, 33)
        trabecular = waves(self.rng, 22, (4, 9), 6)
        canal_y = 25.0

        def frame(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
            y0 = self.depth * 0.31 + 6 * np.cos((z + 60) / 75)
            part = np.mod(z + np.float32(offset), np.float32(height)) - np.float32(height / 2)
            return x, y - y0, part

        def body(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            pinch = 1.5 * np.cos(part / height * 2 * np.pi)
            dent = 4 * np.exp(-np.square(x / 13)) * (y > 0)
            round_ = (np.sqrt(np.square(x / 24) + np.square(y / 17)) - 1) * 19 + pinch + dent
            return np.maximum(round_, np.abs(part) - np.float32(height / 2 - 4))

        def disc(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            round_ = (np.sqrt(np.square(x / 24) + np.square(y / 17)) - 1) * 19
            return np.maximum(round_, np.float32(height / 2 - 3.5) - np.abs(part))

        def arch(x: Array, y: Array, z: Array) -> Array:
            x, y, part = frame(x, y, z)
            ring = np.abs(np.hypot(x / 1.15, y - canal_y) - 12.5) - 3.2
            spinous = np.maximum(np.abs(x) - 3.4, np.abs(y - canal_y - 22) - 12)
            spinous = np.maximum(spinous, np.abs(part + 4) - 11)
            across = np.maximum(np.abs(y - 19 - np.abs(x) * 0.12) - 4.0, np.abs(x) - 41)
            across = np.maximum(np.maximum(across, np.abs(part - 2) - 7), 13 - np.abs(x))
            facet = np.hypot(np.abs(x) - 19, y - 31) - 8
            ring = np.maximum(ring, np.abs(part - 1) - np.float32(height / 2 - 6))
            return np.minimum(np.minimum(ring, spinous), np.minimum(across, facet))

        def canal(x: Array, y: Array, z: Array) -> Array:
            x, y, _ = frame(x, y, z)
            return np.hypot(x / 1.1, y - canal_y) - 9.3

        yield Stroke(everywhere(disc), 85.0, 11)
        bone, posterior = everywhere(body), everywhere(arch)
        yield Stroke(posterior, 520.0, 11)
        yield Stroke(posterior.inset(2.4), 250.0, 11)
        yield Stroke(bone, 460.0, 11)
        inner = self.near(175, 0.15)
        yield Stroke(bone.inset(1.9), lambda x, y, z: inner + trabecular(x, y, z), 11)
        yield Stroke(everywhere(canal), 22.0, 0)
        yield Stroke(everywhere(lambda x, y, z: canal(x, y, z) + 4.2), 42.0, 0)

    def _ribs(self) -> Iterator[Stroke]:
        spacing = self.near(27, 0.05)

        def rib(x: Array, y: Array, z: Array) -> Array:
            around = np.arctan2(np.abs(x), y / np.float32(self.depth / self.width))
            along = around / np.pi
            level = self.cavity(x, y, z) - 5.5
            drop = z + 190 * along - 45 * np.square(along)
            height = np.mod(drop, np.float32(spacing)) - np.float32(spacing / 2)
            number = np.floor(drop / np.float32(spacing))
            across = np.sqrt(np.square(level / 3.9) + np.square(height / 6.2)) - 1
            end = np.clip((number + 1) * 0.23, 0.30, 0.86)
            limit = np.maximum((along - end) * 150, (0.10 - along) * 150)
            return np.maximum(across * 4.2, np.maximum(limit, 8 - drop))

        ribs = everywhere(rib)
        yield Stroke(ribs, 430.0, 15)
        yield Stroke(ribs.inset(1.7), self.texture(190, 25, (5, 12)), 15)

    def _hips(self) -> Iterator[Stroke]:
        for side, label in ((1, 19), (-1, 20)):

            def wing(x: Array, y: Array, z: Array, s: int = side) -> Array:
                down = np.clip((-z - 92) / 70, 0, 1)
                u = (s * x - 98 + 16 * down) * 0.80 + (y - 22) * 0.46
                v = -(s * x - 98 + 16 * down) * 0.46 + (y - 22) * 0.80
                bend = u + np.square(v) / 130
                thick = 4.2 + 4.5 * np.clip((v - 10) / 40, 0, 1) + 3 * down
                blade = np.hypot(bend / thick, (v - 8) / (44 * np.sqrt(down + 0.05))) - 1
                return np.maximum(blade * 5, z + 94)

            bone = everywhere(wing)
            gluteus = everywhere(
                lambda x, y, z, f=wing: np.maximum(f(x, y, z) - 2.5, self._muscle_shell(x, y, z))
            )
            yield Stroke(gluteus, MUSCLE)
            yield Stroke(bone, 480.0, label)
            yield Stroke(bone.inset(2.2), self.texture(170, 30, (5, 14)), label)
