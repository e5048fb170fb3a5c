"""What is remembered of the runtimes' speed."""

from __future__ import annotations

import json
import os

import pytest

from samovar import timings
from samovar.folders import cache_folder
from samovar.timings import Timing, Timings, kept, recall, remember

IDENTITY = {"processor": "a", "threads": 2, "weights": {"fp32": "0" * 64}, "candidates": [["x"]]}
TIMINGS = Timings(
    (Timing("acme/slow in fp32", "1", 0.5, 0.25, 0.1), Timing("acme/gone in fp32", failed="no")),
    8,
    "2026-01-02",
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path / "cache"))


def files():
    return sorted((cache_folder() / "timings").glob("*"))


def test_what_was_remembered_is_recalled():
    assert recall(IDENTITY) is None
    assert remember(IDENTITY, TIMINGS)
    assert recall(IDENTITY) == TIMINGS
    assert [t for i, t in kept() if i["processor"] == "a"] == [TIMINGS]


@pytest.mark.parametrize(
    "change", [{"processor": "b"}, {"threads": 1}, {"weights": {"fp32": "1" * 64}}, {"more": 1}]
)
def test_another_identity_has_timings_of_its_own(change):
    remember(IDENTITY, TIMINGS)
    assert recall({**IDENTITY, **change}) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"identity": 3}', '{"identity": {}, "timings": []}', "\x00" * 40],
)
def test_a_file_that_cannot_be_read_counts_as_none(text):
    remember(IDENTITY, TIMINGS)
    [file] = files()
    file.write_text(text)
    assert recall(IDENTITY) is None
    assert list(kept()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"encode_s": "fast"},
        {"encode_s": float("nan")},
        {"failed": "x"},  # then nothing was timed at all
        {"strange": 1},
    ],
)
def test_figures_that_make_no_sense_count_as_none(change):
    remember(IDENTITY, TIMINGS)
    [file] = files()
    document = json.loads(file.read_text())
    document["timings"][0].update(change)
    file.write_text(json.dumps(document))
    assert recall(IDENTITY) is None


def test_a_copied_file_of_another_identity_is_not_believed():
    remember(IDENTITY, TIMINGS)
    [file] = files()
    document = json.loads(file.read_text())
    document["identity"]["processor"] = "b"
    file.write_text(json.dumps(document))
    assert recall(IDENTITY) is None


def test_the_folder_is_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(timings, "MOST_KEPT", 3)
    for number in range(5):
        remember({**IDENTITY, "threads": number}, TIMINGS)
        for file in files():
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 10))
    assert len(files()) == 3
    found = [recall({**IDENTITY, "threads": number}) is not None for number in range(5)]
    assert found == [False, False, True, True, True]


def test_a_folder_that_cannot_be_written_is_said_and_no_error(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("SAMOVAR_CACHE", str(blocked))
    assert remember(IDENTITY, TIMINGS) is False
    assert recall(IDENTITY) is None


def test_nothing_half_written_is_left(monkeypatch):
    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(type(cache_folder()), "replace", fail)
    assert remember(IDENTITY, TIMINGS) is False
    assert files() == []


def test_the_sentence_begins_with_what_was_chosen():
    both = Timings(
        (Timing("a in fp32", "1", 0.5, 0.25), Timing("b in fp32", "2", 0.2, 0.1),
         Timing("c in fp32", failed="broken")), 8, "2026-01-02",
    )  # fmt: skip
    assert both.sentence("b in fp32") == (
        "b in fp32 0.3 s; a in fp32 0.75 s for a picture with 8 objects, timed 2026-01-02; "
        "c in fp32 failed"
    )
