"""Modality of a volume, where something beside its values states it."""

from __future__ import annotations

import json
from pathlib import Path

from samovar.image import output_stem

_BY_CODE = {
    "CT": "ct",
    "MR": "mr",
    "PT": "pet",
    "PET": "pet",
    "US": "us",
    "XR": "xr",
    "CR": "xr",
    "DX": "xr",
    "MG": "xr",
    "RF": "xr",
    "XA": "xr",
}
_LARGEST_SIDECAR = 1 << 20


def modality_of(code: str | None) -> str | None:
    """``"MR"``, ``"MET_MOD_CT"`` … → samovar's name; None for what it does not know."""
    if not code:
        return None
    return _BY_CODE.get(code.strip().upper().removeprefix("MET_MOD_"))


def sidecar_modality(path: str) -> str | None:
    """Modality in the JSON file that dcm2niix writes beside a volume; None without one."""
    sidecar = Path(path).with_name(output_stem(path) + ".json")
    try:
        if sidecar.stat().st_size > _LARGEST_SIDECAR:
            return None
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    code = content.get("Modality") if isinstance(content, dict) else None
    return modality_of(code if isinstance(code, str) else None)
