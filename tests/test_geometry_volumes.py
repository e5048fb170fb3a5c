"""Where things are, in volumes, through the whole pipeline.

CT and MR phantoms are stored along all 48 axis orders and directions; a model that knows the truth
of every slice by its picture finds the objects at boxes and points given in millimetres; what is
written is read by another library than the one that wrote it.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from itertools import product

import numpy as np
import pytest

from oracle import OracleModel
from samovar import api
from samovar.formats import read_prompts
from samovar.grid import LPS_FROM_RAS, Region
from samovar.intensity import choose_intensity

pytest.importorskip("samovar_medical")
nibabel = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")
phantoms = pytest.importorskip("samovar_datasets.phantoms")

ORIENTATIONS = list(phantoms.orientations())
SUFFIXES = (".nii.gz", ".nrrd", ".mha")
CASES = list(product(("ct", "mr"), range(len(ORIENTATIONS))))
SPECKS = {201: (0, 0, 0), 202: (-1, -1, -1), 203: (4, 9, 11)}
"""One-voxel objects: label → array index in the phantom's own orientation."""


@cache
def phantom(kind: str):
    """A small body, axis-aligned (CT) or oblique and anisotropic (MR), with the specks in it."""
    if kind == "ct":
        body = phantoms.ct_phantom(seed=4, shape=(14, 40, 48))
    else:
        body = phantoms.mr_phantom(seed=4, shape=(9, 46, 40), spacing=(4.4, 4.1, 16.0))
    body.labels[(body.labels > 0) & (np.bincount(body.labels.ravel(), minlength=256) < 6)[
        body.labels]] = 0  # fmt: skip
    for value, place in SPECKS.items():
        body.labels[place] = value
    return body


class Truth(OracleModel):
    """Knows a slice by its picture and an object by its name (boxes) or by its voxel (points)."""

    def __init__(self, image, body) -> None:
        super().__init__()
        axis, intensity = image.grid.slice_axis(), choose_intensity(image, body.modality)
        pictures, truth = (np.moveaxis(a, axis, 0) for a in (body.image, body.labels))
        self._truth = {
            intensity.apply(p[None]).tobytes(): t for p, t in zip(pictures, truth, strict=True)
        }
        assert len(self._truth) == body.labels.shape[axis]

    def encode(self, pictures):
        labelled = [np.repeat(self._truth[p.tobytes()][None], 3, axis=0) for p in pictures]
        return super().encode([p.astype(np.float32) for p in labelled])

    def _mask(self, picture, prompt):
        if prompt.points:
            return super()._mask(picture, prompt)
        mask = picture == int(prompt.name.split()[0])
        if prompt.mask is None and mask.any():  # the first look: inside the box as it was given
            x0, y0, x1, y1 = (round(v) for v in prompt.box)
            inside = np.zeros_like(mask)
            inside[max(0, y0) : y1, max(0, x0) : x1] = True
            mask &= inside
        return mask


def write(path, body) -> None:
    """By nibabel (NIfTI) or ITK (the others)."""
    if path.name.endswith(".nii.gz"):
        image = nibabel.Nifti1Image(body.image.T, LPS_FROM_RAS @ body.affine)
        image.set_qform(LPS_FROM_RAS @ body.affine, 1)
        image.to_filename(path)
        return
    image = sitk.GetImageFromArray(body.image)
    spacing = np.array(body.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((body.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(body.affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path))


def read_back(path):
    """Labels (z, y, x) and LPS affine by another library: ITK, or for MetaImage by hand."""
    affine = np.eye(4)
    if path.suffix == ".mha":
        head, _, data = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
        fields = dict(re.findall(r"^(\w+) = (.+)$", head.decode(), re.MULTILINE))
        size = [int(v) for v in fields["DimSize"].split()]
        columns = np.array([float(v) for v in fields["TransformMatrix"].split()]).reshape(3, 3)
        affine[:3, :3] = columns.T * [float(v) for v in fields["ElementSpacing"].split()]
        affine[:3, 3] = [float(v) for v in fields["Offset"].split()]
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[::-1]), affine
    image = sitk.ReadImage(str(path))
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


def centroids(labels, affine) -> dict[int, np.ndarray]:
    return {
        int(v): affine[:3, :3] @ np.argwhere(labels == v).mean(axis=0)[::-1] + affine[:3, 3]
        for v in np.unique(labels[labels > 0])
    }


def world_boxes(body) -> dict[str, tuple[float, ...]]:
    """Bounds in millimetres of every object's voxels, bricks and all, by plain arithmetic."""
    found = {}
    for value in np.unique(body.labels[body.labels > 0]):
        index = np.argwhere(body.labels == value)[:, ::-1]
        corners = (index[:, None] + np.array(list(product((-0.5, 0.5), repeat=3)))).reshape(-1, 3)
        place = corners @ body.affine[:3, :3].T + body.affine[:3, 3]
        found[str(value)] = (*place.min(axis=0), *place.max(axis=0))
    return found


@pytest.fixture(scope="module", autouse=True)
def count():
    yield
    print(f"\n{len(CASES)} orientations of volumes, each written as {', '.join(SUFFIXES)}")


@pytest.mark.parametrize(("kind", "orientation"), CASES)
def test_every_orientation(kind, orientation, tmp_path):
    """The same voxels come back, in the same place, from boxes in the same millimetres."""
    own = phantom(kind)
    body = phantoms.oriented(own, *ORIENTATIONS[orientation])
    path = tmp_path / f"study{SUFFIXES[orientation % 3]}"
    write(path, body)
    boxes = world_boxes(own)
    values = [int(v) for v in boxes]
    with api.open(path) as image:
        model = Truth(image, body)
        found = api.segment(image, model=model, boxes=boxes, space="world", modality=kind)
        numbers = np.concatenate([[0], values])
        np.testing.assert_array_equal(numbers[found.labels()], body.labels)
        for suffix in SUFFIXES:
            out = tmp_path / f"mask{suffix}"
            found.save(out)
            labels, affine = read_back(out)
            np.testing.assert_array_equal(numbers[labels], body.labels)
            places = centroids(numbers[labels], affine)
            for value, place in centroids(own.labels, own.affine).items():
                assert np.abs(places[value] - place).max() < 1e-3 * min(own.spacing)
    volumes = {name: own.volumes().get(own.classes.get(int(name), "")) for name in boxes}
    assert sum(v is not None for v in volumes.values()) > 3
    for item in found:
        if volumes[item.name] is not None:
            assert item.measures["volume_ml"] == pytest.approx(volumes[item.name], rel=1e-5)


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)))
def test_world_boxes_are_tight_on_aligned_axes(orientation, tmp_path):
    body = phantoms.oriented(phantom("ct"), *ORIENTATIONS[orientation])
    path = tmp_path / "study.nii.gz"
    write(path, body)
    with api.open(path) as image:
        for name, box in world_boxes(phantom("ct")).items():
            index = np.argwhere(body.labels == int(name))[:, ::-1]
            wanted = [*index.min(axis=0), *(index.max(axis=0) + 1)]
            assert image.grid.box_to_index(box) == pytest.approx(wanted, abs=1e-3)
            assert image.grid.box_to_world(wanted) == pytest.approx(box, abs=1e-3)


@pytest.mark.parametrize(("kind", "orientation"), CASES[::5])
@pytest.mark.parametrize("space", ["world", "ras"])
def test_points_anywhere_inside_a_voxel_find_it(kind, orientation, space, tmp_path):
    own = phantom(kind)
    body = phantoms.oriented(own, *ORIENTATIONS[orientation])
    path = tmp_path / "study.nii.gz"
    write(path, body)
    points = {}
    sides = np.array([-1, -1, 1]) if space == "ras" else np.ones(3)
    for value, off in product(SPECKS, (-0.45, 0.45)):
        index = np.argwhere(own.labels == value)[0][::-1] + off
        place = own.affine[:3, :3] @ index + own.affine[:3, 3]
        points[f"{value} {off}"] = [tuple(place * sides)]
    with api.open(path) as image:
        found = api.segment(
            image, model=Truth(image, body), points=points, space=space, modality=kind
        )
    for item in found:
        (voxel,) = np.argwhere(body.labels == int(item.name.split()[0]))
        assert item.region == Region(tuple(voxel.tolist()), tuple((voxel + 1).tolist()))


@pytest.mark.parametrize(("kind", "orientation"), CASES[::7])
def test_masks_that_were_written_prompt_the_same_objects(kind, orientation, tmp_path):
    """Written along other axes, read as prompts: the same voxels."""
    body = phantoms.oriented(phantom(kind), *ORIENTATIONS[orientation])
    other = phantoms.oriented(phantom(kind), *ORIENTATIONS[-1 - orientation])
    write(tmp_path / "study.nrrd", body)
    image = sitk.GetImageFromArray(other.labels)
    image.SetSpacing(other.spacing)
    image.SetDirection((other.affine[:3, :3] / np.array(other.spacing)).ravel().tolist())
    image.SetOrigin(other.affine[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / "mask.nii.gz"))
    with api.open(tmp_path / "study.nrrd") as opened:
        asked = read_prompts(tmp_path / "mask.nii.gz", opened)
        for prompt in asked:
            index = np.argwhere(body.labels == prompt.id)[:, ::-1]
            assert prompt.box == (*index.min(axis=0), *(index.max(axis=0) + 1))
