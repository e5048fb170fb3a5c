"""A consent is kept for a model and its licence, and for nothing else."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from samovar.consents import recall, remember
from samovar.errors import OutputError, UsageError
from samovar.licences import require_accepted


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path))
    return tmp_path


def test_what_was_accepted_once_needs_no_second_question():
    with pytest.raises(UsageError):
        require_accepted("big", ("big",), "CC-BY-NC-4.0", ())
    remember(("Big", "acme/big"), "CC-BY-NC-4.0")
    require_accepted("big", ("big",), "CC-BY-NC-4.0", ())
    require_accepted("it", ("ACME/big",), "CC-BY-NC-4.0", ())
    consent = recall(("", "other", "acme/big"), "CC-BY-NC-4.0")
    assert consent is not None and consent.model == "acme/big"
    assert datetime.date.fromisoformat(consent.accepted)


@pytest.mark.parametrize(
    ("name", "licence"), [("big", "AGPL-3.0-only"), ("bigger", "CC-BY-NC-4.0")]
)
def test_another_licence_or_model_is_asked_about(name, licence):
    remember(("big",), "CC-BY-NC-4.0")
    assert recall((name,), licence) is None
    with pytest.raises(UsageError):
        require_accepted(name, (name,), licence, ())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "big"}', "\ud800"])
def test_a_broken_record_counts_as_none(cache, text):
    remember(("big",), "CC-BY-NC-4.0")
    [record] = (cache / "consents").iterdir()
    record.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert recall(("big",), "CC-BY-NC-4.0") is None


def test_a_record_of_another_model_counts_as_none(cache):
    remember(("big",), "CC-BY-NC-4.0")
    (cache / "consents" / "big.json").replace(cache / "consents" / "small.json")
    assert recall(("small",), "CC-BY-NC-4.0") is None


def test_a_cache_that_cannot_be_written_is_said(cache):
    (cache / "consents").write_text("a file in the way")
    with pytest.raises(OutputError, match="SAMOVAR_CACHE"):
        remember(("big",), "CC-BY-NC-4.0")
    assert [p.name for p in cache.iterdir()] == ["consents"]
