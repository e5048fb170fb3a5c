"""``samovar models``: list, info, verify."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("samovar_laptop")


def test_list(samovar):
    ran = samovar("models", "list")
    assert ran.code == 0
    assert "samovar-laptop/tiny" in ran.out
    names = [m["name"] for m in json.loads(samovar("models", "list", "--json").out)["models"]]
    assert "samovar-laptop/tiny" in names


def test_list_without_models(site, samovar, monkeypatch):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar")
    ran = samovar("models", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "pip install samovar-laptop" in ran.err


def test_info_by_name_and_by_folder(samovar, tmp_path):
    from samovar.catalogue import look_up

    folder = shutil.copytree(look_up("tiny").folder, tmp_path / "model")
    for name in ("tiny", "samovar-laptop/tiny", folder):
        ran = samovar("models", "info", name)
        assert ran.code == 0
        assert "encoder.onnx:" in ran.out
        assert "{'" not in ran.out
        record = json.loads(samovar("models", "info", name, "--json").out)
        assert record["encode_size"]
        assert record["weights_sha256"] in ran.out


def test_verify(samovar):
    ran = samovar("models", "verify", "tiny")
    assert ran.code == 0
    assert "are as they should be" in ran.out
    record = json.loads(samovar("models", "verify", "tiny", "--json").out)
    assert record["ok"] is True
    assert all(len(digest) == 64 for digest in record["files"].values())


@pytest.mark.parametrize("command", ["info", "verify"])
def test_unknown(samovar, command):
    ran = samovar("models", command, "tny", "--json")
    assert ran.code == 2
    assert "nearest: tiny" in json.loads(ran.out)["error"]
