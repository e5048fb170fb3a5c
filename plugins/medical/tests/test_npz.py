"""Cases of the challenge: what is read, what is written, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import InputError
from samovar.formats import open_image, read_prompts
from samovar_medical.npz import NpzFormat, modality_in, read_case

VOLUME = np.random.default_rng(0).integers(0, 256, (5, 9, 8)).astype(np.uint8)
PICTURE = np.random.default_rng(1).integers(0, 256, (9, 8, 3)).astype(np.uint8)
BOX = np.array([[1, 2, 0, 5, 6, 3], [2, 2, 4, 3, 3, 4]])


def saved(path, pack=np.savez_compressed, **arrays):
    pack(path, **arrays)
    return str(path)


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
def test_volume(tmp_path, pack):
    path = saved(tmp_path / "3DBox_CT_1.npz", pack, imgs=VOLUME, boxes=BOX, spacing=(0.7, 0.8, 3.0))
    with NpzFormat().open(path) as image:
        assert image.info.domain == "volume"
        assert image.info.modality == "ct"
        assert image.grid.spacing == pytest.approx((0.7, 0.8, 3.0))
        assert np.array_equal(image.read()[0], VOLUME)
        assert image.dtype == np.uint8


def test_stored_arrays_are_mapped(tmp_path):
    """Written as they are: only what is looked at is read. In Fortran's order too."""
    plain = saved(tmp_path / "3DBox_a.npz", np.savez, imgs=VOLUME, boxes=BOX)
    assert isinstance(read_case(plain).imgs, np.memmap)
    turned = saved(tmp_path / "3DBox_b.npz", np.savez, imgs=np.asfortranarray(VOLUME), boxes=BOX)
    assert np.array_equal(read_case(turned).imgs, VOLUME)
    packed = saved(tmp_path / "3DBox_c.npz", imgs=VOLUME, boxes=BOX)
    assert not isinstance(read_case(packed).imgs, np.memmap)


def test_picture(tmp_path):
    path = saved(tmp_path / "2DBox_Endoscopy_1.npz", imgs=PICTURE, boxes=[[1, 2, 5, 6]])
    with NpzFormat().open(path) as image:
        assert image.info.domain == "picture"
        assert image.info.modality == "rgb"
        assert np.array_equal(image.read(), np.moveaxis(PICTURE, -1, 0))


def test_grey_picture_and_colour_volume(tmp_path):
    with NpzFormat().open(saved(tmp_path / "2DBox_a.npz", imgs=VOLUME[0])) as image:
        assert np.array_equal(image.read()[0], VOLUME[0])
    colour = np.stack([PICTURE, PICTURE // 2])
    with NpzFormat().open(saved(tmp_path / "3DBox_a.npz", imgs=colour)) as image:
        assert image.grid.shape == (2, 9, 8)
        assert image.channels == 3
        assert np.array_equal(image.read()[:, 1], np.moveaxis(PICTURE // 2, -1, 0))


def test_three_columns_are_told_by_boxes_then_by_name(tmp_path):
    narrow = VOLUME[:, :, :3]
    assert read_case(saved(tmp_path / "2D.npz", imgs=narrow, boxes=BOX)).volume
    assert not read_case(saved(tmp_path / "3D.npz", imgs=narrow, boxes=BOX[:, :4])).volume
    assert read_case(saved(tmp_path / "3DBox.npz", imgs=narrow)).volume
    assert not read_case(saved(tmp_path / "other.npz", imgs=narrow)).volume


@pytest.mark.parametrize(
    ("z_max", "wanted"),
    [("inclusive", [(1, 2, 0, 6, 7, 4), (2, 2, 4, 4, 4, 5)]),
     ("exclusive", [(1, 2, 0, 6, 7, 3), (2, 2, 4, 4, 4, 5)])],
)  # fmt: skip
def test_both_conventions_of_z(tmp_path, z_max, wanted):
    case = read_case(saved(tmp_path / "3DBox.npz", imgs=VOLUME, boxes=BOX))
    assert [p.box for p in case.prompts(z_max)] == wanted
    assert [p.id for p in case.prompts(z_max)] == [1, 2]


def test_boxes_of_pictures_know_no_z(tmp_path):
    case = read_case(saved(tmp_path / "2DBox.npz", imgs=PICTURE, boxes=[[1, 2, 5, 6]]))
    for z_max in ("inclusive", "exclusive"):
        assert case.prompts(z_max).objects[0].box == (1, 2, 6, 7)


def test_the_boxes_of_a_case_are_prompts(tmp_path):
    file = saved(tmp_path / "3DBox_CT_1.npz", imgs=VOLUME, boxes=BOX)
    with open_image(str(file)) as image:
        boxes = [p.box for p in read_prompts(str(file), image)]
    assert boxes == [(1, 2, 0, 6, 7, 4), (2, 2, 4, 4, 4, 5)]
    bare = saved(tmp_path / "3DBox_CT_2.npz", imgs=VOLUME)
    with open_image(str(bare)) as image, pytest.raises(InputError, match="no boxes"):
        read_prompts(str(bare), image)


class Unpickled:
    """Leaves a trace when somebody unpickles it."""

    def __reduce__(self):
        return (print, ("UNPICKLED",))


@pytest.mark.parametrize("name", ["imgs", "boxes", "spacing"])
def test_nothing_is_unpickled(tmp_path, capsys, name):
    arrays = {"imgs": VOLUME, "boxes": BOX, "spacing": np.ones(3)}
    arrays[name] = np.array([Unpickled()], dtype=object)
    path = saved(tmp_path / "3DBox.npz", **arrays)
    with pytest.raises(InputError, match="would have to be unpickled"):
        NpzFormat().open(path)
    assert "UNPICKLED" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"boxes": BOX}, "has no array 'imgs'"),
        ({"imgs": VOLUME.astype(np.int16)}, "its imgs are int16 of 5×9×8"),
        ({"imgs": VOLUME[0, 0]}, "have to be uint8"),
        ({"imgs": VOLUME[:0]}, "imgs are uint8 of 0×9×8"),
        ({"imgs": VOLUME, "boxes": np.ones((2, 5))}, "boxes are 2×5"),
        ({"imgs": VOLUME, "boxes": [[0, 0, 0, 1, 1, np.nan]]}, "n×4 or n×6 numbers"),
        ({"imgs": VOLUME, "boxes": [["a"] * 6]}, "n×4 or n×6 numbers"),
        ({"imgs": VOLUME, "spacing": [1, 0, 1]}, "three positive numbers"),
        ({"imgs": VOLUME, "spacing": ["a"]}, "three positive numbers"),
    ],
)
def test_what_is_refused(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words) as caught:
        NpzFormat().open(saved(tmp_path / "3DBox.npz", **arrays))
    assert "3DBox.npz" in str(caught.value)


def test_damaged_files(tmp_path):
    content = (tmp_path / "3DBox.npz", saved(tmp_path / "3DBox.npz", np.savez, imgs=VOLUME))[0]
    whole = content.read_bytes()
    for broken in (b"", b"PK\x03\x04", whole[:200], whole[: len(whole) // 2], b"\0" * 500):
        content.write_bytes(broken)
        with pytest.raises(InputError, match=r"3DBox\.npz"):
            NpzFormat().open(str(content))


def test_a_header_that_lies_takes_no_memory(tmp_path):
    path = tmp_path / "3DBox.npz"
    saved(path, np.savez, imgs=VOLUME)
    raw = path.read_bytes().replace(b"(5, 9, 8), }", b"(9999,9999,99)}"[:12])
    path.write_bytes(raw)
    with pytest.raises(InputError):
        NpzFormat().open(str(path))


def test_no_boxes(tmp_path):
    for arrays in ({}, {"boxes": np.zeros((0, 6))}, {"boxes": []}):
        case = read_case(saved(tmp_path / "3DBox.npz", imgs=VOLUME, **arrays))
        with pytest.raises(InputError, match="has no boxes"):
            case.prompts("inclusive")


@pytest.mark.parametrize(
    ("name", "modality"),
    [("3DBox_CT_0001.npz", "ct"), ("2DBox_US_a_b.npz", "us"), ("2DBox_XRay_1.npz", "xr"),
     ("3DBox_PET_1.npz", "pet"), ("2DBox_Microscope_1.npz", "microscopy"), ("3DBox_x.npz", None),
     ("ct.npz", None)],
)  # fmt: skip
def test_modality_by_name(name, modality):
    assert modality_in(name) == modality


def test_segs_out(geometry, tmp_path):
    from samovar.formats import open_image, write_objects

    path = saved(tmp_path / "3DBox_MR_1.npz", imgs=VOLUME, boxes=BOX, spacing=np.ones(3))
    labels = np.zeros(VOLUME.shape, np.uint16)
    labels[1:3, 2:4, 2:5], labels[4] = 1, 300
    with open_image(path) as image:
        write_objects(geometry.objects_of(image.grid, labels), tmp_path / "out.npz", image)
    found = np.load(tmp_path / "out.npz", allow_pickle=False)
    assert list(found) == ["segs"]
    assert np.array_equal(found["segs"], labels)
    assert found["segs"].dtype == np.uint16
