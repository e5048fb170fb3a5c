"""The region decoder: what it computes is the full decoder's, over a part of the cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from deterministic import fill

from samovar_encoders.export import TOLERANCE, export_role
from samovar_encoders.importing import region_rule
from samovar_encoders.registry import RECORDS, record
from samovar_encoders.roles import DecoderRole, PromptRole, RegionRole, names_of, sample_inputs

NAMES = ("nanosam", "efficient-sam-ti", "hq-sam-light", "edgetam", "lite-medsam")


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_window_of_everything_is_the_full_decoding(name: str) -> None:
    class Whole(type(record(name))):
        region_tokens = property(lambda self: self.grid)  # type: ignore[assignment]

    rules = Whole(**vars(record(name)))
    model = fill(rules.build())
    features, windows, *asked = split(sample_inputs(model, rules, "decoder_roi", 2, 3), model)
    assert windows.tolist() == [[0, 0, rules.frame.size, rules.frame.size]] * 2
    masks, quality = RegionRole(model, rules)(*features, windows, *asked)
    embeddings = PromptRole(model, rules)(*asked)
    wanted, its_quality = DecoderRole(model, rules)(*features, *embeddings)
    scale = float(wanted.abs().max())
    torch.testing.assert_close(masks, wanted, atol=2e-5 * scale, rtol=0)
    torch.testing.assert_close(quality, its_quality, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_it_sees_its_own_cells_and_nothing_else(name: str) -> None:
    rules = record(name)
    model = fill(rules.build())
    features, windows, *asked = split(sample_inputs(model, rules, "decoder_roi", 2, 3), model)
    window = windows[:1]
    one = [window, *(a[:1] for a in asked)]
    role = RegionRole(model, rules)
    before = role(*features, *one)[0]
    x0, y0, x1, y1 = (int(v) // rules.stride for v in window[0])
    outside, inside = [], []
    for array in features:
        times = array.shape[-1] // rules.grid
        here = torch.zeros(array.shape[-2:], dtype=torch.bool)
        here[y0 * times : y1 * times, x0 * times : x1 * times] = True
        outside.append(torch.where(here, array, torch.full_like(array, 7.0)))
        inside.append(torch.where(here, array + 1, array))
    torch.testing.assert_close(role(*outside, *one)[0], before, atol=0, rtol=0)
    assert not torch.equal(role(*inside, *one)[0], before)


def test_the_graph_answers_what_torch_does(tmp_path: Path) -> None:
    rules = replace(record("lite-medsam"))
    model = fill(rules.build())
    assert export_role(model, rules, "decoder_roi", tmp_path / "r.onnx") < TOLERANCE


def test_every_bundle_has_a_rule_that_fits_its_grid() -> None:
    for rules in RECORDS.values():
        if rules.can_be_bundle:
            rule = region_rule(rules)
            assert rule.tokens * rule.stride * 4 == rules.frame.size, rules.name
            assert not rule.default, "real weights were not measured"
            assert set(rule.prompt_kinds) <= set(rules.frame.kinds)


def split(arrays, model):
    count = len(names_of(model, record("nanosam"), "encoder")[1])
    return [list(arrays[:count]), *arrays[count:]]
