"""Phantoms: CT-like and MR-like volumes with an exact label for every voxel.

A phantom is a body described in millimetres, seen through a voxel grid: the same seed gives the
same patient at any size, spacing and orientation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_datasets import abdomen, brain
from samovar_datasets.shapes import Canvas, Solid, ellipsoid, waves
from samovar_datasets.torso import AIR, rotation

_SLAB = 12
CT_EXTENT = (380.0, 296.0, 300.0)
"""Millimetres along x, y, z that a CT phantom shows unless the spacing is given."""
CT_CENTRE = (0.0, 8.0, -10.0)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A volume with its truth.

    ``image`` is ``(z, y, x)`` int16 (HU for CT, arbitrary units for MR), ``labels`` ``(z, y, x)``
    uint8 with the values of ``classes``, ``affine`` 4×4 float64 from voxel-centre indices x, y, z
    to LPS millimetres.
    """

    image: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    classes: dict[int, str]
    modality: str
    seed: int

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres a step along x, y, z."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def boxes(self, names: Sequence[str] = (), smallest: int = 1) -> dict[str, list[int]]:
        """Index boxes ``x0, y0, z0, x1, y1, z1`` (max exclusive) of the classes that are there.

        Args:
            names: only these classes; empty means all.
            smallest: classes of fewer voxels are left out.
        """
        found: dict[str, list[int]] = {}
        for value, part in enumerate(ndimage.find_objects(self.labels), start=1):
            name = self.classes.get(value, "")
            if part is None or (names and name not in names):
                continue
            if np.count_nonzero(self.labels[part] == value) >= smallest:
                z, y, x = part
                found[name] = [x.start, y.start, z.start, x.stop, y.stop, z.stop]
        return found

    def slice_box(self, name: str, z: int) -> list[int]:
        """Index box of a class on one axial slice, one slice thick.

        Raises:
            ValueError: the class does not show there.
        """
        value = next(v for v, n in self.classes.items() if n == name)
        (found,) = ndimage.find_objects((self.labels[z] == value).astype(np.uint8)) or (None,)
        if found is None:
            raise ValueError(f"no {name} on slice {z}")
        y, x = found
        return [x.start, y.start, z, x.stop, y.stop, z + 1]

    def pieces(self, name: str, smallest: int = 1) -> dict[str, list[int]]:
        """Index boxes of the connected parts of one class, ``NAME-1``, ``NAME-2`` …"""
        value = next(v for v, n in self.classes.items() if n == name)
        parts, count = ndimage.label(self.labels == value)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        boxes = []
        for number, (z, y, x) in enumerate(ndimage.find_objects(parts), start=1):
            if sizes[number] >= smallest:
                boxes.append([x.start, y.start, z.start, x.stop, y.stop, z.stop])
        return {f"{name}-{k}": box for k, box in enumerate(boxes, start=1)}

    def volumes(self) -> dict[str, float]:
        """Millilitres a class."""
        counts = np.bincount(self.labels.ravel(), minlength=max(self.classes) + 1)
        voxel = abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000
        return {name: float(counts[v] * voxel) for v, name in self.classes.items() if counts[v]}


def ct_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (60, 130, 160),
    spacing: tuple[float, float, float] | None = None,
    direction: NDArray[np.float64] | None = None,
    noise: float = 11.0,
) -> Phantom:
    """An abdomen in Hounsfield units, from the lung bases to the bladder.

    Args:
        seed: the patient and the noise.
        shape: voxels along z, y, x.
        spacing: millimetres along x, y, z; by default the whole abdomen fits.
        direction: 3×3 direction cosines, columns for the index axes x, y, z (LPS); default axial.
        noise: standard deviation of the noise in HU.
    """
    spacing = spacing or tuple(e / n for e, n in zip(CT_EXTENT, shape[::-1], strict=True))  # type: ignore[assignment]
    affine = centred_affine(shape, spacing, CT_CENTRE, direction)  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, 1])
    bend = [waves(rng, amplitude, (110, 260)) for amplitude in (3.0, 2.5, 3.0)]
    strokes = list(abdomen.Abdomen(rng).strokes())
    image = np.empty(shape, np.int16)
    labels = np.empty(shape, np.uint8)
    for start, canvas in _slabs(shape, affine, bend, AIR):
        for stroke in strokes:
            canvas.paint(stroke.solid, stroke.value, stroke.label)
        values, truth = canvas.values, canvas.labels
        rows = _rows(start, shape[0], len(values))
        blurred = ndimage.gaussian_filter(values, (0, 0.45, 0.45))[rows]
        stop = start + len(blurred)
        labels[start:stop] = truth[rows]
        for k in range(start, stop):
            hu = blurred[k - start] + _ct_noise(
                np.random.default_rng([seed, 2, k]), blurred[k - start], noise
            )
            image[k] = np.clip(np.rint(hu), -1024, 3071)
    return Phantom(image, labels, affine, dict(abdomen.CLASSES), "ct", seed)


def mr_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (32, 272, 232),
    spacing: tuple[float, float, float] = (0.8, 0.8, 4.0),
    direction: NDArray[np.float64] | None = None,
    noise: float = 9.0,
    bias: float = 0.22,
) -> Phantom:
    """A brain, FLAIR-like with bright lesions and dark thin vessels: anisotropic and oblique.

    Args:
        seed: the patient, the coils and the noise.
        shape: voxels along z, y, x.
        spacing: millimetres along x, y, z.
        direction: 3×3 direction cosines (LPS); by default tilted by a few degrees about each axis.
        noise: standard deviation of the Rician noise.
        bias: relative strength of the smooth bias field.
    """
    if direction is None:
        direction = rotation(*np.random.default_rng([seed, 7]).uniform((6, -6, -8), (16, 6, 8)))
    affine = centred_affine(shape, spacing, brain.CENTRE, direction)
    rng = np.random.default_rng([seed, 3])
    bend = [waves(rng, 2.0, (70, 160)) for _ in range(3)]
    strokes = list(brain.Brain(rng).strokes())
    field = waves(rng, bias, (220, 420), 4)
    image = np.empty(shape, np.int16)
    labels = np.empty(shape, np.uint8)
    for start, canvas in _slabs(shape, affine, bend, 0.0):
        for stroke in strokes:
            canvas.paint(stroke.solid, stroke.value, stroke.label)
        rows = _rows(start, shape[0], len(canvas.values))
        gain = np.exp(field(canvas.x, canvas.y, canvas.z))[rows]
        values = ndimage.gaussian_filter(canvas.values, (0, 0.5, 0.5))[rows] * gain
        labels[start : start + len(values)] = canvas.labels[rows]
        for k, plane in enumerate(values, start=start):
            pair = np.random.default_rng([seed, 4, k]).normal(0, noise, (2, *plane.shape))
            image[k] = np.clip(np.rint(np.hypot(plane + pair[0], pair[1])), 0, 32767)
    return Phantom(image, labels, affine, dict(brain.CLASSES), "mr", seed)


def ball_phantom(
    radius: float = 20.0,
    shape: tuple[int, int, int] = (48, 56, 64),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    direction: NDArray[np.float64] | None = None,
) -> Phantom:
    """A bright ball of known volume in darkness: the simplest truth, for tests of geometry."""
    affine = centred_affine(shape, spacing, (0.0, 0.0, 0.0), direction)
    still = [lambda x, y, z: np.float32(0) * x] * 3
    canvas = Canvas(shape, affine, still, 0.0)
    ball: Solid = ellipsoid(centre, (radius,) * 3)
    canvas.paint(ball, 1000.0, 1)
    image = np.rint(canvas.values).astype(np.int16)
    return Phantom(image, canvas.labels, affine, {1: "ball"}, "ct", 0)


def oriented(
    phantom: Phantom, permutation: Sequence[int] = (0, 1, 2), flips: Sequence[bool] = (False,) * 3
) -> Phantom:
    """The same body stored along other axes: voxels move, world positions stay.

    Args:
        permutation: array axis ``k`` of the result is array axis ``permutation[k]`` (z, y, x) of
            the phantom.
        flips: reverse these array axes of the result, after the permutation.

    Raises:
        ValueError: ``permutation`` is not a permutation of 0, 1, 2.
    """
    if sorted(permutation) != [0, 1, 2] or len(flips) != 3:
        raise ValueError("permutation must reorder (0, 1, 2), and flips must hold three booleans")
    move = np.zeros((4, 4))
    move[3, 3] = 1
    for new, old in enumerate(permutation):
        # array axis k is index coordinate 2 - k of the affine
        size = phantom.labels.shape[old]
        move[2 - old, 2 - new] = -1 if flips[new] else 1
        move[2 - old, 3] = size - 1 if flips[new] else 0
    way = tuple(slice(None, None, -1 if f else 1) for f in flips)
    return replace(
        phantom,
        image=np.ascontiguousarray(phantom.image.transpose(permutation)[way]),
        labels=np.ascontiguousarray(phantom.labels.transpose(permutation)[way]),
        affine=phantom.affine @ move,
    )


def orientations() -> Iterator[tuple[tuple[int, int, int], tuple[bool, bool, bool]]]:
    """All 48 (permutation, flips) of :func:`oriented`."""
    from itertools import permutations, product

    for permutation in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            yield permutation, flips


def centred_affine(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    centre: tuple[float, float, float],
    direction: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """4×4 affine whose grid of ``shape`` (z, y, x) has its middle at ``centre`` (x, y, z mm)."""
    linear = (np.eye(3) if direction is None else np.asarray(direction, float)) @ np.diag(spacing)
    middle = (np.array(shape[::-1]) - 1) / 2
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.asarray(centre) - linear @ middle
    return affine


def _slabs(
    shape: tuple[int, int, int], affine: NDArray[np.float64], deform: Any, fill: float
) -> Iterator[tuple[int, Canvas]]:
    """Canvases of a few slices, with one more on each side so that gradients are central."""
    for start in range(0, shape[0], _SLAB):
        low = max(0, start - 1)
        high = min(shape[0], start + _SLAB + 1)
        offset = affine.copy()
        offset[:3, 3] += affine[:3, 2] * low
        yield start, Canvas((high - low, *shape[1:]), offset, deform, fill)


def _rows(start: int, total: int, length: int) -> slice:
    first = 0 if start == 0 else 1
    return slice(first, first + min(_SLAB, total - start))


def _ct_noise(
    rng: np.random.Generator, plane: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """Noise with the grain of a reconstruction kernel, and faint streaks beside bone."""
    grain = rng.normal(size=plane.shape).astype(np.float32)
    grain = ndimage.gaussian_filter(grain, 0.75) - 0.6 * ndimage.gaussian_filter(grain, 2.2)
    grain *= sigma / max(float(grain.std()), 1e-6)
    bone = np.clip((plane - 250) / 300, 0, 1).mean(axis=1, keepdims=True)
    thick = np.clip((plane + 300) / 400, 0, 1).mean(axis=1, keepdims=True)
    lines = ndimage.gaussian_filter(rng.normal(size=plane.shape), (0.6, 18)).astype(np.float32)
    lines *= 1 / max(float(lines.std()), 1e-6)
    strength = 26 * ndimage.gaussian_filter1d(bone, 3, axis=0) + 3.5 * thick
    result = grain + lines * strength
    return np.where(plane < -960, result * 0.55, result)
