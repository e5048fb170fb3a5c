"""Resampling against torch and Pillow; sizes, frames and boxes against the rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deterministic import picture

from samovar.prompt_tokens import tokens_of
from samovar.prompts import Prompt
from samovar.resize import prepare as prepare_by_host
from samovar_encoders import preprocess, resampling
from samovar_encoders.importing import preparation
from samovar_encoders.registry import RECORDS, record
from samovar_encoders.rules import Resize

SIZES = [(384, 512), (100, 333), (600, 700), (480, 640)]
IMAGE = picture(1, 480, 640)


def in_torch(image: np.ndarray, size: tuple[int, int], **options: bool) -> np.ndarray:
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    out = F.interpolate(planes, size=size, mode="bilinear", align_corners=False, **options)
    return out[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", SIZES)
def test_uint8_is_torchs_to_the_grey_level(size: tuple[int, int]) -> None:
    np.testing.assert_array_equal(resampling.linear_uint8(IMAGE, size), in_torch(IMAGE, size))


@pytest.mark.parametrize("size", SIZES)
def test_float_kernels_are_torchs(size: tuple[int, int]) -> None:
    image = IMAGE / np.float32(255)
    np.testing.assert_allclose(resampling.linear(image, size), in_torch(image, size), atol=2e-6)
    np.testing.assert_allclose(
        resampling.triangle(image, size), in_torch(image, size, antialias=True), atol=2e-6
    )


@pytest.mark.parametrize("kernel", sorted(resampling.KERNELS))
@pytest.mark.parametrize("size", [(7, 5), (33, 90)])
def test_a_flat_picture_stays_flat(kernel: str, size: tuple[int, int]) -> None:
    flat = np.full((21, 34, 3), 201, np.uint8)
    out = resampling.KERNELS[kernel](flat, size)
    assert out.shape == (*size, 3)
    assert np.abs(out.astype(float) - 201).max() <= 1  # OpenCV's linear cuts bits off


def test_area_is_the_mean_over_whole_blocks() -> None:
    image = IMAGE[:, :, :1]
    means = image.reshape(160, 3, 160, 4, 1).mean(axis=(1, 3))
    out = resampling.area(image, (160, 160)).astype(float)
    assert np.abs(out - means).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(
    ("original", "rule", "wanted"),
    [
        ((480, 640), Resize(), (768, 1024)),
        ((333, 1000), Resize(), (341, 1024)),
        ((334, 999), Resize(rounding="down"), (342, 1024)),
        ((10, 4000), Resize("opencv-area", "stretch"), (1024, 1024)),
    ],
)
def test_content_size(original, rule: Resize, wanted) -> None:
    assert preprocess.content_size(original, 1024, rule) == wanted


def test_boxes_are_truncated_where_upstream_does() -> None:
    rules = record("lite-medsam")
    box = preprocess.box_to_frame(
        np.array([101, 63, 333, 401]), (480, 640), rules.frame, rules.resize
    )
    np.testing.assert_array_equal(box, [40, 25, 133, 160])


@pytest.mark.parametrize("name", [r.name for r in RECORDS.values() if r.dimensions == 2])
def test_every_model_prepares_any_picture(name: str) -> None:
    rules = record(name)
    prepared = preprocess.prepare(
        IMAGE[:75, :120], rules.encode_size, rules.resize, rules.normalise
    )
    assert prepared.pixels.shape == (3, rules.encode_size, rules.encode_size)
    assert prepared.pixels.dtype == np.float32
    assert np.isfinite(prepared.pixels).all()


@pytest.mark.parametrize("name", [r.name for r in RECORDS.values() if r.can_be_bundle])
@pytest.mark.parametrize("size", [(75, 120), (333, 1000)])
def test_a_bundle_prepares_the_picture_as_upstream_does(name: str, size: tuple[int, int]) -> None:
    """By the host's rules alone, to the last grey level where the model's predictor rounds."""
    rules, image = record(name), picture(0, *size)
    [ours], _ = prepare_by_host([image.transpose(2, 0, 1).astype(np.float32)], preparation(rules))
    theirs = preprocess.prepare(image, rules.encode_size, rules.resize, rules.normalise).pixels
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("name", [r.name for r in RECORDS.values() if r.can_be_bundle])
@pytest.mark.parametrize("size", [(480, 640), (333, 1000), (1001, 77)])
def test_a_bundle_scales_boxes_as_upstream_does(name: str, size: tuple[int, int]) -> None:
    rules = record(name)
    box = (10.25, 3.5, 0.9 * size[1], 0.8 * size[0])
    rule = preparation(rules)
    ours = tokens_of(Prompt(1, box=box), rule.fit(size), rule.prompt_coordinates).coords
    frame = replace(rules.frame, whole_boxes=False)  # truncated in the graph
    theirs = preprocess.box_to_frame(np.array(box), size, frame, rules.resize)
    np.testing.assert_allclose(ours.ravel(), theirs, rtol=1e-6)
