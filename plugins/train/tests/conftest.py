"""Fixtures: the shared data folder (skips where absent) and a tiny synthetic pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samovar_train.data.catalogue import shared_data
from samovar_train.data.echoes import blob_scene
from samovar_train.data.packing import write_pack
from samovar_train.data.sections import ct_section


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shared: needs the shared sample data")


@pytest.fixture(scope="session")
def data() -> Path:
    try:
        return shared_data()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def toy_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy_pack")
    makers = (blob_scene, ct_section)
    items = [makers[i % 2](np.random.default_rng(i)) for i in range(8)]
    # the same "about" as a recipe with seed 1 and no scenes: build_pack takes it as it is
    write_pack(folder, items, {"seed": 1, "scenes": {}, "format": 1})
    return folder
