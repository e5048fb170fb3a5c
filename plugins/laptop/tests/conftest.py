"""Makes the graphs of this folder importable."""

from __future__ import annotations

import os
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


@pytest.fixture
def shared() -> Path:
    """The shared sample data; the test is skipped where it is absent."""
    place = os.environ.get("SAMOVAR_SHARED") or Path(__file__).resolve().parents[4] / "shared"
    if not (Path(place) / "data" / "MANIFEST.json").is_file():
        pytest.skip(f"no shared sample data in {place}: set SAMOVAR_SHARED")
    return Path(place)
