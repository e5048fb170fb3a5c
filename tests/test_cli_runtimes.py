"""``samovar runtimes``, and what ``models info`` says of what was timed here."""

from __future__ import annotations

import json
import sys

import pytest

from samovar.cli.main import main
from samovar.models import load_model
from samovar.plugins import registry
from samovar.specs import RuntimeSpec
from test_bundle import write_bundle
from test_choice import both  # noqa: F401 - a fixture
from test_models import plugin


class Broken:
    def __init__(self):
        raise OSError("no driver")


@pytest.fixture
def four(both, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "test_cli_runtimes", sys.modules[__name__])
    absent = RuntimeSpec(name="absent", target="a:B", requires=("no_such_module_here",))
    broken = RuntimeSpec(name="broken", target="test_cli_runtimes:Broken")
    registry().register(plugin(samovar_runtimes=[broken, absent]), "acme-more")


def test_they_are_listed_in_the_order_of_preference(four, capsys):
    assert main(["runtimes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["runtimes"]
    names = [r["name"] for r in rows]
    assert names == [
        "acme/onnxruntime", "acme/openvino", "acme-more/absent", "acme-more/broken"
    ]  # fmt: skip
    assert rows[0]["devices"] == ["cpu"]
    assert rows[0]["problem"] == ""
    assert rows[2]["problem"] == "missing: pip install no_such_module_here"
    assert "no driver" in rows[3]["problem"]


def test_for_a_person_it_is_a_table(four, capsys):
    assert main(["runtimes"]) == 0
    out = capsys.readouterr().out
    assert "ready" in out
    assert "pip install no_such_module_here" in out


def test_info_says_what_was_timed_here(four, tmp_path, capsys):
    folder = write_bundle(tmp_path / "b")
    assert main(["models", "info", str(folder), "--json"]) == 0
    assert "timed_here" not in json.loads(capsys.readouterr().out)
    load_model(folder, runtime="auto", threads=2)
    assert main(["models", "info", str(folder), "--json"]) == 0
    [timed] = json.loads(capsys.readouterr().out)["timed_here"]
    assert (timed["chosen"], timed["threads"]) == ("acme/openvino in fp32", 2)
    assert "acme/onnxruntime in fp32 0.4 s" in timed["why"]
