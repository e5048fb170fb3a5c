"""A label image as prompts: each label value is one object, asked for by its box."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from samovar.errors import GeometryError, PromptError
from samovar.grid import Grid
from samovar.image import Image
from samovar.prompts import Prompt, Prompts
from samovar_medical.volume import VolumeImage

FloatArray = NDArray[np.float64]

TOLERANCE = 0.1
"""Voxels by which a corner of the label image may lie off the image's own grid."""

_DENSE = 1 << 20
_MANY, _ALIKE, _LOOK = 32, 0.4, 1 << 22


def prompts_from_labels(labels: VolumeImage, image: Image) -> Prompts:
    """Boxes of a label image's objects, in index coordinates of ``image``.

    The label's value stays the object's number; its name comes from the file's own table where it
    has one, else it is ``label N``. The label image has to lie on the image's grid; its axes may
    be stored in another order or direction, since no voxel has to be resampled for that.

    Raises:
        GeometryError: another grid.
        PromptError: no label at all, or an image where labels were expected.
    """
    source = labels.info.source
    to_image = _same_voxels(source, labels.grid, image)
    values = _whole_numbers(source, labels.read()[0])
    _require_labels(source, values)
    found = []
    for value, low, high in _boxes(values):
        corners = to_image(np.array([low[::-1], high[::-1]]) - np.array([[0.5], [0.5]]))
        box = np.rint(np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5)
        name = labels.label_names.get(value, f"label {value}")
        found.append(Prompt(value, name, tuple(float(v) for v in box)))
    if not found:
        raise PromptError(f"{source}: holds no label: every voxel is 0")
    return Prompts(tuple(found), "index")


def _same_voxels(source: str, grid: Grid, image: Image) -> Callable[[FloatArray], FloatArray]:
    """Function from label indices x, y, z to image indices, exact up to whole numbers."""
    if image.grid.frame.kind != "lps" or image.grid.ndim != 3:
        raise GeometryError(
            f"{source}: is a volume, but {image.info.source} is not: give prompts of its own kind"
        )
    size, own = np.array(grid.shape[::-1]), np.array(image.grid.shape[::-1])
    matrix = np.linalg.inv(image.grid.affine) @ grid.affine
    turn = np.rint(matrix[:3, :3])
    last = np.abs(turn) @ (size - 1)
    shift = np.where((turn @ np.ones(3)) < 0, last, 0.0)
    corners = np.array(list(itertools.product(*((0, n - 1) for n in size))), dtype=np.float64)
    apart = np.abs(corners @ (matrix[:3, :3] - turn).T + (matrix[:3, 3] - shift)).max()
    permutation = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not permutation or (last != own - 1).any() or apart > TOLERANCE:
        ours, theirs = ("×".join(str(n) for n in s) for s in (own, size))
        detail = f"{theirs} voxels, not {ours}"
        if ours == theirs:
            detail = f"it lies up to {_millimetres(grid, image.grid):.3g} mm off"
        raise GeometryError(
            f"{source}: is not on the grid of {image.info.source} ({detail}): resample the labels "
            "onto the image first, by nearest neighbour"
        )
    return lambda points: np.asarray(points @ turn.T + shift)


def _millimetres(a: Grid, b: Grid) -> float:
    corners = list(itertools.product(*((0, n - 1) for n in a.shape[::-1])))
    return float(np.linalg.norm(a.to_world(corners) - b.to_world(corners), axis=1).max())


def _whole_numbers(source: str, values: NDArray[np.generic]) -> NDArray[np.integer]:
    if values.dtype.kind == "f":
        if (values != np.rint(values)).any() or np.abs(values).max() > 2**24:
            raise PromptError(
                f"{source}: is not a label image (its values are not whole numbers): give labels, "
                "not an image"
            )
        values = values.astype(np.int32)
    return values  # type: ignore[return-value]


def _require_labels(source: str, values: NDArray[np.integer]) -> None:
    """Refuse a CT or an MR image given as prompts: negative values, or neighbours all unlike."""
    if values.min() < 0:
        raise PromptError(
            f"{source}: is not a label image (values down to {values.min()}): give labels, not an "
            "image"
        )
    half = max(1, _LOOK // int(np.prod(values.shape[1:])) // 2)
    middle = values.shape[0] // 2
    part = values[max(0, middle - half) : middle + half]
    a, b = part[..., :-1], part[..., 1:]
    both = (a > 0) & (b > 0)
    if not both.any() or len(np.unique(part)) <= _MANY:
        return
    alike = float((a[both] == b[both]).mean())
    if alike < _ALIKE and both.mean() > 0.01:
        raise PromptError(
            f"{source}: is not a label image (only {alike:.0%} of its neighbouring voxels are "
            "alike): give labels, not an image"
        )


def _boxes(
    values: NDArray[np.integer],
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Label, first index and last index + 1 (array order) of each label, by rising value."""
    from scipy import ndimage

    names = None
    if int(values.max()) > _DENSE:
        names, values = np.unique(values, return_inverse=True)
    elif values.dtype.itemsize > 4:
        values = values.astype(np.int32)
    for i, found in enumerate(ndimage.find_objects(values), start=1):
        if found is not None:
            label = i if names is None else int(names[i])
            yield label, tuple(s.start for s in found), tuple(s.stop for s in found)
