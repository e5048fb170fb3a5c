"""SAMed as a segmenter: slices of a CT to organs, without a prompt; upstream's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity_fixtures
import pytest
from deterministic import fill
from test_volume_window import ras

import samovar
from samovar.errors import InputError, PromptError
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage
from samovar.protocols import RuntimeInfo
from samovar.segmenters import SegmenterModel, load_segmenter
from samovar.specs import SegmenterSpec
from samovar_encoders import plugin
from samovar_encoders.architectures import SamArchitecture
from samovar_encoders.class_segmenter import ClassSegmenter, prepared, zoomed
from samovar_encoders.registry import record


class Bands:
    """Logits of nine classes: the one whose band of grey a cell lies in wins."""

    def run(self, feeds, outputs=None):
        if "image" in feeds:
            picture = feeds["image"]
            assert picture.shape == (1, 3, 512, 512)
            assert (picture[0, 0] == picture[0, 2]).all()
            return {"image_embeddings": picture[:, :1, 2::4, 2::4]}
        grey = feeds["image_embeddings"][0, 0]
        centres = np.arange(9)[:, None, None] / 8
        quality = np.linspace(0.1, 0.9, 9, dtype=np.float32)[None]
        return {"low_res_masks": -np.abs(grey - centres)[None], "iou_predictions": quality}


@pytest.fixture
def model() -> SegmenterModel:
    graphs = {"encoder": Bands(), "decoder": Bands()}
    [spec] = [s for s in plugin.samovar_segmenters() if s.name == "samed"]
    info = RuntimeInfo("fake", "", "cpu", "fp32", 1, "unknown")
    return SegmenterModel("samed", "hash", ClassSegmenter(graphs, {}), spec, info)


def abdomen() -> ArrayImage:
    """Air with a "liver" (class 5) in slices 1 to 3 and an "aorta" (7) in slice 2."""
    values = np.full((5, 96, 128), -125.0, np.float32)
    values[1:4, 20:60, 30:90] = -125 + 400 * 5 / 8
    values[2, 70:90, 100:120] = -125 + 400 * 7 / 8
    return ArrayImage(values, ras(values.shape, (0.8, 0.8, 5.0)))


def test_organs_are_found_named_and_numbered(model: SegmenterModel) -> None:
    found = {o.id: o for o in samovar.segment(abdomen(), model=model, modality="ct")}
    liver, aorta = found[5], found[7]
    assert (liver.name, liver.class_id, aorta.name) == ("liver", 5, "aorta")
    assert liver.score == pytest.approx(0.6)
    assert (liver.region.start[0], liver.region.stop[0]) == (1, 4)
    assert (aorta.region.start[0], aorta.region.stop[0]) == (2, 3)
    truth = 3 * 40 * 60
    assert liver.pixels == pytest.approx(truth, rel=0.05)
    assert aorta.pixels == pytest.approx(400, rel=0.15)


def test_it_is_not_asked_with_prompts_nor_about_anything_but_ct(model: SegmenterModel) -> None:
    assert isinstance(model.spec, SegmenterSpec)
    assert not model.spec.needs_prompts
    with pytest.raises(PromptError, match="takes no prompts"):
        samovar.segment(abdomen(), model=model, points=[(5, 5, 2)])
    with pytest.raises(InputError, match="takes a CT in Hounsfield units; this is mr"):
        samovar.segment(abdomen(), model=model, modality="mr")


def test_values_are_prepared_as_upstream_does() -> None:
    values = np.array([[-500.0, -125.0], [75.0, 900.0]], np.float32).repeat(300, 0).repeat(300, 1)
    picture = prepared(values)
    assert picture.shape == (512, 512)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture[::511, ::511], [[0, 0], [0.5, 1]], atol=1e-3)
    plane = np.random.default_rng(0).random((512, 512))
    assert zoomed(plane, (512, 512)) is plane


@pytest.mark.slow
@pytest.mark.shared
def test_upstream_s_numbers_through_the_host(parity: Path, tmp_path: Path) -> None:
    """Deterministic weights, exported, run by the host's runtime."""
    pytest.importorskip("samovar_laptop")
    architecture = SamArchitecture(record("samed"))
    fill(architecture.module)
    bundle = architecture.export(tmp_path / "bundle")
    assert max(bundle.validation["onnx_against_torch"].values()) < 2e-5
    fixture = np.load(parity / "samed_vit_b" / "fixtures_seed0.npz")
    picture = parity_fixtures.fixture_picture(fixture, record("samed"))
    segmenter = load_segmenter(bundle.folder, threads=1).segmenter
    assert isinstance(segmenter, ClassSegmenter)
    image = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
    embedding = segmenter._encoder.run({"image": image})["image_embeddings"]
    out = segmenter._decoder.run({"image_embeddings": embedding})
    ours = out["low_res_masks"][0]
    np.testing.assert_allclose(ours[:, ::4, ::4], fixture["auto_low_res9"], atol=1e-4)
    np.testing.assert_allclose(out["iou_predictions"][0], fixture["auto_iou9"], atol=2.5e-5)
    large = np.einsum("chw,Hh,Ww->cHW", ours, segmenter._enlarge, segmenter._enlarge)
    areas = (large > 0).sum(axis=(1, 2))
    np.testing.assert_allclose(areas, fixture["auto_mask9_area"], rtol=2e-3)
    values = np.random.default_rng(0).normal(40, 80, (2, 60, 70)).astype(np.float32)
    ct = ArrayImage(values, Grid(values.shape, np.eye(4), Frame.lps()))
    assert len(samovar.segment(ct, model=bundle.folder, modality="ct"))
