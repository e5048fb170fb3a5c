"""Plain pictures and label PNGs of the host's own plugin."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from samovar.errors import InputError, OutputError, PromptError
from samovar.formats import open_image, read_prompts, write_objects
from samovar.grid import Region
from samovar.image import ArrayImage
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (30, 40), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (30, 40), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _host_alone(monkeypatch, site):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar")


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.tiff", "X.PNG"])
@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR], ids=["grey", "deep", "colour"])
def test_pixels_come_as_they_are(tmp_path, name, pixels):
    if name == "x.bmp" and pixels is DEEP:
        pytest.skip("BMP has no 16-bit grey")
    path = tmp_path / name
    PIL.Image.fromarray(pixels).save(path)
    with open_image(path) as opened:
        expected = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[None]
        assert opened.grid.shape == (30, 40)
        assert (opened.channels, opened.dtype) == (len(expected), pixels.dtype)
        assert len(opened.info.channel_names) == opened.channels
        assert opened.info.domain == "picture"
        assert np.array_equal(opened.read(), expected)
        part = opened.read(Region((3, 5), (10, 21)))
        assert np.array_equal(part, expected[:, 3:10, 5:21])
        assert opened.valid() is None


def test_opening_decodes_nothing(tmp_path, monkeypatch):
    PIL.Image.fromarray(COLOUR).save(tmp_path / "x.png")
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert open_image(tmp_path / "x.png").grid.shape == (30, 40)


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGBA", 3), ("CMYK", 3), ("F", 1), ("I", 1)],
)
def test_every_mode_opens(tmp_path, mode, channels):
    path = tmp_path / "x.tif"
    PIL.Image.fromarray(COLOUR).convert("L" if mode in "FI" else "RGB").convert(mode).save(path)
    with open_image(path) as opened:
        pixels = opened.read()
        assert (opened.channels, *opened.grid.shape) == pixels.shape == (channels, 30, 40)
        assert opened.dtype == pixels.dtype


def test_transparency_is_not_data(tmp_path):
    rgba = np.dstack([COLOUR, np.full((30, 40), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    PIL.Image.fromarray(rgba).save(tmp_path / "x.png")
    with open_image(tmp_path / "x.png") as opened:
        valid = opened.valid()
        assert np.array_equal(valid, rgba[..., 3] > 0)
        assert opened.valid(Region((9, 0), (11, 2))).tolist() == [[False, False], [True, True]]


def test_decimated_reads_average(tmp_path):
    checks = np.indices((20, 20)).sum(axis=0) % 2 * np.uint16(1000)
    PIL.Image.fromarray(checks.astype(np.uint16)).save(tmp_path / "x.png")
    with open_image(tmp_path / "x.png") as opened:
        small = opened.read(size=(5, 5))
        assert small.dtype == np.uint16
        assert small.tolist() == np.full((1, 5, 5), 500).tolist()


def test_orientation_of_photographs(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(COLOUR).save(tmp_path / "x.png", exif=exif)
    with open_image(tmp_path / "x.png") as opened:
        assert opened.grid.shape == (40, 30)
        assert np.array_equal(opened.read(), np.rot90(np.moveaxis(COLOUR, -1, 0), -1, (1, 2)))


def test_cut_short(tmp_path):
    path = tmp_path / "x.png"
    PIL.Image.fromarray(COLOUR).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x\.png: the picture is damaged or cut short"):
        open_image(path).read()
    path.write_bytes(whole[:20])
    with pytest.raises(InputError, match=r"x\.png: .*damaged"):
        open_image(path).read()


def test_text_that_calls_itself_a_picture(tmp_path):
    (tmp_path / "x.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"x\.jpg: is no picture that can be read"):
        open_image(tmp_path / "x.jpg")


def test_pages_are_refused(tmp_path):
    pages = [PIL.Image.fromarray(GREY) for _ in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="holds 3 pages"):
        open_image(tmp_path / "x.tif")


def test_bombs_are_refused(tmp_path, monkeypatch):
    PIL.Image.fromarray(GREY).save(tmp_path / "x.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="convert it to GeoTIFF"):
        open_image(tmp_path / "x.png")


def found(ids, shape=(30, 40)) -> Objects:
    items = []
    for place, id in enumerate(ids):
        inside = np.zeros(shape, bool)
        inside[place, 2 : 2 + 3] = True
        name = f"Nr. {id}"
        items.append(SegmentedObject.from_mask(id, PixelMask.of(inside), name=name, score=0.5))
    model = {"name": "tiny", "weights_sha256": "ab", "threads": 2}
    provenance = {"samovar": "0.1.0", "created": "today", "model": model}
    return Objects(ArrayImage(np.zeros(shape)).grid, tuple(items), provenance)


class TestLabelPng:
    @pytest.mark.parametrize(("ids", "mode"), [([1, 255], "L"), ([1, 256, 65535], "I;16")])
    def test_values_survive(self, tmp_path, ids, mode):
        image = ArrayImage(GREY)
        write_objects(found(ids), tmp_path / "o.png", image)
        with PIL.Image.open(tmp_path / "o.png") as written:
            assert written.mode == mode
            assert np.array_equal(np.asarray(written), found(ids).labels())
        back = read_prompts(tmp_path / "o.png", image)
        assert [(p.id, p.box) for p in back] == [
            (id, (2, place, 5, place + 1)) for place, id in enumerate(ids)
        ]

    def test_too_many_for_a_png(self, tmp_path):
        with pytest.raises(OutputError, match=r"write \.tif"):
            write_objects(found([65536]), tmp_path / "o.png", ArrayImage(GREY))
        assert not [p for p in tmp_path.iterdir() if p.is_file()]

    def test_provenance_does_not_change_from_run_to_run(self, tmp_path):
        write_objects(found([1]), tmp_path / "o.png", ArrayImage(GREY))
        with PIL.Image.open(tmp_path / "o.png") as written:
            record = json.loads(written.text["samovar"])
        assert record["samovar"] == "0.1.0"
        assert record["model"] == {"name": "tiny", "weights_sha256": "ab"}
        assert record["names"] == {"1": "Nr. 1"}
        assert "created" not in record

    def test_numbers_of_a_palette_count(self, tmp_path):
        labels = np.zeros((30, 40), np.uint8)
        labels[4:6, 7:9] = 3
        picture = PIL.Image.fromarray(labels)
        picture.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])
        picture.save(tmp_path / "o.png")
        (prompt,) = read_prompts(tmp_path / "o.png", ArrayImage(GREY))
        assert (prompt.id, prompt.box) == (3, (7, 4, 9, 6))

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (COLOUR, "3 channels, not a label image"),
            (GREY, "is an image, not a label image"),
            (DEEP, "is an image, not a label image"),
            (np.zeros((30, 40), np.uint8), "is empty: every pixel is 0"),
            (np.ones((10, 10), np.uint8), r"its shape \(10, 10\) is not that of"),
        ],
        ids=["colour", "grey", "deep", "empty", "another size"],
    )
    def test_what_is_no_label_image(self, tmp_path, pixels, message):
        PIL.Image.fromarray(pixels).save(tmp_path / "o.png")
        with pytest.raises(PromptError, match=message) as caught:
            read_prompts(tmp_path / "o.png", ArrayImage(GREY))
        assert "o.png" in str(caught.value)
