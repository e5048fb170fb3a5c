"""The tutorials' commands, run in order in an empty folder; the links of the documentation."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from samovar.formats import split_output

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("*.md"))
MADE = ("docs/models/tiny.md", "docs/benchmarks/README.md")
"""Pages that `make card` and `make bench` write: they may be missing from a fresh checkout."""
_BLOCK = re.compile(r"<!-- run -->\n```console\n(.*?)```", re.S)
_PYTHON = re.compile(r"<!-- run -->\n```python\n(.*?)```", re.S)
_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#]+)(?:#[^)]*)?\)")
_PROGRAMS = {
    "python": [sys.executable],
    "samovar": [
        sys.executable, "-c", "import sys; from samovar.cli.main import main; sys.exit(main())"
    ],
}  # fmt: skip


def commands(page: Path) -> list[list[str]]:
    """The marked commands of a page, each as arguments; then its marked Python."""
    written = page.read_text(encoding="utf-8")
    lines = "\n".join(_BLOCK.findall(written)).replace("\\\n", " ").splitlines()
    steps = [shlex.split(line, comments=True) for line in lines if line.strip()]
    return steps + [["python", "-c", code] for code in _PYTHON.findall(written)]


def outputs(command: list[str]) -> list[str]:
    """The files that a ``samovar`` command says it writes."""
    options = {"-o", "--output", "--preview", "--manifest"}
    if "--split-labels" in command:
        return []
    return [str(split_output(b)[1]) for a, b in pairwise(command) if a in options]


@pytest.mark.parametrize("page", TUTORIALS + HOW_TOS, ids=lambda p: p.stem)
def test_commands_run(page, tmp_path):
    pytest.importorskip("samovar_datasets")
    steps = commands(page)
    assert len(steps) >= 6 or page in HOW_TOS
    environment = {**os.environ, "PYTHONUTF8": "1"}
    for step in steps:
        done = subprocess.run(
            [*_PROGRAMS[step[0]], *step[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        line = shlex.join(step)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line
        for name in outputs(step):
            assert (tmp_path / name).exists(), f"{line} left no {name}"
        if "--json" in step:
            json.loads(done.stdout)


def test_there_are_tutorials():
    assert {"clinician", "gis-analyst"} <= {p.stem for p in TUTORIALS}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in _LINK.findall(text):
        path = (page.parent / target).resolve()
        made = path.relative_to(ROOT).as_posix() in MADE
        assert made or path.exists(), f"{page.name}: {target}"
