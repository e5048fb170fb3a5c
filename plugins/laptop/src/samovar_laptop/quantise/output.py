"""Output: the bundle with the further precision, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.bundle import FILE_NAME, Bundle
from samovar.bundle_files import read_document, sha256_of
from samovar.bundle_precisions import Gate
from samovar_laptop.quantise.graph import onnx_package

PRECISION = "int8"


def write_bundle(
    bundle: Bundle, graphs: Mapping[str, Any], folder: Path, precision: str = PRECISION
) -> None:
    """The bundle's own graphs and record, and those of the precision by role; no gate yet."""
    document = read_document(bundle.folder / FILE_NAME)
    before = document.get("precisions", {}).get(precision, {}).get("roles", {})
    for name in set(before.values()) - set(bundle.roles.values()):
        document["files"].pop(name, None)
    for name in document["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, folder / name)
    roles = {}
    for role, model in graphs.items():
        name = f"{Path(bundle.roles[role]).stem}.{precision}.onnx"
        onnx_package().save(model, str(folder / name))
        document["files"][name] = {
            "sha256": sha256_of(folder / name),
            "bytes": (folder / name).stat().st_size,
        }
        roles[role] = name
    document.setdefault("precisions", {})[precision] = {"roles": roles}
    _write(folder, document)


def drop_role(folder: Path, role: str) -> None:
    """Take an int8 graph out again."""
    document = read_document(folder / FILE_NAME)
    name = document["precisions"][PRECISION]["roles"].pop(role)
    del document["files"][name]
    (folder / name).unlink()
    _write(folder, document)


def add_record(
    folder: Path, gate: Gate | None, how: Mapping[str, Any], precision: str = PRECISION
) -> None:
    """Write down the verdict, and how the graphs were made."""
    document = read_document(folder / FILE_NAME)
    if gate is not None:
        document["precisions"][precision]["gate"] = gate.document()
    document["precisions"][precision]["made"] = dict(how)
    _write(folder, document)


def _write(folder: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8", newline="\n")
