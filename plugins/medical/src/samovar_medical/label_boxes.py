"""A label image as prompts: each label value is one object, asked for by its box."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from samovar.errors import PromptError
from samovar.image import Image
from samovar.prompts import Prompt, Prompts
from samovar_medical.same_voxels import same_voxels
from samovar_medical.volume import VolumeImage

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
    to_image = same_voxels(source, labels.grid, image)
    values = _whole_numbers(source, labels.read()[0])
    _require_labels(source, values)
    found = []
    for value, low, high in _boxes(values):
        corners = to_image.points(np.array([low[::-1], high[::-1]]) - np.array([[0.5], [0.5]]))
        box = np.rint(np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5)
        name = labels.label_names.get(value, f"label {value}")
        found.append(Prompt(value, name, tuple(float(v) for v in box)))
    if not found:
        raise PromptError(f"{source}: holds no label: every voxel is 0")
    return Prompts(tuple(found), "index")


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
