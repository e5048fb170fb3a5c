"""Where samovar keeps what it fetched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from samovar.folders import as_file_name, cache_folder, weights_folder


def test_the_user_s_choice_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    assert weights_folder("acme/big+") == tmp_path / "here" / "weights" / "acme" / "big+"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "{tmp}/xdg"}, "{tmp}/xdg/samovar"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/samovar"),
        ("linux", {}, "{home}/.cache/samovar"),
        ("darwin", {"XDG_CACHE_HOME": "{tmp}/xdg"}, "{home}/Library/Caches/samovar"),
        ("win32", {"LOCALAPPDATA": "{tmp}/local"}, "{tmp}/local/samovar/Cache"),
        ("win32", {}, "{home}/AppData/Local/samovar/Cache"),
    ],
)
def test_every_platform_has_its_place(monkeypatch, tmp_path, platform, variables, expected):
    for name in ("SAMOVAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(expected.format(tmp=tmp_path, home=Path.home()))


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b", "c:d", "né", "a b", ".hidden", "a%2Fb"])
def test_a_name_never_leaves_its_folder(name):
    plain = as_file_name(name)
    assert not set(plain) & set('/\\:*?"<>| ') and plain.isascii() and not plain.startswith(".")


def test_different_names_stay_different():
    names = ["a/b", "a%2Fb", "a_b", "a b", "..", "%2E."]
    assert len({as_file_name(n) for n in names}) == len(names)
