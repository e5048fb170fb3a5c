"""Which files may be trained on, read from a data folder's MANIFEST.json.

`train: false` sets are never used; of `train: true` sets the `validation` stems are kept back, of
msd_hippocampus the cases with crc32(stem) % 5 == 0, of the Banepa mosaic rows >= 2560.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BANEPA_TRAIN_ROWS = 2560  # rows below this index are for training, the others for validation
THIN_SETS = frozenset({"chasedb1_retina_vessel", "gsi_road_japan", "msd_hepatic_vessel_ct"})


def shared_data(root: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: `root`, else $SAMOVAR_SHARED/data, else `shared/data` beside the repository.

    Raises FileNotFoundError, naming the remedy, where there is none.
    """
    candidates = [Path(root)] if root else []
    if not root and os.environ.get("SAMOVAR_SHARED"):
        candidates.append(Path(os.environ["SAMOVAR_SHARED"]) / "data")
    if not root:
        candidates += [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    for candidate in candidates:
        if (candidate / "MANIFEST.json").is_file():
            return candidate
    raise FileNotFoundError(
        f"no MANIFEST.json in {[str(c) for c in candidates]}: "
        "set SAMOVAR_SHARED to the folder that holds data/MANIFEST.json"
    )


@dataclass(frozen=True)
class PairSet:
    """A folder of `images/` and label PNGs in `masks/` with the same stems."""

    name: str
    path: Path
    domain: str
    modality: str
    train: bool
    instances: bool
    licence: str
    classes: dict[int, str]
    validation: tuple[str, ...]
    record: dict[str, Any]

    @property
    def thin(self) -> bool:
        return self.name in THIN_SETS

    def stems(self) -> list[str]:
        return sorted(p.stem for p in (self.path / "masks").iterdir() if p.suffix == ".png")

    def training_stems(self) -> list[str]:
        """Stems that may be trained on: none where the set is `train: false`."""
        if not self.train:
            return []
        held_back = set(self.validation)
        return [s for s in self.stems() if s not in held_back]

    def image(self, stem: str) -> Path:
        found = sorted((self.path / "images").glob(f"{stem}.*"))
        if not found:
            raise FileNotFoundError(f"{self.path}/images has no picture for mask {stem}")
        return found[0]

    def mask(self, stem: str) -> Path:
        return self.path / "masks" / f"{stem}.png"


def pair_sets(data: Path) -> list[PairSet]:
    """All pairs sets of the manifest, in its order."""
    out = []
    for d in read_manifest(data)["datasets"]:
        if d["kind"] != "pairs":
            continue
        out.append(
            PairSet(
                name=Path(d["path"]).name,
                path=data / d["path"],
                domain=d["domain"],
                modality=d["modality"],
                train=bool(d["train"]),
                instances=bool(d.get("instances")),
                licence=d["licence"],
                classes={int(k): v for k, v in d["classes"].items() if str(k).isdigit()},
                validation=tuple(d.get("validation") or ()),
                record=d,
            )
        )
    return out


def read_manifest(data: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((data / "MANIFEST.json").read_text())
    return manifest


def trainable(data: Path, name: str) -> bool:
    """Whether the manifest has a set of this folder name, and all its entries say `train: true`."""
    entries = [d for d in read_manifest(data)["datasets"] if Path(d["path"]).name == name]
    return bool(entries) and all(d["train"] for d in entries)


def hippocampus_training_cases(data: Path) -> list[str]:
    """Stems of MSD hippocampus cases outside the validation fifth (crc32(stem) % 5 == 0)."""
    folder = data / "volumes" / "msd_hippocampus"
    stems = sorted(p.name.removesuffix(".nii.gz") for p in (folder / "labels").glob("*.nii.gz"))
    return [
        s
        for s in stems
        if zlib.crc32(s.encode()) % 5 != 0 and (folder / "images" / f"{s}.nii.gz").is_file()
    ]
