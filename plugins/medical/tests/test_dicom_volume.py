"""Slices are read when asked for, once, from any thread, and only so many are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import samovar_medical.dicom_volume as module
from dicom_making import make_series, save
from samovar.errors import InputError
from samovar.grid import Region
from samovar_medical.dicom import DicomFormat

AFFINE = np.diag([0.8, 0.9, 2.5, 1.0])
VOLUME = np.random.default_rng(2).integers(-900, 900, (30, 24, 22)).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    return str(save(make_series(VOLUME, AFFINE), tmp_path / "ct"))


@pytest.fixture
def reads(monkeypatch):
    """Numbers of the frames that were unpacked, in order."""
    seen = []
    original = module.stored_values

    def counted(source, frame):
        seen.append(round(frame.position[2] / 2.5))
        return original(source, frame)

    monkeypatch.setattr(module, "stored_values", counted)
    return seen


REGIONS = [
    ((0, 0, 0), (30, 24, 22)), ((7, 0, 0), (8, 24, 22)), ((3, 5, 6), (9, 20, 8)),
    ((0, 11, 0), (30, 12, 22)), ((0, 0, 21), (30, 24, 22)), ((29, 23, 21), (30, 24, 22)),
    ((4, 4, 4), (4, 5, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("start", "stop"), REGIONS)
def test_regions(folder, start, stop):
    region = Region(start, stop)
    with DicomFormat().open(folder) as image:
        block = image.read(region)
        assert block.dtype == np.int16
        assert np.array_equal(block[0], VOLUME[region.slices])
        block[:] = 0  # a copy: what is kept is not touched
        assert np.array_equal(image.read(region)[0], VOLUME[region.slices])


def test_opening_reads_no_pixels_and_a_slice_reads_one_file(folder, reads):
    with DicomFormat().open(folder) as image:
        assert reads == []
        for z in (12, 3, 12, 3):
            image.read(Region((z, 0, 0), (z + 1, 24, 22)))
        assert reads == [12, 3]


def test_only_so_many_slices_are_kept(folder, reads, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 5 * VOLUME[0].nbytes)
    with DicomFormat().open(folder) as image:
        assert np.array_equal(image.read()[0], VOLUME)
        assert len(image._kept) == 5
        assert len(reads) == 30


@pytest.mark.parametrize("limit", [1 << 30, 1000])
def test_cut_across_every_file_is_unpacked_once(folder, reads, monkeypatch, limit):
    """In memory, or where it is too large in a temporary file."""
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    with DicomFormat().open(folder) as image:
        for y in range(24):
            block = image.read(Region((0, y, 0), (30, y + 1, 22)))
            assert np.array_equal(block[0], VOLUME[:, y : y + 1])
        assert sorted(reads) == list(range(30))
        assert isinstance(image._gathered, np.memmap) == (limit == 1000)


def test_decimated(folder, reads):
    with DicomFormat().open(folder) as image:
        small = image.read(size=(3, 12, 11))
        assert np.array_equal(small[0], VOLUME[5::10, 1::2, 1::2])
        assert reads == [5, 15, 25]


def test_many_threads(folder):
    with DicomFormat().open(folder) as image, ThreadPoolExecutor(8) as pool:
        regions = [Region((z % 30, 0, 0), (z % 30 + 1, 24, 22)) for z in range(120)]
        regions += [Region((0, y, 0), (30, y + 1, 22)) for y in range(24)]
        for region, block in zip(regions, pool.map(image.read, regions), strict=True):
            assert np.array_equal(block[0], VOLUME[region.slices])


def test_closed(folder):
    image = DicomFormat().open(folder)
    image.close()
    with pytest.raises(InputError, match="was closed"):
        image.read()


def test_a_kept_slice_is_not_handed_out(folder):
    with DicomFormat().open(folder) as image:
        whole = Region((4, 0, 0), (5, 24, 22))
        image.read(whole)[:] = 7
        assert np.array_equal(image.read(whole)[0, 0], VOLUME[4])
