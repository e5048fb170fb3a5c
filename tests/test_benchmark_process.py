"""A case in a process of its own: what it is given, and how it answers or fails."""

from __future__ import annotations

import json

import pytest

from samovar.benchmark import process
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.process import CAPS, answer, pinned, run_case, run_module
from samovar.errors import UsageError

CASE = """
import os, sys
from samovar.benchmark.process import answer
from samovar.errors import UsageError

def case():
    if sys.argv[1] == "fails":
        raise UsageError("the kettle is empty")
    return {"asked": sys.argv[1], "threads": os.environ["OMP_NUM_THREADS"],
            "cap": os.environ.get("ONEDNN_MAX_CPU_ISA", "")}

sys.exit(answer(case, sys.argv[2]) if sys.argv[1] != "silent" else 0)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a case that a fresh process can import."""
    (tmp_path / "kettle_case.py").write_text(CASE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    return "kettle_case"


@pytest.mark.parametrize(("isa", "cap"), [("AVX2", "AVX2"), ("best", "")])
def test_a_case_has_one_thread_and_the_cap_and_answers(module, isa, cap):
    found = run_case(module, 7, environment=pinned(isa))
    assert found == {"asked": "7", "threads": "1", "cap": cap}


@pytest.mark.parametrize(
    ("argument", "message"),
    [("fails", "^the kettle is empty$"), ("silent", "kettle_case measured nothing")],
)
def test_a_case_that_fails_says_its_last_line(module, argument, message):
    with pytest.raises(BenchmarkError, match=message):
        run_case(module, argument, environment=pinned("best"))


def test_a_case_that_never_ends_is_ended(monkeypatch):
    def run(*_args, timeout, **_):
        raise process.subprocess.TimeoutExpired("case", timeout)

    monkeypatch.setattr(process.subprocess, "run", run)
    with pytest.raises(BenchmarkError, match="longer than 3600 s"):
        run_module("kettle_case")


def test_an_answer_is_json_and_a_failure_an_exit_code(tmp_path, capsys):
    result = tmp_path / "result.json"
    assert answer(lambda: {"ms": 1.5}, str(result)) == 0
    assert json.loads(result.read_text()) == {"ms": 1.5}

    def fails():
        raise UsageError("the kettle is empty")

    other = tmp_path / "other.json"
    assert answer(fails, str(other)) == UsageError.exit_code
    assert capsys.readouterr().err == "error: the kettle is empty\n"
    assert not other.exists()


def test_every_cap_but_the_last_names_what_is_left():
    assert [CAPS[name].get("ONEDNN_MAX_CPU_ISA") for name in CAPS] == ["AVX2", "AVX2_VNNI", None]
    assert pinned("best")["MKL_NUM_THREADS"] == "1"
