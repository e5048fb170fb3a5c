"""The labelled volumes on which following is measured: none was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.errors import InputError
from samovar.evaluation.run import spread
from samovar.evaluation.sets import find_sets
from samovar.formats import open_image, read_prompts
from samovar.grid import Region
from samovar.image import Image
from samovar.masks import PixelMask

LEAST_VOXELS = 300
LEAST_SLICES = 5
"""Along every axis: smaller structures have no ends to speak of."""

ORGANS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 52: "aorta"}
"""The five of the headline figure, as the label file of the CT numbers them."""

HELD_OUT = {
    "hippocampus MR": "validation cases of a set of which others were trained on; manual labels",
    "CT, five organs": "one body CT at 3 mm, never trained on, but looked at during development",
    "CT, other structures": "everything else in the same CT",
    "body MR": "one body MR at 3 mm, 20 slices, never trained on",
}
"""Groups of studies, with what is to be known of them."""


@dataclass(frozen=True)
class Study:
    """One labelled volume, and what of it is asked for."""

    group: str
    name: str
    image: Path
    labels: Path
    modality: str
    only: frozenset[int] = frozenset()
    without: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Followed:
    """One structure of a study: its largest component."""

    number: int
    name: str
    mask: PixelMask

    @cached_property
    def _areas(self) -> tuple[NDArray[np.int64], ...]:
        inside = self.mask.inside
        return tuple(
            np.count_nonzero(inside, axis=tuple(b for b in range(3) if b != axis))
            for axis in range(3)
        )

    def positions(self, axis: int) -> list[int]:
        """Slices that hold any of it."""
        start = self.mask.region.start[axis]
        return [start + int(i) for i in np.flatnonzero(self._areas[axis])]

    def largest(self, axis: int) -> int:
        """The slice of its largest cross-section."""
        return self.mask.region.start[axis] + int(np.argmax(self._areas[axis]))

    def slice(self, axis: int, position: int) -> PixelMask:
        """Its cross-section, one slice thick, tight."""
        start, stop = list(self.mask.region.start), list(self.mask.region.stop)
        start[axis], stop[axis] = position, position + 1
        here = Region(tuple(start), tuple(stop))
        return PixelMask.of(self.mask.inside[here.within(self.mask.region)], here.start)


def studies(manifest: Path, limit: int) -> list[Study]:
    """Every study under a manifest; ``limit``: hippocampus volumes, evenly spread, 0 for all.

    Raises:
        InputError: the sample data is not there.
    """
    sets = {s.path.name: s for s in find_sets(manifest)[0]}
    body = manifest.parent / "volumes" / "totalsegmentator_ref"
    if "msd_hippocampus" not in sets or not body.is_dir():
        raise InputError(f"{manifest} lists no msd_hippocampus, or {body} is missing")
    first, ct, other, mr = HELD_OUT
    found = [
        Study(first, case.stem, case.image, case.labels, "mr")
        for case in spread(sets["msd_hippocampus"].cases(validation=True), limit)
    ]
    image, labels = body / "example_ct.nii.gz", body / "example_seg_fast_force_split.nii.gz"
    main = frozenset(ORGANS)
    found.append(Study(ct, "example_ct", image, labels, "ct", only=main))
    found.append(Study(other, "example_ct", image, labels, "ct", without=main))
    image, labels = body / "example_mr_sm.nii.gz", body / "example_seg_mr.nii.gz"
    return [*found, Study(mr, "example_mr_sm", image, labels, "mr")]


@contextmanager
def read_study(study: Study) -> Iterator[tuple[Image, list[Followed]]]:
    """The opened volume and its structures, by label.

    Raises:
        InputError: a file is missing or broken, or labels of another shape than the volume's.
    """
    with open_image(str(study.image)) as image:
        with open_image(str(study.labels)) as truth:
            labels = np.rint(truth.read()[0]).astype(np.int32)
        if labels.shape != image.grid.shape:
            raise InputError(
                f"{study.labels} has shape {labels.shape}, its image has {image.grid.shape}"
            )
        names = {p.id: p.name for p in read_prompts(str(study.labels), image)}
        yield image, list(_structures(labels, names, study))


def _structures(
    labels: NDArray[np.int32], names: dict[int, str], study: Study
) -> Iterator[Followed]:
    for value, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None or value in study.without or (study.only and value not in study.only):
            continue
        parts, count = ndimage.label(labels[window] == value)
        largest = 1 + int(np.argmax(np.bincount(parts.ravel(), minlength=count + 1)[1:]))
        mask = PixelMask.of(parts == largest, tuple(s.start for s in window))
        if mask.inside.sum() >= LEAST_VOXELS and min(mask.region.shape) >= LEAST_SLICES:
            yield Followed(value, names.get(value) or f"label {value}", mask)
