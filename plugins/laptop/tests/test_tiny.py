"""The bundled model: intact, light enough, and the same bytes with one thread and with two."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from samovar.masks import LowRes, WindowLogits
from samovar.models import Model, load_model, verify_model
from samovar.prompts import Prompt, Prompts


@pytest.fixture(scope="module")
def bundle():
    return verify_model("tiny")


@pytest.fixture(scope="module")
def model():
    with load_model("tiny", threads=1) as loaded:
        yield loaded


def scene(rows: int = 180, columns: int = 260) -> np.ndarray:
    """A bright ellipse on dark ground with grain, 0…255."""
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - 80) / 50) ** 2 + ((x - 120) / 70) ** 2 < 1
    plane = np.where(inside, 190, 60) + np.random.default_rng(0).normal(0, 6, inside.shape)
    return np.repeat(np.clip(plane, 0, 255)[None].astype(np.float32), 3, axis=0)


BOX = (50.0, 30.0, 191.0, 131.0)


def prompts(model: Model, embedding) -> Prompts:
    """Every kind of prompt, and more boxes than one batch holds."""
    prior = model.decoder.mask_prompt(scene()[0] > 120, embedding)
    mixed = (
        Prompt(1, box=BOX),
        Prompt(2, points=((120, 80),), labels=(1,)),
        Prompt(3, box=BOX, points=((120, 80), (5, 5)), labels=(1, 0), mask=prior),
        Prompt(4, points=((120, 80), (130, 90), (10, 170)), labels=(1, 1, 0)),
    )
    boxes = (Prompt(5 + i, box=(10.0 + i, 10.0, 60.0 + 2 * i, 90.0)) for i in range(18))
    return Prompts((*mixed, *boxes))


def values(low_res: LowRes) -> np.ndarray:
    """Logits over the mask frame or over a window."""
    return low_res.values if isinstance(low_res, WindowLogits) else low_res


def digest(model: Model) -> str:
    [embedding] = model.encode([scene()])
    masks = model.decoder.decode(embedding, prompts(model, embedding))
    total = hashlib.sha256()
    low_res = (values(one) for one in masks.low_res)
    for array in (*embedding.arrays.values(), *low_res, masks.quality, masks.stability):
        total.update(array.tobytes())
    for mask in masks.masks:
        total.update(repr(mask.region).encode())
        total.update(mask.inside.tobytes())
    return total.hexdigest()


def test_bytes_do_not_depend_on_threads_nor_on_the_run(model):
    with load_model("tiny", threads=2) as two, load_model("tiny", threads=1) as again:
        first = digest(model)
        assert digest(model) == first, "from call to call"
        assert digest(again) == first, "from run to run"
        assert digest(two) == first, "from one thread to two"


def test_an_embedding_does_not_depend_on_its_neighbours(model):
    other = scene()[:, ::-1].copy()
    [alone] = model.encode([scene()])
    _, together = model.encode([other, scene()])
    for name, array in alone.arrays.items():
        np.testing.assert_array_equal(array, together.arrays[name])


def test_it_keeps_its_promises_of_size(bundle):
    assert bundle.parameters <= 6_000_000
    assert bundle.encoder_gmac <= 1.5
    assert sum(file.bytes for file in bundle.files.values()) <= 24 * 2**20
    assert bundle.precision == "fp32"


def test_it_takes_every_kind_of_prompt(model):
    kinds = {"box", "point", "negative-point", "mask", "sparse", "dense"}
    assert model.decoder.prompt_kinds == kinds


def test_the_record_is_what_the_graphs_do(model, bundle):
    [embedding] = model.encode([scene()])
    shapes = {name: array.shape[1:] for name, array in embedding.arrays.items()}
    assert shapes == {"image_embeddings": bundle.embedding_shape, **bundle.taps}
    asked = Prompts((Prompt(1, box=BOX), Prompt(2, points=((120, 80),), labels=(1,))))
    masks = model.decoder.decode(embedding, asked)
    assert [m.shape for m in masks.low_res] == [bundle.roi.mask_size] * 2
    assert bundle.roi.follows and bundle.roi.refines
    whole = load_model("tiny", threads=1, region_decode="off").decoder.decode(embedding, asked)
    assert [m.shape for m in whole.low_res] == [bundle.mask_size] * 2


def test_an_ellipse_is_found_by_its_box(model):
    [embedding] = model.encode([scene()])
    [mask] = model.decoder.decode(embedding, Prompts((Prompt(1, box=BOX),))).masks
    got = np.zeros((180, 260), dtype=bool)
    got[mask.region.slices] = mask.inside
    truth = scene()[0] > 125
    assert np.count_nonzero(got & truth) / np.count_nonzero(got | truth) > 0.7


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 3), (1000, 1000)])
def test_pictures_of_any_shape_are_taken(model, size):
    rows, columns = size
    constant = np.full((3, rows, columns), 77, dtype=np.float32)
    [embedding] = model.encode([constant])
    masks = model.decoder.decode(embedding, Prompts((Prompt(1, box=(0, 0, columns, rows)),)))
    assert np.isfinite(values(masks.low_res[0])).all()


def test_its_weights_need_no_consent():
    from samovar.licences import restriction

    assert restriction(verify_model("tiny").weights_licence) is None
