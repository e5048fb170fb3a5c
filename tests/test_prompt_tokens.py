"""Where boxes and points land in a prompt frame."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.embedding import Fit
from samovar.errors import PromptError
from samovar.prompt_tokens import tokens_of
from samovar.prompts import Prompt

FIT = Fit(picture=(50, 100), content=(32, 64), encode=(64, 64), frame=(128, 128))
"""Frame units a pixel: 64/100·2 = 1.28 in both directions."""


def test_continuous_coordinates_count_from_the_pixel_s_edge():
    prompt = Prompt(1, box=(0, 10, 100, 50), points=((0, 0), (99, 49)), labels=(1, 0))
    tokens = tokens_of(prompt, FIT, "continuous")
    wanted = [[0.64, 0.64], [127.36, 63.36], [0, 12.8], [128, 64]]
    np.testing.assert_allclose(tokens.coords, wanted, rtol=1e-6)
    assert tokens.labels.tolist() == [1, 0, 2, 3]
    assert tokens.coords.dtype == np.float32


def test_scaled_coordinates_are_multiplied_as_they_are():
    prompt = Prompt(1, box=(0, 10, 100, 50), points=((10, 20),), labels=(1,))
    tokens = tokens_of(prompt, FIT, "scaled")
    np.testing.assert_allclose(tokens.coords, [[12.8, 25.6], [0, 12.8], [128, 64]], rtol=1e-6)


def test_stretched_pictures_have_a_scale_a_direction():
    fit = Fit((50, 100), (64, 64), (64, 64), (64, 64))
    tokens = tokens_of(Prompt(1, box=(0, 0, 100, 50)), fit, "scaled")
    np.testing.assert_allclose(tokens.coords, [[0, 0], [64, 64]])


def test_without_a_box_one_padding_token_follows():
    tokens = tokens_of(Prompt(1, points=((1, 1), (2, 2)), labels=(1, 1)), FIT, "scaled")
    assert tokens.labels.tolist() == [1, 1, -1]
    assert tokens.coords[2].tolist() == [0, 0]


def test_a_one_pixel_box_spans_one_pixel():
    tokens = tokens_of(Prompt(1, box=(10, 20, 11, 21)), FIT, "continuous")
    np.testing.assert_allclose(tokens.coords[1] - tokens.coords[0], [1.28, 1.28], rtol=1e-5)


def test_padding_to_a_length_adds_nothing_but_padding():
    tokens = tokens_of(Prompt(1, box=(1, 2, 3, 4)), FIT, "scaled").padded(5)
    assert tokens.labels.tolist() == [2, 3, -1, -1, -1]
    assert not tokens.coords[2:].any()


@pytest.mark.parametrize(
    "prompt",
    [Prompt(1, box=(0, 0, 0, 1, 1, 1)), Prompt(1, points=((1, 2, 3),), labels=(1,))],
)
def test_three_dimensions_are_refused_in_a_view(prompt):
    with pytest.raises(PromptError, match="2-D"):
        tokens_of(prompt, FIT, "scaled")
