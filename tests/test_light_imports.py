"""Commands that only look around import nothing heavy: proved in a fresh process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from samovar.discovery import find_candidates
from samovar.doctor import HEAVY

PROBE = """
import contextlib, io, json, sys
from samovar.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    code = main({arguments!r})
print(json.dumps([code, len(out.getvalue()), [m for m in {heavy!r} if m in sys.modules]]))
"""


def loaded_by(arguments: list[str]) -> tuple[int, int, list[str]]:
    code = PROBE.format(arguments=arguments, heavy=HEAVY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAMOVAR_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return tuple(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["segment", "--help"],
        ["plugins", "list"],
        ["models", "list"],
        ["models", "list", "--json"],
    ],
    ids=" ".join,
)
def test_looking_around_is_light(arguments):
    if arguments[0] == "models":
        pytest.importorskip("samovar_laptop")
    code, length, heavy = loaded_by(arguments)
    assert code == 0
    assert length > 10
    assert heavy == []


def test_the_probe_sees_heavy_imports():
    pytest.importorskip("onnxruntime")
    code = f"import sys, onnxruntime\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "onnxruntime" in done.stdout


@pytest.mark.parametrize("candidate", find_candidates()[0], ids=lambda c: c.distribution)
def test_entry_module_is_light(candidate):
    if not candidate.distribution.startswith("samovar"):
        pytest.skip("a third party's plugin: samovar plugins doctor looks at it")
    module = candidate.value.partition(":")[0]
    code = f"import sys, {module}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
