"""NIfTI: what goes in comes out, field by field."""

from __future__ import annotations

import gzip
import json
import threading

import nibabel
import numpy as np
import pytest

from samovar.formats import open_image, write_objects
from samovar.grid import LPS_FROM_RAS, Region
from samovar_medical import nifti

KEPT = (
    "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c",
    "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "pixdim", "xyzt_units", "dim_info",
)  # fmt: skip


def raw_header(path):
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        kind = (
            nibabel.Nifti1Header if start == (348).to_bytes(4, "little") else (nibabel.Nifti2Header)
        )
        return kind.from_fileobj(file, check=False)


def some_labels(geometry, highest=1):
    labels = np.zeros(geometry.SHAPE, np.uint32)
    labels.flat[: highest * 1] = np.arange(1, highest + 1)
    return labels


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 3), (4, 2)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_header_geometry_is_kept_bit_by_bit(geometry, tmp_path, codes, suffix):
    array = np.ones(geometry.SHAPE, np.int16)
    image = nibabel.Nifti1Image(array.T, None)
    sform = LPS_FROM_RAS @ geometry.reference_affine()
    qform = sform.copy()
    qform[:3, 3] += 0.01
    image.header.set_sform(sform, codes[0])
    image.header.set_qform(qform, codes[1])
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4:] = (2.5, 0, 7, 0)
    image.header["dim_info"] = 57
    path = tmp_path / f"in{suffix}"
    image.to_filename(path)
    out = tmp_path / "out.nii.gz"
    with open_image(path) as opened:
        write_objects(geometry.objects_of(opened.grid, some_labels(geometry)), out, opened)
    before, after = raw_header(path), raw_header(out)
    for name in KEPT:
        assert before[name].tobytes() == after[name].tobytes(), name
    assert after["scl_slope"] == 1
    assert after["scl_inter"] == 0
    assert after["intent_code"] == 1002
    assert nibabel.load(out).get_data_dtype() == np.uint8


def test_sform_wins_then_qform_then_pixdim(geometry, tmp_path, caplog):
    array = np.ones(geometry.SHAPE, np.int16)
    sform = LPS_FROM_RAS @ geometry.reference_affine()
    qform = sform.copy()
    qform[:3, 3] += 30
    found = {}
    for codes in ((1, 1), (0, 1), (0, 0)):
        image = nibabel.Nifti1Image(array.T, None)
        image.header.set_sform(sform, codes[0])
        image.header.set_qform(qform, codes[1])
        path = tmp_path / "a.nii.gz"
        image.to_filename(path)
        with open_image(path) as opened:
            found[codes] = opened
    assert np.allclose(found[1, 1].grid.affine, LPS_FROM_RAS @ sform, atol=1e-4)
    assert np.allclose(found[0, 1].grid.affine, LPS_FROM_RAS @ qform, atol=1e-4)
    assert found[0, 0].grid.spacing == pytest.approx(geometry.SPACING)
    assert "52 mm apart" in found[1, 1].info.native["warnings"][0]
    assert found[0, 1].info.native["warnings"] == ()
    assert "no orientation" in found[0, 0].info.native["warnings"][0]
    assert "no orientation" in caplog.text


@pytest.mark.parametrize("qfac", [1, -1, 0])
def test_qform_alone_in_either_hand(geometry, tmp_path, qfac):
    """As ITK reads it; a qfac of 0 counts as 1."""
    image = nibabel.Nifti1Image(np.ones(geometry.SHAPE, np.int16).T, None)
    affine = LPS_FROM_RAS @ geometry.reference_affine() @ np.diag([1, 1, qfac or 1, 1])
    image.header.set_qform(affine, 1)
    assert image.header["pixdim"][0] == (qfac or 1)
    path = tmp_path / "q.nii"
    image.to_filename(path)
    data = bytearray(path.read_bytes())
    data[76:80] = np.float32(qfac).tobytes()
    path.write_bytes(data)
    with open_image(path) as opened:
        assert np.allclose(opened.grid.affine, LPS_FROM_RAS @ affine, atol=1e-4)
        if qfac:
            assert np.allclose(opened.grid.affine, geometry.read_by_itk(path)[1], atol=1e-4)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("micron", 0.001), ("mm", 1)])
def test_spatial_units_become_millimetres(geometry, tmp_path, unit, factor):
    image = nibabel.Nifti1Image(np.ones(geometry.SHAPE, np.int16).T, None)
    affine = np.diag([0.002, 0.003, 0.004, 1])
    image.header.set_sform(affine, 1)
    image.header.set_xyzt_units(unit)
    path = tmp_path / "a.nii"
    image.to_filename(path)
    with open_image(path) as opened:
        assert opened.grid.spacing == pytest.approx(np.array([0.002, 0.003, 0.004]) * factor)
        out = tmp_path / "out.nii"
        write_objects(geometry.objects_of(opened.grid, some_labels(geometry)), out, opened)
        with open_image(out) as back:
            assert np.array_equal(back.grid.affine, opened.grid.affine)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype", "wanted"),
    [
        (1, 0, "<i2", np.int16), (0, 5, "<i2", np.int16), (np.nan, np.nan, ">i2", np.int16),
        (2.5, -1024, "<u2", np.float32), (1, -1024, ">i2", np.float32),
        (1, 0, "<f8", np.float32), (1, 0, ">f4", np.float32), (1, 0, "<i8", np.int64),
    ],
)  # fmt: skip
def test_values_are_rescaled_and_slices_agree(geometry, tmp_path, slope, intercept, dtype, wanted):
    stored = np.random.default_rng(2).integers(0, 3000, geometry.SHAPE).astype(dtype)
    header = nibabel.Nifti1Header(endianness=dtype[0])
    header.set_data_shape(stored.shape[::-1])
    header.set_data_dtype(stored.dtype)
    header.set_sform(np.diag([1, 1, 2, 1]), 1)
    header["scl_slope"], header["scl_inter"] = slope, intercept
    header["vox_offset"] = 352
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + b"\0\0\0\0" + stored.tobytes())
    real = stored.astype(np.float64)
    if (slope not in (0, 1) and np.isfinite(slope)) or intercept == -1024:
        real = real * slope + intercept
    with open_image(path) as image:
        assert image.dtype == wanted
        whole = image.read()
        assert whole.dtype == wanted
        assert whole.shape == (1, *geometry.SHAPE)
        assert np.array_equal(whole[0], real.astype(wanted))
        region = Region((2, 1, 3), (5, 6, 4))
        assert np.array_equal(image.read(region)[0], whole[0][region.slices])
        assert image.read(region, size=(3, 2, 1)).shape == (1, 3, 2, 1)


@pytest.mark.parametrize("code", [1, 2])
def test_nifti2_and_two_dimensions(geometry, tmp_path, code):
    kind = nibabel.Nifti1Image if code == 1 else nibabel.Nifti2Image
    path, out = tmp_path / "flat.nii.gz", tmp_path / "out.nii.gz"
    kind(np.arange(12, dtype=np.int16).reshape(4, 3), np.diag([1, 1, 5, 1])).to_filename(path)
    with open_image(path) as image:
        assert image.grid.shape == (1, 3, 4)
        labels = np.zeros((1, 3, 4), np.uint8)
        labels[0, 2, 1] = 1
        write_objects(geometry.objects_of(image.grid, labels), out, image)
    back = nibabel.load(out)
    assert isinstance(back, kind)
    assert back.shape == (4, 3)
    assert np.asarray(back.dataobj)[1, 2] == 1


def test_trailing_single_volume_is_accepted(geometry, tmp_path):
    path, out = tmp_path / "one.nii.gz", tmp_path / "out.nii.gz"
    nibabel.Nifti1Image(np.ones((4, 3, 2, 1), np.int16), np.eye(4)).to_filename(path)
    with open_image(path) as image:
        assert image.grid.shape == (2, 3, 4)
        labels = np.ones((2, 3, 4), np.uint8)
        write_objects(geometry.objects_of(image.grid, labels), out, image)
    assert nibabel.load(out).shape == (4, 3, 2)


@pytest.mark.parametrize(("highest", "dtype"), [(255, "u1"), (256, "u2"), (300, "u2")])
def test_many_labels_do_not_overflow(geometry, volume, tmp_path, highest, dtype):
    labels = some_labels(geometry, highest)
    with open_image(volume()) as image:
        for suffix in (".nii.gz", ".nrrd", ".mha"):
            out = tmp_path / f"many{suffix}"
            write_objects(geometry.objects_of(image.grid, labels), out, image)
            found, _ = geometry.OTHER_READERS[suffix](out)
            assert found.dtype == np.dtype(dtype), suffix
            assert np.array_equal(found, labels), suffix


def test_labels_beyond_16_bits(geometry, volume, tmp_path):
    labels = np.zeros(geometry.SHAPE, np.uint32)
    labels[2, 3, 4], labels[0, 0, 0] = 70_000, 1
    with open_image(volume()) as image:
        for suffix in (".nii.gz", ".nrrd", ".mha"):
            out = tmp_path / f"high{suffix}"
            write_objects(geometry.objects_of(image.grid, labels), out, image)
            found, _ = geometry.OTHER_READERS[suffix](out)
            assert found[2, 3, 4] == 70_000, suffix


def test_same_bytes_whatever_the_name_and_the_hour(geometry, volume, tmp_path, monkeypatch):
    with open_image(volume()) as image:
        objects = geometry.objects_of(image.grid, some_labels(geometry, 3))
        for suffix in (".nii.gz", ".nrrd"):
            a, b = tmp_path / f"a{suffix}", tmp_path / f"bb{suffix}"
            monkeypatch.setattr("time.time", lambda: 1e9)
            write_objects(objects, a, image)
            monkeypatch.setattr("time.time", lambda: 2e9)
            write_objects(objects, b, image)
            assert a.read_bytes() == b.read_bytes()


def test_nothing_of_the_patient_is_carried_over(geometry, tmp_path):
    path, out = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    image = nibabel.Nifti1Image(np.ones(geometry.SHAPE, np.int16).T, np.eye(4))
    image.header["descrip"] = image.header["db_name"] = image.header["aux_file"] = b"DOE^JANE"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"DOE^JANE"))
    image.to_filename(path)
    with open_image(path) as opened:
        write_objects(geometry.objects_of(opened.grid, some_labels(geometry)), out, opened)
    with gzip.open(path) as a, gzip.open(out) as b:
        assert b"DOE" in a.read()
        assert b"DOE" not in b.read()


def test_names_and_provenance_travel(geometry, volume, tmp_path):
    names = {1: "liver", 2: "left ]]> kidney"}
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        out = tmp_path / f"named{suffix}"
        with open_image(volume()) as image:
            labels = some_labels(geometry, 2)
            write_objects(geometry.objects_of(image.grid, labels, names), out, image)
        with open_image(out) as back:
            assert back.label_names[1] == "liver", suffix
            assert "kidney" in back.label_names[2], suffix
    comment = nibabel.load(tmp_path / "named.nii.gz").header.extensions[0]
    assert "not a medical device" in json.loads(comment.get_content().rstrip(b"\0"))["notice"]


def test_large_volumes_are_unpacked_to_disk(geometry, volume, monkeypatch):
    path = volume()
    with open_image(path) as image:
        wanted = image.read()
    monkeypatch.setattr(nifti, "MEMORY_LIMIT", 10)
    with open_image(path) as image:
        assert isinstance(image._values, np.memmap)
        assert np.array_equal(image.read(), wanted)


def test_a_slice_is_all_that_is_read(geometry, volume):
    """Uncompressed volumes stay on disk, and no full float array appears."""
    with open_image(volume(".nii")) as image:
        assert isinstance(image._values, np.memmap)
        image.read(Region((0, 0, 0), (1, 7, 9)))[:] = 0
        assert image.read(Region((0, 0, 0), (1, 7, 9))).any()


def test_reading_from_several_threads(geometry, volume):
    with open_image(volume()) as image:
        whole, wrong = image.read()[0], []

        def look(z):
            for _ in range(50):
                got = image.read(Region((z, 0, 0), (z + 1, 7, 9)))[0]
                if not np.array_equal(got, whole[z : z + 1]):
                    wrong.append(z)

        threads = [threading.Thread(target=look, args=(z,)) for z in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize(("code", "modality"), [("MR", "mr"), ("CT", "ct"), ("PT", "pet")])
def test_modality_from_the_sidecar(volume, tmp_path, code, modality):
    path = volume()
    with open_image(path) as image:
        assert image.info.modality is None
    (tmp_path / "ct.json").write_text(json.dumps({"Modality": code}))
    with open_image(path) as image:
        assert image.info.modality == modality
