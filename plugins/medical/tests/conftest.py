"""Small volumes with known geometry, and readers that share no code with the plugin."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from samovar import privacy
from samovar.grid import Grid
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

SPACING = np.array([0.7, 1.3, 2.9])
SHAPE = (6, 7, 9)
"""z, y, x of the reference volume."""

ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def rotation(seed: int) -> np.ndarray:
    """A proper rotation far from every axis."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def reference_affine(oblique: bool = True) -> np.ndarray:
    """Index x, y, z → LPS mm of the reference volume."""
    affine = np.eye(4)
    affine[:3, :3] = (rotation(3) if oblique else np.eye(3)) * SPACING
    affine[:3, 3] = (-41.5, 17.25, 803.125)
    return affine


def reoriented(array: np.ndarray, affine: np.ndarray, order, flips):
    """The same voxels in the same place, stored with other axes: array (z, y, x), affine x, y, z.

    New index axis i is old axis ``order[i]`` (of x, y, z), reversed where ``flips[i]``.
    """
    stored = array.transpose(2, 1, 0)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        matrix[old, new] = -1 if flip else 1
        matrix[old, 3] = stored.shape[old] - 1 if flip else 0
    stored = stored.transpose(order)[tuple(slice(None, None, -1 if f else None) for f in flips)]
    return np.ascontiguousarray(stored.transpose(2, 1, 0)), affine @ matrix


def write_nifti(path, array, affine, **fields) -> str:
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), None)
    ras = np.diag([-1, -1, 1, 1]) @ affine
    image.header.set_sform(ras, 1)
    image.header.set_qform(ras, 1)
    image.header.set_xyzt_units("mm", "sec")
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return str(path)


def write_itk(path, array, affine) -> str:
    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path), True)
    return str(path)


def write_volume(path, array, affine) -> str:
    return (write_nifti if ".nii" in Path(path).name else write_itk)(path, array, affine)


def read_by_itk(path):
    """Array (z, y, x) and affine in LPS, as ITK has them."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


def read_by_nibabel(path):
    image = nibabel.load(path)
    return np.asarray(image.dataobj).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ image.affine


def read_nrrd_by_hand(path):
    head, _, data = Path(path).read_bytes().partition(b"\n\n")
    fields = dict(re.findall(r"^([a-z ]+): (.+)$", head.decode(), re.MULTILINE))
    kind = {"unsigned char": "<u1", "unsigned short": "<u2", "unsigned int": "<u4"}[fields["type"]]
    sizes = [int(v) for v in fields["sizes"].split()]
    affine = np.eye(4)
    vectors = re.findall(r"\(([^)]*)\)", fields["space directions"] + fields["space origin"])
    for i, vector in enumerate(vectors):
        affine[:3, i] = [float(v) for v in vector.split(",")]
    flip = {"left-posterior-superior": 1, "right-anterior-superior": -1}[fields["space"]]
    values = np.frombuffer(gzip.decompress(data), kind).reshape(sizes[::-1])
    return values, np.diag([flip, flip, 1, 1]) @ affine


def read_mha_by_hand(path):
    raw = Path(path).read_bytes()
    head, mark, data = raw.partition(b"ElementDataFile = LOCAL\n")
    assert mark
    fields = dict(re.findall(r"^(\w+) = (.+)$", head.decode(), re.MULTILINE))
    kind = {"MET_UCHAR": "<u1", "MET_USHORT": "<u2", "MET_UINT": "<u4"}[fields["ElementType"]]
    sizes = [int(v) for v in fields["DimSize"].split()]
    affine = np.eye(4)
    rows = np.array([float(v) for v in fields["TransformMatrix"].split()]).reshape(3, 3)
    affine[:3, :3] = rows.T * [float(v) for v in fields["ElementSpacing"].split()]
    affine[:3, 3] = [float(v) for v in fields["Offset"].split()]
    return np.frombuffer(zlib.decompress(data), kind).reshape(sizes[::-1]), affine


OTHER_READERS = {
    ".nii": read_by_itk,
    ".nii.gz": read_by_itk,
    ".nrrd": read_nrrd_by_hand,
    ".mha": read_mha_by_hand,
}
"""By suffix: a reader that is not the library which wrote the file."""


def scene(shape: tuple[int, ...], dtype=np.uint8) -> np.ndarray:
    """Labels (z, y, x): a lopsided block (1), one voxel (2), one voxel in the corner (3)."""
    labels = np.zeros(shape, dtype=dtype)
    labels[1:4, 2:6, 3:5] = 1
    labels[1, 2, 4:8] = 1
    labels[4, 1, 7] = 2
    labels[-1, -1, -1] = 3
    return labels


def centroid(labels: np.ndarray, affine: np.ndarray, value: int = 1) -> np.ndarray:
    """Of the voxels of one label (z, y, x), by an affine of x, y, z, in its millimetres."""
    return affine[:3, :3] @ np.argwhere(labels == value).mean(axis=0)[::-1] + affine[:3, 3]


def centroids(labels: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """Of the three labels of the scene."""
    return {value: centroid(labels, affine, value) for value in (1, 2, 3)}


def objects_of(grid: Grid, labels: np.ndarray, names=None) -> Objects:
    """Objects out of a label array (z, y, x)."""
    items = tuple(
        SegmentedObject.from_mask(
            int(v), PixelMask.of(labels == v), name=(names or {}).get(int(v), f"thing {v}"),
            score=0.5,
        )
        for v in np.unique(labels[labels > 0])
    )  # fmt: skip
    return Objects(grid, items, {"samovar": "0.1.0", "model": {"name": "oracle"}})


@pytest.fixture(autouse=True)
def _nobody_known() -> Iterator[None]:
    """Patients of one test are not hidden in the next."""
    privacy.forget()
    yield
    privacy.forget()


@pytest.fixture(scope="session")
def geometry():
    """The helpers of this file, by attribute."""

    class Geometry:
        pass

    for name, value in globals().items():
        if not name.startswith("_"):
            setattr(Geometry, name, staticmethod(value) if callable(value) else value)
    return Geometry


@pytest.fixture
def volume(tmp_path):
    """Writes an int16 CT-like volume; returns its path as text."""

    def make(suffix=".nii.gz", array=None, oblique=True, name="ct"):
        if array is None:
            array = np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)
        return write_volume(tmp_path / f"{name}{suffix}", array, reference_affine(oblique))

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared sample data; skips where they are absent."""
    default = Path(__file__).resolve().parents[3].parent / "shared"
    folder = Path(os.environ.get("SAMOVAR_SHARED", default)) / "data"
    if not (folder / "volumes").is_dir():
        pytest.skip(f"no shared sample data at {folder}: set SAMOVAR_SHARED")
    return folder
