"""What is wrong with a checkpoint is said in one line, whatever the architecture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samovar_encoders import checkpoint
from samovar_encoders.checkpoint import fill_from_files
from samovar_encoders.errors import CheckpointError
from samovar_encoders.registry import RECORDS, record

FAMILIES = (
    "slimsam-77", "mobile-sam", "lite-medsam", "efficientvit-sam-l0", "efficient-sam-ti", "nanosam",
    "repvit-sam", "edge-sam", "hq-sam-light", "sam2.1-t", "edgetam", "esp-medsam",
)  # fmt: skip
"""One of each architecture, the smallest; SAM-Med2D, SAMed and the 3-D ones are ViT-Bs in this
respect and too large for these tests."""


def meta(name: str) -> nn.Module:
    """Shapes alone: a file that is wrong is refused before any weight is set."""
    with torch.device("meta"):
        return record(name).build()


QUICK = ("nanosam", "mobile-sam")
PARAMS = [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in FAMILIES]


@pytest.fixture(scope="module", params=PARAMS)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, Tensor], Path]]:
    """Name, state of zeros in half precision, and a folder."""
    shapes = {k: v.shape for k, v in meta(request.param).state_dict().items()}
    state = {k: torch.zeros(shape, dtype=torch.half) for k, shape in shapes.items()}
    with pytest.MonkeyPatch.context() as patch:
        few = {name: RECORDS[name] for name in FAMILIES}
        patch.setattr(checkpoint, "RECORDS", few)  # every known model is looked through
        yield request.param, state, tmp_path_factory.mktemp(request.param)


def refused(name: str, state: object, folder: Path) -> str:
    path = folder / "changed.pt"
    torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        fill_from_files(meta(name), record(name), [path])
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def first_weight(state: dict[str, Tensor]) -> str:
    return next(k for k, v in state.items() if k.endswith("weight") and v.ndim > 1)


@pytest.mark.filterwarnings("ignore:.*no-op")
def test_the_right_file_fits_wrapped_as_its_trainers_do(family) -> None:
    name, state, folder = family
    rules = record(name)
    wrapped = {rules.wrappers[0] if rules.wrappers else "model": state, "epoch": 3}
    torch.save(wrapped, folder / "good.pt")
    _, ignored = fill_from_files(meta(name), rules, [folder / "good.pt"])
    assert not ignored


def test_a_cut_file_is_said(family) -> None:
    name, state, folder = family
    path = folder / "cut.pt"
    torch.save(state, path)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    with pytest.raises(CheckpointError, match="cut off or not a checkpoint"):
        fill_from_files(meta(name), record(name), [path])


def test_a_renamed_key_is_named(family) -> None:
    name, state, folder = family
    key = first_weight(state)
    line = refused(name, {f"{key}s" if k == key else k: v for k, v in state.items()}, folder)
    assert f"1 missing ({key})" in line
    assert f"1 unexpected ({key}s)" in line


def test_nan_is_named(family) -> None:
    name, state, folder = family
    key = first_weight(state)
    broken = torch.full_like(state[key], float("nan"))
    assert f"hold NaN or infinity ({key})" in refused(name, {**state, key: broken}, folder)


def test_another_architecture_is_recognised(family) -> None:
    name, state, folder = family
    other = FAMILIES[(FAMILIES.index(name) + 1) % len(FAMILIES)]
    line = refused(other, state, folder)
    assert f"not {other}" in line
    assert f"its keys fit {name}" in line
