"""Nothing that is kept for validation, or was never to be trained on, reaches a pack."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from samovar_train.data.catalogue import (
    BANEPA_TRAIN_ROWS,
    hippocampus_training_cases,
    pair_sets,
    read_manifest,
    trainable,
)
from samovar_train.data.sources import banepa_items, pair_items

pytestmark = pytest.mark.shared


def test_train_false_sets_give_no_stems(data: Path) -> None:
    sets = pair_sets(data)
    unseen = [s for s in sets if not s.train]
    assert unseen and all(s.training_stems() == [] for s in unseen)


def test_validation_stems_are_not_trained_on(data: Path) -> None:
    for pairs in pair_sets(data):
        assert not set(pairs.training_stems()) & set(pairs.validation), pairs.name
        if pairs.train:
            assert pairs.validation and set(pairs.validation) <= set(pairs.stems()), pairs.name


def test_packed_pairs_are_training_stems(data: Path) -> None:
    records = {
        Path(d["path"]).name: d for d in read_manifest(data)["datasets"] if d["kind"] == "pairs"
    }
    seen = set()
    for item in pair_items(data):
        record = records[item.source]
        seen.add(item.source)
        assert record["train"] and item.stem not in record["validation"]
    assert len(seen) > 15


def test_banepa_rows_end_where_validation_begins(data: Path) -> None:
    windows = [(item.stem, item.image.shape) for item in banepa_items(data)]
    assert windows
    for stem, shape in windows:
        assert int(stem[1:].split("x")[0]) + shape[0] <= BANEPA_TRAIN_ROWS == 2560


def test_hippocampus_fifth_is_held_back(data: Path) -> None:
    cases = hippocampus_training_cases(data)
    assert len(cases) > 100 and all(zlib.crc32(c.encode()) % 5 for c in cases)


def test_headline_volume_is_not_trainable(data: Path) -> None:
    assert not trainable(data, "totalsegmentator_ref")
    assert not trainable(data, "no such set")
