"""Files of a bundle: names that stay in their folder, sizes and hashes that hold."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from samovar.bundle_fields import Fields
from samovar.errors import BundleError, OutputError
from samovar.graphs import external_files

FILE_NAME = "bundle.json"


@dataclass(frozen=True)
class BundleFile:
    """What a file of a bundle must be."""

    sha256: str
    bytes: int


def bundle_file(folder: str | Path) -> Path:
    """The ``bundle.json`` of a folder, or itself. Raises BundleError when there is none."""
    path = Path(folder)
    if path.name != FILE_NAME:
        path = path / FILE_NAME
    if not path.is_file():
        raise BundleError(
            f"{folder}: no {FILE_NAME} there: name a folder made by `samovar models bundle`"
        )
    return path


def safe_name(name: str) -> str:
    """``name`` when it is a plain relative path that stays in its folder. Raises ValueError."""
    pure = PureWindowsPath(name)  # splits at both slashes and knows drives
    if not name or "\\" in name or pure.drive or pure.root or ".." in pure.parts:
        raise ValueError(f"the path {name!r} leaves the bundle's folder")
    return pure.as_posix()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object of a ``bundle.json``, as it is. Raises BundleError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON ({error}): copy the bundle again") from error
    if not isinstance(document, dict):
        raise BundleError(f"{path}: not a bundle's record: a JSON object is expected")
    return document


def stated_files(fields: Fields) -> dict[str, BundleFile]:
    """What ``files`` of a ``bundle.json`` says. Raises ValueError naming the field."""
    return {
        safe_name(name): BundleFile(entry.sha256("sha256"), entry.integer("bytes"))
        for name, entry in fields.objects("files").items()
    }


def files_hash(files: Mapping[str, BundleFile]) -> str:
    """SHA-256 over names and hashes: changes when any file does."""
    lines = (f"{name} {file.sha256}\n" for name, file in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_folder(
    folder: str | Path, document: Mapping[str, Any], sources: Mapping[str, str | Path]
) -> None:
    """Write a bundle into a new folder, whole or not at all.

    Args:
        folder: must not exist, or be empty.
        document: of its ``bundle.json``; ``files`` is replaced.
        sources: file name in the bundle → where its contents are now.

    Raises:
        OutputError: the folder is there already, or cannot be written.
    """
    with new_folder(folder) as staged:
        _fill(staged, document, sources)


def check_new_folder(folder: str | Path) -> None:
    """Raises OutputError when a bundle cannot be written there: it is to be new, or empty."""
    target = Path(folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise OutputError(f"{target}: already there: choose another folder, or remove it first")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"{target}: its parent folder does not exist: create it first")


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """An empty folder that becomes ``folder`` when all went well.

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    check_new_folder(folder)
    target = Path(folder)
    try:
        with tempfile.TemporaryDirectory(
            dir=target.absolute().parent, prefix=f".{target.name}."
        ) as scratch:
            staged = Path(scratch) / "bundle"
            staged.mkdir()
            yield staged
            if target.is_dir():
                target.rmdir()
            os.replace(staged, target)  # noqa: PTH105 - the same on every system
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror}): choose another folder"
        ) from error


def _fill(folder: Path, document: Mapping[str, Any], sources: Mapping[str, str | Path]) -> None:
    files = {}
    for name, source in sources.items():
        path = folder / safe_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        files[safe_name(name)] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    text = json.dumps({**document, "files": files}, indent=2, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8", newline="\n")


def check_file(folder: Path, name: str, stated: BundleFile, files: Collection[str]) -> None:
    """One file of a bundle against its size and hash, and for what it would read.

    Raises:
        BundleError: missing, a link that leaves the folder, changed, or a graph with tensors in a
            file that is not among ``files``.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(
            f"{path}: the file is a link that leaves the bundle's folder: "
            "copy the file itself into the folder"
        )
    if not path.is_file():
        raise BundleError(f"{path}: the bundle's file is missing: copy the bundle again")
    size = path.stat().st_size
    if size != stated.bytes:
        raise BundleError(
            f"{path}: has {size} bytes, bundle.json says {stated.bytes}: "
            "it was changed or cut short, copy the bundle again"
        )
    if sha256_of(path) != stated.sha256:
        raise BundleError(
            f"{path}: its SHA-256 is not the one in bundle.json: "
            "it was changed or damaged, copy the bundle again from where it came"
        )
    if path.suffix.lower() == ".onnx":
        _check_external(path, name, files)


def _check_external(path: Path, name: str, files: Collection[str]) -> None:
    for location in sorted(external_files(path)):
        try:
            listed = (Path(name).parent / safe_name(location)).as_posix() in files
        except ValueError:
            listed = False
        if not listed:
            raise BundleError(
                f"{path}: the graph reads tensors from {location!r}, which the bundle does "
                "not list: export it with its weights inside (external_data=False)"
            )
