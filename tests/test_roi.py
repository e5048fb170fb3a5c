"""Region-of-interest decoding: windows, and masks that come back where the object is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from graph_fakes import CELLS, FakeGraph, FakeMaskDecoder, FakePromptEncoder, Shapes, bundle
from samovar.bundle import Bundle
from samovar.bundle_fields import Fields
from samovar.decoding import SamDecoder
from samovar.embedding import Embedding, Fit
from samovar.errors import BundleError, UsageError
from samovar.faces import RegionFace, TwoFaces
from samovar.mask_frame import MASK_LOGIT, mask_logits, pixel_mask, project
from samovar.masks import PixelMask, WindowLogits
from samovar.prompt_tokens import BOX_HIGH, BOX_LOW, Tokens
from samovar.prompts import Prompt, Prompts
from samovar.resize import Preparation, Resize
from samovar.roi import RoiRule, wanted

SIDE = 24
"""Rows and columns of the fake window's logits."""
STRETCH = RoiRule((SIDE, SIDE), margin=0.25, prompt_kinds=("box", "point", "mask"))
TOKENS = RoiRule(
    (SIDE, SIDE), "tokens", 0.0, tokens=6, stride=8, prompt_kinds=("box", "point", "mask")
)


class FakeRegionDecoder(FakeGraph):
    """Answers exactly: the logit of a cell is how deep its centre lies in the prompt's box.

    Depth counts in cells of the window along each axis, so the bilinear interpolation is 0 at the
    box's edges. A second answer is empty.
    """

    inputs: ClassVar[Shapes] = {
        "image_embeddings": (1, 1, 2, 2),
        "windows": ("n", 4),
        "point_coords": ("n", "p", 2),
        "point_labels": ("n", "p"),
        "mask_input": ("n", 1, SIDE, SIDE),
        "has_mask_input": ("n", 1),
    }
    outputs: ClassVar[Shapes] = {
        "low_res_masks": ("n", 2, SIDE, SIDE),
        "iou_predictions": ("n", 2),
    }

    def compute(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        answers = []
        for row, window in enumerate(feeds["windows"].astype(np.float64)):
            coords, labels = feeds["point_coords"][row], feeds["point_labels"][row]
            low, high = coords[labels == 2][0], coords[labels == 3][0]
            size = (window[2:] - window[:2]) / SIDE
            at = window[:2, None] + size[:, None] * (np.arange(SIDE) + 0.5)  # (x and y, cells)
            deep = np.minimum(at - low[:, None], high[:, None] - at) / size[:, None]
            deep = np.clip(deep, -1, 1)
            logits = np.minimum(deep[1][:, None], deep[0])
            answers.append([logits, np.full_like(logits, -9)])
        count = len(answers)
        return {
            "low_res_masks": np.array(answers, dtype=np.float32),
            "iou_predictions": np.tile(np.array([0.9, 0.1], dtype=np.float32), (count, 1)),
        }


class Windowed:
    """A decoder with a region face, and the graphs to look into."""

    def __init__(self, rule: RoiRule, fit: Fit, **changes: Any) -> None:
        self.region, self.full = FakeRegionDecoder(), FakeMaskDecoder()
        preparation = Preparation(fit.encode, fit.frame, "continuous")
        self.bundle = bundle(preparation=preparation, roi=rule, **changes)
        faces = TwoFaces(FakePromptEncoder(), self.full, self.bundle.taps)
        self.decoder = SamDecoder(self.bundle, faces, RegionFace(self.region, self.bundle.taps))
        arrays = {
            "image_embeddings": np.zeros((1, 1, 2, 2), dtype=np.float32),
            "features_s8": np.zeros((1, 1, 4, 4), dtype=np.float32),
        }
        self.embedding = Embedding(arrays, fit, "fake@0")

    def ask(self, *prompts: Prompt):
        return self.decoder.decode(self.embedding, Prompts(prompts))


def pixels_of(box: tuple[float, ...], picture: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside a box."""
    y, x = np.mgrid[: picture[0], : picture[1]] + 0.5
    return (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])


def full(mask: PixelMask, shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape, dtype=bool)
    out[mask.region.slices] = mask.inside
    return out


FITS = [
    Fit((64, 64), (64, 64), (64, 64), (128, 128)),
    Fit((37, 150), Resize().content((37, 150), (64, 64)), (64, 64), (64, 64)),
    Fit((200, 90), (96, 64), (96, 64), (96, 64)),
    Fit((1000, 700), Resize().content((1000, 700), (64, 64)), (64, 64), (128, 128)),
]
BOXES = [
    (12.0, 9.0, 13.0, 10.0),  # one pixel
    (0.0, 0.0, 1.0, 1.0),  # in the corner
    (20.2, 15.3, 31.8, 22.9),
    (30.0, 4.0, 60.0, 7.0),  # flat
    (5.0, 0.0, 8.0, 37.0),  # as tall as the smallest picture
    (-8.0, -3.0, 9.0, 6.0),  # reaches beyond the picture
]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("box", BOXES)
def test_a_stretched_window_puts_every_pixel_where_the_box_is(fit: Fit, box) -> None:
    windowed = Windowed(STRETCH, fit)
    masks = windowed.ask(Prompt(1, box=box))
    assert len(windowed.region.calls) == 1 and not windowed.full.calls
    got, true = full(masks.masks[0], fit.picture), pixels_of(box, fit.picture)
    np.testing.assert_array_equal(got, true)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("box", BOXES)
def test_a_token_window_does_too_or_leaves_the_box_to_the_full_decoding(fit: Fit, box) -> None:
    windowed = Windowed(TOKENS, fit)
    masks = windowed.ask(Prompt(1, box=box))
    x, y = fit.scale
    inside = np.clip(np.array(box) * [x, y, x, y], 0, [*fit.frame[::-1]] * 2)
    if not windowed.region.calls:
        cells = np.ceil(inside[2:] / 8) - np.floor(inside[:2] / 8)
        assert cells.max() > 6 and windowed.full.calls
        return
    [window] = windowed.region.calls[0]["windows"]
    assert (window % 8 == 0).all() and (window[2:] - window[:2] == 48).all()
    assert (window[:2] <= inside[:2]).all() and (inside[2:] <= window[2:]).all()
    assert (window >= 0).all() and (window[2:] <= fit.frame[::-1]).all()
    got, true = full(masks.masks[0], fit.picture), pixels_of(box, fit.picture)
    cell = np.array([48 / SIDE / x, 48 / SIDE / y])  # of the window, in pixels
    if np.all(np.array(box[2:]) - box[:2] >= 2 * cell):  # a window's cells can show it
        for axis in (0, 1):  # corners between coarse cells come out round
            np.testing.assert_array_equal(got.any(axis=axis), true.any(axis=axis))


def test_the_window_is_the_box_and_its_margin_whatever_its_shape() -> None:
    windowed = Windowed(STRETCH, FITS[0])  # two frame units a pixel
    windowed.ask(Prompt(1, box=(10.0, 20.0, 30.0, 24.0)))
    call = windowed.region.calls[0]
    np.testing.assert_array_equal(call["windows"], [[10.0, 38.0, 70.0, 50.0]])
    np.testing.assert_array_equal(call["point_coords"], [[[20, 40], [60, 48]]])
    assert set(call) == set(FakeRegionDecoder.inputs), "no tap that it does not ask for"


def test_a_sliver_gets_a_window_of_some_width() -> None:
    windowed = Windowed(STRETCH, FITS[0])
    windowed.ask(Prompt(1, box=(10.0, 20.0, 10.1, 24.0)))
    x0, _, x1, _ = windowed.region.calls[0]["windows"][0]
    assert (x0 + x1) / 2 == pytest.approx(20.1)
    assert x1 - x0 == pytest.approx(1.5)


def test_each_object_gets_the_same_bytes_alone_and_among_others() -> None:
    boxes = [(4.0 + i, 3.0 + i / 3, 11.0 + 2 * i, 9.0 + i) for i in range(20)]
    prompts = [Prompt(i + 1, box=box) for i, box in enumerate(boxes)]
    prompts[3] = Prompt(4, points=((9.0, 9.0),), labels=(1,))
    windowed = Windowed(STRETCH, FITS[0])
    together = windowed.ask(*prompts)
    assert together.ids == tuple(range(1, 21))
    for i, prompt in enumerate(prompts):
        alone = windowed.ask(prompt)
        assert alone.masks[0].region == together.masks[i].region
        assert alone.masks[0].inside.tobytes() == together.masks[i].inside.tobytes()
        assert alone.quality.tobytes() == together.quality[i : i + 1].tobytes()
        assert alone.stability.tobytes() == together.stability[i : i + 1].tobytes()
        rows = [row.values if isinstance(row, WindowLogits) else row
                for row in (alone.low_res[0], together.low_res[i])]  # fmt: skip
        assert rows[0].tobytes() == rows[1].tobytes()


def test_what_the_rule_does_not_name_is_decoded_in_full() -> None:
    windowed = Windowed(STRETCH, FITS[0])
    box = (10.0, 10.0, 20.0, 20.0)
    learned = np.ones((1, 3), dtype=np.float32)
    masks = windowed.ask(
        Prompt(1, points=((12.0, 12.0),), labels=(1,)),
        Prompt(2, box=box, points=((12.0, 12.0),), labels=(0,)),
        Prompt(3, box=box, points=((60.0, 60.0),), labels=(1,)),
        Prompt(4, box=box, sparse=learned),
        Prompt(5, box=box, points=((12.0, 12.0),), labels=(1,)),
    )
    kinds = [isinstance(row, WindowLogits) for row in masks.low_res]
    assert kinds == [False, False, False, False, True]


def test_stability_counts_the_window_s_cells_on_the_picture() -> None:
    class Halves(FakeRegionDecoder):
        def compute(self, feeds):
            logits = np.full((1, 2, SIDE, SIDE), 0.5, dtype=np.float32)
            logits[..., SIDE // 2 :] = 3.0
            logits[..., : SIDE // 2, :] = -9.0
            return {"low_res_masks": logits, "iou_predictions": np.ones((1, 2), np.float32)}

    windowed = Windowed(STRETCH, FITS[0])
    record = windowed.bundle
    faces = TwoFaces(FakePromptEncoder(), FakeMaskDecoder(), record.taps)
    decoder = SamDecoder(record, faces, RegionFace(Halves(), record.taps))
    box = (-8.0, 10.0, 8.0, 20.0)  # the window spans -12…12: half of its columns lie outside
    masks = decoder.decode(windowed.embedding, Prompts((Prompt(1, box=box),)))
    assert masks.stability[0] == 1.0


def test_a_mask_over_a_window_is_the_next_prior_at_its_own_resolution() -> None:
    windowed = Windowed(STRETCH, FITS[0])
    box = (30.0, 30.0, 33.0, 33.0)  # less than a cell of the mask frame wide
    [first] = windowed.ask(Prompt(1, box=box)).low_res
    windowed.ask(Prompt(1, box=box, mask=first))
    call = windowed.region.calls[-1]
    assert call["has_mask_input"].tolist() == [[1.0]]
    assert call["mask_input"][0, 0].tobytes() == first.values.tobytes()
    windowed.ask(Prompt(1, box=(29.0, 30.0, 33.0, 34.0), mask=first))
    moved = windowed.region.calls[-1]["mask_input"][0, 0]
    x0, y0, x1, y1 = np.array((28.0, 29.0, 34.0, 35.0))
    y, x = (
        low + (high - low) / SIDE * (np.arange(SIDE) + 0.5) for low, high in ((y0, y1), (x0, x1))
    )
    inside = ((y > 30) & (y < 33))[:, None] & ((x > 30) & (x < 33))
    clear = np.abs(moved) > 0.2
    np.testing.assert_array_equal((moved > 0)[clear], inside[clear])
    assert clear.mean() > 0.8


def test_a_prior_in_the_mask_frame_is_seen_through_the_window_and_back() -> None:
    fit = FITS[0]
    disc = np.add(*(np.square(a - 32) for a in np.mgrid[:64, :64] + 0.5)) < 150
    logits = mask_logits(disc, fit, (32, 32))
    window = (12.0, 8.0, 52.0, 60.0)
    through = project(logits, fit, None, window, (SIDE, SIDE))
    back = project(through, fit, window, None, (32, 32))
    mask = full(pixel_mask(back, fit), fit.picture)
    assert np.count_nonzero(mask & disc) / np.count_nonzero(mask | disc) > 0.9
    rows, columns = np.nonzero(mask)
    assert rows.mean() == pytest.approx(31.5, abs=0.1)
    assert columns.mean() == pytest.approx(31.5, abs=0.1)
    assert back[0].max() == -MASK_LOGIT, "what the window does not cover is background"


@pytest.mark.parametrize("cells", [5, 24, 61])
def test_projecting_keeps_means_and_planes(cells: int) -> None:
    fit, window = FITS[0], (10.0, 20.0, 50.0, 44.0)
    flat = np.full((SIDE, SIDE), 2.5, dtype=np.float32)
    inner = (20.0, 26.0, 40.0, 38.0)
    np.testing.assert_allclose(project(flat, fit, window, inner, (cells, cells)), 2.5, rtol=1e-6)
    slope = np.arange(SIDE, dtype=np.float32)[None, :] + np.zeros((SIDE, 1), dtype=np.float32)
    got = project(slope, fit, window, inner, (cells, cells))
    at = 20 + 20 * (np.arange(cells) + 0.5) / cells
    np.testing.assert_allclose(got[0], (at - 10) * SIDE / 40 - 0.5, atol=1e-5)


def test_a_full_decoding_takes_a_prior_over_a_window() -> None:
    windowed = Windowed(STRETCH, FITS[0])
    prior = WindowLogits(np.full((SIDE, SIDE), 5.0, np.float32), (16.0, 16.0, 48.0, 48.0))
    encoder = FakePromptEncoder()
    faces = TwoFaces(encoder, FakeMaskDecoder(), windowed.bundle.taps)
    SamDecoder(windowed.bundle, faces).decode(
        windowed.embedding, Prompts((Prompt(1, box=(9.0, 9.0, 50.0, 50.0), mask=prior),))
    )
    [given] = encoder.calls[0]["mask_input"][0]
    assert given.shape == (CELLS, CELLS)
    assert given[4:12, 4:12].min() == 5
    assert given[0].max() == -MASK_LOGIT


def test_without_its_face_a_bundle_with_a_rule_decodes_in_full() -> None:
    windowed = Windowed(STRETCH, FITS[0])
    faces = TwoFaces(FakePromptEncoder(), windowed.full, windowed.bundle.taps)
    decoder = SamDecoder(windowed.bundle, faces)
    assert decoder.roi is None
    prompt = Prompt(1, box=(1.0, 1.0, 9.0, 9.0))
    masks = decoder.decode(windowed.embedding, Prompts((prompt,)))
    assert masks.low_res.shape == (1, CELLS, CELLS)


def test_the_rule_is_written_and_read_back() -> None:
    for rule in (STRETCH, TOKENS):
        assert RoiRule.parse(Fields(rule.document(), "roi")) == rule


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "roi.mask_size"),
        ({"mask_size": [8, 8], "policy": "crop"}, "roi.policy"),
        ({"mask_size": [8, 8], "policy": "tokens"}, "roi.tokens"),
        ({"mask_size": [8, 8], "policy": "tokens", "tokens": 0}, "roi.tokens"),
        ({"mask_size": [8, 8], "margin": -0.1}, "roi.margin"),
        ({"mask_size": [8, 8], "prompt_kinds": ["point"]}, "box"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(fields, named) -> None:
    with pytest.raises(ValueError, match=named):
        RoiRule.parse(Fields(fields, "roi"))


def test_a_bundle_states_role_and_rule_together() -> None:
    record = bundle(roi=STRETCH, files={})
    document = record.document()
    document["files"] = {f"{n}.onnx": {"sha256": "0" * 64, "bytes": 1} for n in "epmr"}
    with pytest.raises(BundleError, match="belong together"):
        Bundle.from_document(document)
    document["roles"]["decoder_roi"] = "r.onnx"
    assert Bundle.from_document(document).roi == STRETCH
    del document["roi"]
    with pytest.raises(BundleError, match="belong together"):
        Bundle.from_document(document)


def test_a_graph_that_cannot_know_where_is_refused() -> None:
    inputs = {k: v for k, v in FakeRegionDecoder.inputs.items() if k != "windows"}
    with pytest.raises(BundleError, match="windows"):
        RegionFace(FakeRegionDecoder(inputs=inputs), {})


def test_when_it_is_used() -> None:
    measured = RoiRule((8, 8), default=True)
    assert not wanted("auto", STRETCH, "m")
    assert wanted("auto", measured, "m")
    assert wanted("on", STRETCH, "m")
    assert not wanted("off", measured, "m")
    assert not wanted("auto", None, "m")
    with pytest.raises(UsageError, match="no region-of-interest"):
        wanted("on", None, "m")
    with pytest.raises(UsageError, match="--region-decode"):
        wanted("maybe", measured, "m")


def test_followed_objects_are_decoded_in_full_where_the_rule_says_so() -> None:
    fit = Fit((64, 64), (64, 64), (64, 64), (64, 64))
    tokens = Tokens(
        np.array([[10, 10], [30, 30]], np.float32), np.array([BOX_LOW, BOX_HIGH], np.float32)
    )
    rule = replace(STRETCH, follows=False)
    prior = np.zeros((16, 16), np.float32)
    box = (10.0, 10.0, 30.0, 30.0)
    followed = Prompt(1, box=box, mask=prior)
    corrected = Prompt(1, box=box, mask=prior, points=((20.0, 20.0),), labels=(1,))
    assert rule.window(followed, tokens, fit) is None
    assert STRETCH.window(followed, tokens, fit) is not None
    assert rule.window(Prompt(1, box=box), tokens, fit) is not None
    assert rule.window(corrected, tokens, fit) is not None
    assert RoiRule.parse(Fields(rule.document(), "roi")) == rule


@pytest.mark.parametrize("fit", FITS)
def test_what_points_found_is_looked_at_once_more(fit: Fit) -> None:
    corner = (0.02 * fit.picture[1], 0.02 * fit.picture[0])  # the fake finds the upper rows
    asked = Prompt(1, points=(corner,), labels=(1,))
    plain, closer = Windowed(STRETCH, fit), Windowed(replace(STRETCH, refines=True), fit)
    (first,), (second,) = plain.ask(asked).masks, closer.ask(asked).masks
    assert not plain.region.calls and len(closer.region.calls) == 1
    (call,) = closer.region.calls
    assert call["has_mask_input"].all() and (call["point_labels"] == 1).sum() == 1
    low, high = np.array(first.region.start[::-1]), np.array(first.region.stop[::-1])
    margin = max(1.0, 0.06 * float((high - low).max()))
    expected = pixels_of((*(low - margin), *(high + margin)), fit.picture)
    assert np.array_equal(full(second, fit.picture), expected)  # the fake answers the box
    assert isinstance(closer.ask(asked).low_res[0], WindowLogits)


def test_only_points_alone_are_looked_at_once_more() -> None:
    both = Windowed(replace(STRETCH, refines=True), FITS[0])
    box, point = (8.0, 8.0, 40.0, 40.0), ((32.0, 32.0),)
    both.ask(Prompt(1, box=box), Prompt(2, box=box, points=point, labels=(1,)))
    assert sum(len(call["windows"]) for call in both.region.calls) == 2
    far = Prompt(3, points=((32.0, 32.0), (63.0, 63.0)), labels=(1, 1))
    kept = Windowed(RoiRule((SIDE, SIDE), margin=0.25, refines=True), FITS[0])
    kept.ask(far)
    assert not kept.region.calls, "a graph that takes no points is not asked about them"
    rule = replace(STRETCH, refines=True)
    assert RoiRule.parse(Fields(rule.document(), "roi")) == rule
