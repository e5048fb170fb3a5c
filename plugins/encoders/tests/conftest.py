"""Where the parity fixtures are, and what to say when they are not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # its helper modules

REPOSITORY = Path(__file__).resolve().parents[3]


def parity_folder() -> Path | None:
    """``$SAMOVAR_SHARED/parity`` or ``<repository>/../shared/parity``."""
    shared = Path(os.environ.get("SAMOVAR_SHARED") or REPOSITORY.parent / "shared")
    folder = shared / "parity"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def parity() -> Path:
    folder = parity_folder()
    if folder is None:
        pytest.skip("no parity fixtures: set SAMOVAR_SHARED to the folder that holds parity/")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
