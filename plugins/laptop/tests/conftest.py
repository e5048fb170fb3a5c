"""Makes the graphs of this folder importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where graphs are exported to."""
    made = tmp_path / "graphs"
    made.mkdir()
    return made
