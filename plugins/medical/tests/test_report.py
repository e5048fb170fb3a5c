"""The report stands alone, names nobody, and shows what was measured."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as PillowImage

from dicom_making import PLANTED, make_series, save
from found_objects import RECORD, found, not_found, organ_and_lesion, values
from samovar.formats import open_image, write_all, write_objects
from samovar.intensity import choose_intensity
from samovar.objects import Objects
from samovar_medical.key_slices import key_slice


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.words, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("src", "href"):
                self.sources.append(value)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def image(geometry, tmp_path):
    headers = make_series(values((6, 30, 32)), geometry.reference_affine())
    return open_image(save(headers, tmp_path / "series"))


def write(image, path, **options):
    mask = np.zeros(image.grid.shape, dtype=bool)
    mask[1:5, 5:20, 8:25] = True
    items = (found(1, mask, "liver <b>&"), not_found(2, "spleen"))
    write_objects(Objects(image.grid, items, RECORD, image), path, image, **options)
    reader = Reader()
    text = path.read_text(encoding="utf-8")
    reader.feed(text)
    assert reader.open == []
    return text, reader


def test_it_stands_alone(image, tmp_path):
    text, reader = write(image, tmp_path / "r.html")
    assert len(reader.sources) == 2
    for source in reader.sources:
        kind, _, data = source.partition(";base64,")
        assert kind == "data:image/png"
        PillowImage.open(io.BytesIO(base64.b64decode(data))).verify()
    assert not re.search(r"https?:|<script|url\(", text)
    words = " ".join(reader.words)
    assert "not a medical device" in words
    assert "liver <b>&" in words
    assert "not found" in words
    assert "ab" * 32 in words


def test_it_names_nobody_unless_asked(image, tmp_path):
    text, _ = write(image, tmp_path / "r.html")
    assert not [word for word in PLANTED if word in text]
    text, _ = write(image, tmp_path / "named.html", with_patient=True)
    assert "Quastelberg" in text
    assert "MRN7730419" in text


def test_a_volume_without_a_patient(volume, tmp_path):
    with open_image(volume()) as image:
        organ, _ = organ_and_lesion(image.grid.shape)
        objects = Objects(image.grid, (found(1, organ, "liver"),), RECORD, image)
        write_objects(objects, tmp_path / "r.html", image, with_patient=True)
    assert "is not DICOM" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_nothing_found_is_a_report_too(image, tmp_path):
    objects = Objects(image.grid, (not_found(1, "liver"),), RECORD, image)
    write_objects(objects, tmp_path / "r.html", image)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "not found" in text
    assert "Longest diameter" not in text


def test_many_objects_stay_on_a_page(image, tmp_path):
    mask = np.zeros(image.grid.shape, dtype=bool)
    mask[2, 3:6, 4:9] = True
    items = tuple(found(i, mask, f"node {i}") for i in range(1, 61))
    write_objects(Objects(image.grid, items, RECORD, image), tmp_path / "r.html", image)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "and 20 more objects" in text
    assert text.count("<figure>") == 6


def test_the_key_slice_is_hung_as_a_radiologist_hangs_it(geometry, tmp_path):
    """The same picture in all 48 orientations: a bright corner at the patient's right and front."""
    base = np.diag([1.0, 1.0, 3.0, 1.0])
    pixels = np.full((5, 24, 24), -1000, dtype=np.int16)
    pixels[:, 6:10, 6:10] = 1000
    mask = np.zeros(pixels.shape, dtype=bool)
    mask[2, 6:20, 6:20] = True
    mask[2, 19, 6] = False
    first = None
    for order, flips in geometry.ORIENTATIONS:
        stored, affine = geometry.reoriented(pixels, base, order, flips)
        inside, _ = geometry.reoriented(mask, base, order, flips)
        path = geometry.write_volume(tmp_path / "v.nii", stored, affine)
        with open_image(path) as image:
            step = choose_intensity(image, "ct")
            picture, _ = key_slice(found(1, inside, ""), image, step)
        shown = np.asarray(picture.convert("L"), dtype=float)
        half = shown.shape[0] // 2, shown.shape[1] // 2
        corner = shown[: half[0], : half[1]].mean()
        assert corner > 1.5 * shown[half[0] :, half[1] :].mean(), (order, flips)
        first = shown if first is None else first
        assert first.shape == shown.shape


def test_nothing_but_dicom_knows_the_patient(image, tmp_path, caplog):
    """Of everything that is written of one study, and of what is said meanwhile."""
    mask = np.zeros(image.grid.shape, dtype=bool)
    mask[1:5, 5:20, 8:25] = True
    objects = Objects(image.grid, (found(1, mask, "thing"), not_found(2, "x")), RECORD, image)
    folder = tmp_path / "out"
    folder.mkdir()
    names = ["a.csv", "a.json", "a.html", "a.obj", "a.stl", "a.seg.nrrd", "a.nii", "a.mha"]
    prefixed = [f"rtstruct:{folder / 'rt.dcm'}", f"seg-labelmap:{folder / 'lm.dcm'}"]
    write_all(objects, [*(folder / n for n in (*names, "a.dcm")), *prefixed], image)
    for name in names:
        raw = (folder / name).read_bytes()
        assert not [word for word in PLANTED if word.encode() in raw], name
    assert caplog.text
    assert not [word for word in PLANTED if word in caplog.text]
    assert b"Quastelberg" in (folder / "a.dcm").read_bytes()
