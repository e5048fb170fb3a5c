"""What is wrong with a path, in one line that says what to do next."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from samovar.discovery import one_line
from samovar.errors import InputError, OutputError
from samovar.naming import nearest
from samovar.specs import FormatSpec

HEAD_BYTES = 1024
"""How much of a file is read to recognise its format."""

_VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
_RASTER_SUFFIXES = (
    ".tif", ".tiff", ".vrt", ".jp2", ".img", ".gpkg", ".geojson", ".geojsonl", ".shp",
)  # fmt: skip


def require_readable(source: str, specs: Sequence[FormatSpec]) -> bytes:
    """First bytes of a file (``b""`` for a folder or a scheme that a spec takes).

    Raises:
        InputError: missing (with names alike in its folder), empty, or not to be opened.
    """
    if any(source.lower().startswith(p) for s in specs for p in s.schemes):
        return b""
    if "://" in source:
        raise InputError(f"{source}: no installed plugin reads such an address: download it first")
    path = Path(source)
    if path.is_dir():
        return b""
    if not path.exists():
        raise InputError(_missing(path))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror or error})") from error
    if not head:
        raise InputError(f"{source}: the file is empty (0 bytes): copy or export it again")
    return head


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: there is no such file, and no folder {folder}: check the path"
    try:
        neighbours = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError:
        neighbours = []
    alike = nearest(path.name, neighbours, cutoff=0.6)
    advice = f"did you mean {' or '.join(alike)}?" if alike else "check the path"
    return f"{path}: there is no such file: {advice}"


def damaged(source: str, who: str, error: BaseException) -> str:
    """For a reader that stumbled over a file with an exception of its own."""
    return f"{source}: cannot be read by {who}, the file seems damaged ({one_line(error)})"


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are printable text."""
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)


def is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def unreadable_folder(source: str) -> str:
    """Why a folder cannot be opened here."""
    inside = [p for p in sorted(Path(source).iterdir())[:50] if p.is_file()]
    for file in inside:
        with file.open("rb") as handle:
            if is_dicom(handle.read(HEAD_BYTES)):
                return f"{source}: is a DICOM folder: pip install samovar-medical"
    return f"{source}: is a folder, no installed plugin reads it as an image: give one file"


def unreadable_file(
    source: str, head: bytes, specs: Sequence[FormatSpec], holds_prompts: bool
) -> str:
    """Why a file is not recognised by any reader here."""
    name = Path(source).name.lower()
    installed = {s.distribution for s in specs}
    if is_dicom(head):
        return f"{source}: is DICOM: pip install samovar-medical"
    if holds_prompts:
        return f"{source}: is a file of prompts, not an image: give it with --prompts"
    for suffixes, plugin in (
        (_VOLUME_SUFFIXES, "samovar-medical"),
        (_RASTER_SUFFIXES, "samovar-geo"),
    ):
        if name.endswith(suffixes) and plugin not in installed:
            return f"{source}: no installed plugin reads it: pip install {plugin}"
    if looks_like_text(head):
        return f"{source}: is a text file, not an image"
    known = sorted({x for s in specs for x in s.suffixes})
    return f"{source}: no installed plugin recognises it as an image (known: {' '.join(known)})"


def unwritable_suffix(
    path: Path, domains: set[str], claimed: Sequence[FormatSpec], specs: Sequence[FormatSpec]
) -> str:
    """Why nobody writes a path, and who writes what."""
    domain = sorted(domains)[0] if len(domains) == 1 else "picture"
    known: dict[str, list[str]] = {}
    for spec in specs:
        if domains & set(spec.domains):
            prefix = f"{spec.name}:" if spec.by_name else ""
            known.setdefault(spec.distribution, []).extend(prefix + x for x in spec.suffixes)
    offers = "; ".join(f"{' '.join(dict.fromkeys(x))} by {who}" for who, x in known.items())
    offers = offers or f"no installed plugin writes objects of a {domain}"
    if claimed:
        who = ", ".join(s.canonical for s in claimed)
        return f"{path}: {who} does not write objects of a {domain}; what does: {offers}"
    double = path.name.lower().endswith(".gz")
    suffix = "".join(path.suffixes[-2 if double else -1 :]) or "a name without a suffix"
    hint = ""
    written = {s.distribution for s in specs}
    for suffixes, plugin in (
        (_VOLUME_SUFFIXES, "samovar-medical"),
        (_RASTER_SUFFIXES, "samovar-geo"),
    ):
        if path.name.lower().endswith(suffixes) and plugin not in written:
            hint = f" (pip install {plugin})"
    return f"{path}: nobody here writes {suffix}{hint}; what can be written: {offers}"


def require_writable(path: Path, source: str = "") -> None:
    """Refuse an output that could not be written at the end, before any work is done.

    Raises:
        OutputError: no such folder, the folder is read-only, the path is a folder, or the input.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder: give a file name in it")
    folder = path.parent
    if not folder.exists():
        raise OutputError(f"{path}: there is no folder {folder}: create it first")
    if not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder")
    if path.exists() and source and Path(source).exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself: choose another name")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: is read-only: choose another name or remove it")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: the folder {folder} cannot be written to "
            f"({error.strerror or error}): choose another"
        ) from error
