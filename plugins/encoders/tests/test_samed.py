"""SAMed comes in two files: the trained matrices, and SAM's own checkpoint for 1024 pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from samovar_encoders.checkpoint import fill_from_files
from samovar_encoders.errors import CheckpointError
from samovar_encoders.registry import record
from samovar_encoders.samed import from_official


def shapes(name: str) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {k: v.shape for k, v in record(name).build().state_dict().items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("samed")
    ours, sams = shapes("samed"), shapes("sam-vit-b")
    lora = {
        k: torch.full(v, 2.0, dtype=torch.half) for k, v in ours.items() if "image_enc" not in k
    }
    for block in range(12):
        for which, letter in ((0, "q"), (1, "v")):
            for half in "ab":
                key = f"image_encoder.blocks.{block}.attn.qkv.linear_{half}_{letter}.weight"
                value = torch.full(ours[key], float(block), dtype=torch.half)
                lora[f"w_{half}_{2 * block + which:03d}"] = value
    sam = {k: torch.ones(v, dtype=torch.half) for k, v in sams.items()}
    torch.save(lora, folder / "epoch_159.pth")
    torch.save(sam, folder / "sam_vit_b_01ec64.pth")
    return [folder / "epoch_159.pth", folder / "sam_vit_b_01ec64.pth"]


@pytest.mark.slow
def test_both_files_fill_it(files: list[Path]) -> None:
    module = record("samed").build()
    fill_from_files(module, record("samed"), files)
    state = module.state_dict()
    assert float(state["mask_decoder.iou_token.weight"].mean()) == 2, "trained, not SAM's"
    assert float(state["image_encoder.blocks.3.attn.qkv.linear_a_v.weight"].mean()) == 3
    assert float(state["image_encoder.blocks.3.attn.qkv.qkv.weight"].mean()) == 1
    assert state["image_encoder.pos_embed"].shape == (1, 32, 32, 768)
    assert state["image_encoder.blocks.2.attn.rel_pos_h"].shape == (63, 64)


@pytest.mark.slow
def test_one_of_them_is_not_enough(files: list[Path]) -> None:
    with torch.device("meta"):
        module = record("samed").build()
    with pytest.raises(CheckpointError, match=r"not samed: \d+ missing"):
        fill_from_files(module, record("samed"), files[:1])


def test_positions_are_interpolated_between_cell_centres() -> None:
    ramp = torch.arange(64.0).reshape(1, 64, 1, 1).expand(1, 64, 64, 2)
    made = from_official({"image_encoder.pos_embed": ramp})["image_encoder.pos_embed"]
    torch.testing.assert_close(made[0, :, 0, 0], torch.arange(32) * 2 + 0.5)
    table = torch.arange(127.0)[:, None].expand(127, 64)
    made = from_official({"image_encoder.blocks.2.attn.rel_pos_h": table})
    assert made["image_encoder.blocks.2.attn.rel_pos_h"].shape == (63, 64)
    assert float(made["image_encoder.blocks.2.attn.rel_pos_h"][31, 0]) == pytest.approx(63)
    windowed = torch.zeros(27, 64)
    kept = from_official({"image_encoder.blocks.0.attn.rel_pos_h": windowed})
    assert kept["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 64)
