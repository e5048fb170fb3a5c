"""Output: the bundle with the further precision, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from samovar.bundle import FILE_NAME, Bundle
from samovar.bundle_files import read_document, sha256_of
from samovar.bundle_precisions import Gate
from samovar.errors import OutputError
from samovar_laptop.quantise.graph import onnx_package

PRECISION = "int8"


def check_target(folder: Path) -> None:
    """Raises OutputError when a bundle cannot be written there."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"{folder}: already there: choose another folder, or remove it first")
    if not folder.absolute().parent.is_dir():
        raise OutputError(f"{folder}: its parent folder does not exist: create it first")


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder that becomes ``target`` when all went well.

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    check_target(target)
    try:
        with tempfile.TemporaryDirectory(
            dir=target.absolute().parent, prefix=f".{target.name}."
        ) as scratch:
            folder = Path(scratch) / "bundle"
            folder.mkdir()
            yield folder
            if target.is_dir():
                target.rmdir()
            os.replace(folder, target)  # noqa: PTH105 - the same on every system
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror}): choose another folder"
        ) from error


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
