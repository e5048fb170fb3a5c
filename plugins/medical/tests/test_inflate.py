"""Compressed streams: whole, cut, damaged, in several members, with something behind them."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from samovar.errors import InputError
from samovar_medical.inflate import unpacked

CONTENT = np.random.default_rng(0).integers(0, 200, 700_000).astype(np.uint8).tobytes()


def read(tmp_path, data, offset=0, promised=len(CONTENT)):
    path = tmp_path / "stream"
    path.write_bytes(data)
    return b"".join(unpacked("stream", path, offset, promised))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_whole_streams(tmp_path, pack):
    assert read(tmp_path, b"head" + pack(CONTENT), 4) == CONTENT


def test_several_members_are_one(tmp_path):
    data = gzip.compress(CONTENT[:300_000]) + gzip.compress(b"") + gzip.compress(CONTENT[300_000:])
    assert read(tmp_path, data) == CONTENT


@pytest.mark.parametrize("tail", [b"\0" * 512, b"\n", b"anything"])
def test_what_follows_is_ignored(tmp_path, tail):
    assert read(tmp_path, gzip.compress(CONTENT) + tail) == CONTENT


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
def test_cut_streams(tmp_path, part):
    data = gzip.compress(CONTENT)
    with pytest.raises(InputError, match="truncated"):
        read(tmp_path, data[: int(part * len(data))])


@pytest.mark.parametrize("at", [0, 1000, -100, -6])
def test_damaged_streams(tmp_path, at):
    data = bytearray(gzip.compress(CONTENT))
    data[at] ^= 0x55
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path, bytes(data))
