"""Sections of generated patients: whole abdomens and heads, in which neighbours touch as they do.

The volumes are those of `samovar_datasets`; patients of the demo and of tests are never drawn.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from samovar_train.data.packing import Item, number_objects, to_uint8
from samovar_train.data.sections import WINDOWS, in_window

FIRST_PATIENT, PATIENTS = 10_000, 56
ABDOMENS = 40
"""So many of the patients; the others are heads."""


@lru_cache(maxsize=PATIENTS)
def patient(number: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Voxels and labels `(z, y, x)` of one patient."""
    from samovar_datasets.phantoms import ct_phantom, mr_phantom

    seed = FIRST_PATIENT + number
    if number < ABDOMENS:
        shape = [(60, 128, 160), (40, 168, 208), (30, 208, 260)][number % 3]
        phantom = ct_phantom(seed, shape, noise=4.0 + number % 5 * 4)
    else:
        phantom = mr_phantom(seed, (24, 200, 172))
    return phantom.image, phantom.labels


def phantom_section(rng: np.random.Generator) -> Item:
    """A section across any axis, axial ones most, of any patient, in a window of a radiologist."""
    number = int(rng.integers(PATIENTS))
    image, labels = patient(number)
    axis = int(rng.choice(3, p=[0.8, 0.1, 0.1]))
    place = int(rng.integers(image.shape[axis]))
    values, classes = np.take(image, place, axis), np.take(labels, place, axis)
    level, width = WINDOWS[int(rng.choice(3))]
    shown = in_window(values, level, width) if number < ABDOMENS else to_uint8(values)
    numbered, table = number_objects(classes)
    return Item("generated_phantoms", "", shown, numbered, table, "medical", "synthetic")
