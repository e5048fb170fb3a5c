"""Private words: what is hidden, and what is let be."""

import pytest

from samovar import privacy


def test_words_are_hidden_wherever_they_stand():
    privacy.keep_private(["Quastelberg", "MRN-77 30419"])
    said = "/data/QUASTELBERG^A/quastelbergs_ct/mrn7730419.dcm: is damaged"
    assert privacy.hide(said) == "/data/[private]^A/[private]s_ct/[private].dcm: is damaged"
    assert privacy.names_somebody("x_quastelberg")
    assert not privacy.names_somebody("ct")


def test_short_words_are_hidden_only_as_words():
    privacy.keep_private(["Lee", "Ann"])
    assert privacy.hide("/lee_ann/ct of the sleeve, channel 1") == (
        "/[private]_[private]/ct of the sleeve, channel 1"
    )


@pytest.mark.parametrize("word", ["", "A", "Li", "Anonymous", "anon", "PATIENT", "^"])
def test_words_that_name_nobody_are_let_be(word):
    privacy.keep_private([word])
    said = "anon patient Li A Anonymous ^"
    assert privacy.hide(said) == said


def test_words_may_hold_anything():
    privacy.keep_private(["O'Brien (jr.)", "[a-z]+.*"])
    assert privacy.hide("o'brien (JR.) at 5") == "[private].) at 5"
    assert privacy.hide("abc") == "abc"
