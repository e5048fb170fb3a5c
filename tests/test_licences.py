"""Whose weights run without a word, and whose do not."""

from __future__ import annotations

import pytest

from samovar.errors import UsageError
from samovar.licences import require_accepted, restriction


@pytest.mark.parametrize(
    "licence",
    ["Apache-2.0", "mit", "CC-BY-4.0", "CC-BY-SA-4.0", "MIT AND Apache-2.0",
     "CC-BY-NC-4.0 OR MIT", "(MIT OR Apache-2.0)"],
)  # fmt: skip
def test_free_licences_need_no_consent(licence):
    assert restriction(licence) is None


@pytest.mark.parametrize(
    ("licence", "why"),
    [
        ("", "no licence"),
        ("unknown", "no licence"),
        ("CC-BY-NC-4.0", "commercial"),
        ("CC-BY-NC-SA-4.0", "commercial"),
        ("PolyForm-Noncommercial-1.0.0", "commercial"),
        ("MIT AND CC-BY-NC-4.0", "commercial"),
        ("AGPL-3.0-only", "copyleft"),
        ("LicenseRef-Acme", "not one of"),
    ],
)
def test_restricted_licences_say_why(licence, why):
    assert why in str(restriction(licence))


def test_refusal_names_licence_and_option():
    with pytest.raises(UsageError, match=r"CC-BY-NC-4\.0.*--accept-license big"):
        require_accepted("big", ("big", "acme/big"), "CC-BY-NC-4.0", ())


@pytest.mark.parametrize("answer", ["big", "acme/big", "ACME/BIG", "cc-by-nc-4.0"])
def test_the_model_or_its_licence_may_be_accepted(answer):
    require_accepted("big", ("big", "acme/big"), "CC-BY-NC-4.0", ("other", answer))


def test_another_acceptance_does_not_count():
    with pytest.raises(UsageError):
        require_accepted("big", ("big",), "", ("other", ""))
