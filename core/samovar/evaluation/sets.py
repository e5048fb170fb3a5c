"""Evaluation sets: folders with pictures or volumes and their labels, described by a manifest.

A set is a folder with ``images/`` and ``masks/`` (label PNGs; 0 = background) or, for volumes,
``images/`` and ``labels/`` (NIfTI). ``classes.json`` names the labels; its key ``"*"`` says that
every value is one instance. A set of challenge cases holds npz with ``imgs`` and ``gts``, or
folders of these names (:mod:`samovar.evaluation.challenge`). A ``MANIFEST.json`` in the folder, or
in one above it that lists it, adds the domain, the modality, the licence, ``train`` and the
validation stems.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from samovar.errors import InputError, UsageError

MANIFEST = "MANIFEST.json"
_DEPTH = 4
_VOLUME_SUFFIXES = (".nii.gz", ".nii")
_CASE_SUFFIX = ".npz"
_CHALLENGE = ("imgs", "gts")
"""Arrays of a challenge case, and folders of cases of which each holds one."""

Kind = Literal["pictures", "volumes", "challenge"]

# Sets whose validation part is a rule on the stem instead of a list.
_VALIDATION_RULES: dict[str, Callable[[str], bool]] = {
    "msd_hippocampus": lambda stem: zlib.crc32(stem.encode()) % 5 == 0,
}

THIN_WORDS = frozenset(
    {"vessel", "vessels", "road", "roads", "street", "streets", "river", "rivers", "railway"}
)
"""A class whose name holds one of these words is a thin structure, reported apart."""

COUNTED_WORDS = frozenset({"building", "buildings", "field", "fields", "nucleus", "nuclei", "ship"})
"""A class whose name holds one of these words is one of things that are counted."""


@dataclass(frozen=True)
class Case:
    """One picture or volume with its labels."""

    stem: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class EvaluationSet:
    """A folder of cases and what is known of it."""

    name: str
    path: Path
    kind: Kind
    domain: str = "unknown"
    modality: str = ""
    """As the manifest words it (``"CT angiography"``); for people."""
    classes: dict[int, str] = field(default_factory=dict)
    instances: bool = False
    train: bool | None = None
    """Whether the bundled model may learn from it; None when nobody says so."""
    validation: frozenset[str] | None = None
    """Stems kept for validation; None when the set has none."""
    record: dict[str, Any] = field(default_factory=dict)
    """The manifest's own entry: licence, source, note."""

    @property
    def unseen(self) -> bool:
        return self.train is False

    def class_name(self, value: int) -> str:
        if self.instances:
            return self.classes.get(-1, "instance")
        return self.classes.get(value, f"class {value}")

    def thin(self, value: int) -> bool:
        """Whether the class is a thin structure: the manifest's word, else the class's name."""
        said = self.record.get("thin")
        if isinstance(said, bool):
            return said
        name = self.class_name(value)
        if isinstance(said, list):
            return name in said
        return bool(THIN_WORDS & _words(name))

    @property
    def counted(self) -> bool:
        """Whether its objects are instances, or components of a class of things to be counted."""
        return self.instances or any(COUNTED_WORDS & _words(name) for name in self.classes.values())

    def cases(self, validation: bool = False) -> list[Case]:
        """Cases in the order of their stems; labels without an image are left out."""
        images, labels = self._files()
        return [
            Case(stem, images[stem], file)
            for stem, file in sorted(labels.items())
            if stem in images and not (validation and not self.is_validation(stem))
        ]

    def unpaired(self) -> list[str]:
        """Stems of labels that have no image."""
        images, labels = self._files()
        return sorted(set(labels) - set(images))

    def _files(self) -> tuple[dict[str, Path], dict[str, Path]]:
        if self.kind == "challenge":
            parts = [self.path / part for part in _CHALLENGE if (self.path / part).is_dir()]
            images, labels = parts if len(parts) == 2 else (self.path, self.path)
            return _by_stem(images, _CASE_SUFFIX), _by_stem(labels, _CASE_SUFFIX)
        folder = "masks" if self.kind == "pictures" else "labels"
        return _by_stem(self.path / "images"), _by_stem(self.path / folder)

    def is_validation(self, stem: str) -> bool:
        rule = _VALIDATION_RULES.get(self.path.name)
        return rule(stem) if rule is not None else stem in (self.validation or ())

    @property
    def has_validation(self) -> bool:
        return bool(self.validation) or self.path.name in _VALIDATION_RULES


def _words(name: str) -> set[str]:
    return set(name.lower().replace("/", " ").replace("-", " ").split())


def find_sets(data: str | Path) -> tuple[list[EvaluationSet], list[str]]:
    """Sets of a manifest, of a set's folder, or of a folder of such folders.

    Returns:
        The sets, in the manifest's order or by path, and one line for each entry of a manifest
        that holds no pairs and was left out.

    Raises:
        InputError: no such file, a manifest that is not one, or a folder without any set.
    """
    path = Path(data)
    if path.is_dir() and (path / MANIFEST).is_file():
        path = path / MANIFEST
    if path.is_file():
        sets, skipped = _from_manifest(path)
    elif path.is_dir():
        folders = list(_set_folders(path, _DEPTH))
        sets, skipped = [_from_folder(folder) for folder in folders], []
    else:
        raise InputError(f"{path}: no such file or folder: give a MANIFEST.json or a set's folder")
    if not sets:
        raise InputError(
            f"{path} holds no evaluation set: a set is a folder with images/ and masks/ "
            "(label PNGs), or images/ and labels/ (NIfTI), or with npz of imgs and gts"
        )
    return _unique_names(sets), skipped


def choose(sets: Iterable[EvaluationSet], *, validation: bool, unseen: bool) -> list[EvaluationSet]:
    """The sets that the options leave.

    Raises:
        UsageError: none is left.
    """
    chosen = list(sets)
    if unseen:
        chosen = [s for s in chosen if s.unseen]
        if not chosen:
            raise UsageError("--unseen: no set of this data says train: false in its manifest")
    if validation:
        chosen = [s for s in chosen if s.has_validation]
        if not chosen:
            raise UsageError("--validation: no set of this data lists validation stems")
    return chosen


def _from_manifest(path: Path) -> tuple[list[EvaluationSet], list[str]]:
    sets, skipped = [], []
    for record in _records(path):
        folder = path.parent / str(record.get("path", ""))
        if _kind(folder) is None:
            skipped.append(f"{record.get('path')}: no images/ with masks/ or labels/")
            continue
        sets.append(_from_folder(folder, record))
    return sets, skipped


def _records(path: Path) -> list[dict[str, Any]]:
    content = _read_json(path)
    records = content.get("datasets") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise InputError(f"{path} is not a manifest: a list called 'datasets' is missing")
    return records


def _from_folder(folder: Path, record: dict[str, Any] | None = None) -> EvaluationSet:
    kind = _kind(folder)
    assert kind is not None
    record = record if record is not None else _record_above(folder)
    names = record.get("classes")
    if not isinstance(names, dict):
        file = folder / "classes.json"
        names = _read_json(file) if file.is_file() else {}
        if not isinstance(names, dict):
            raise InputError(f"{file} is not an object of label: name")
    validation = record.get("validation")
    return EvaluationSet(
        name=folder.name,
        path=folder,
        kind=kind,
        domain=str(record.get("domain", "unknown")),
        modality=str(record.get("modality") or ""),
        classes={_label(k, folder): str(v) for k, v in names.items()},
        instances=bool(record.get("instances", "*" in names)),
        train=record.get("train"),
        validation=frozenset(map(str, validation)) if validation else None,
        record=record,
    )


def _label(key: str, folder: Path) -> int:
    if key == "*":
        return -1
    try:
        return int(key)
    except ValueError:
        raise InputError(f"{folder}: class label {key!r} is not a number nor '*'") from None


def _record_above(folder: Path) -> dict[str, Any]:
    """What a manifest in one of the folders above says of this one, or nothing."""
    folder = folder.resolve()
    for above in list(folder.parents)[:_DEPTH]:
        if (above / MANIFEST).is_file():
            inside = folder.relative_to(above).as_posix()
            found = [r for r in _records(above / MANIFEST) if r.get("path") == inside]
            return found[0] if found else {}
    return {}


def _set_folders(folder: Path, depth: int) -> Iterable[Path]:
    if _kind(folder) is not None:
        yield folder
    elif depth:
        for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
            yield from _set_folders(inner, depth - 1)


def _kind(folder: Path) -> Kind | None:
    if not (folder / "images").is_dir():
        return "challenge" if _holds_cases(folder) else None
    if (folder / "masks").is_dir():
        return "pictures"
    return "volumes" if (folder / "labels").is_dir() else None


def _holds_cases(folder: Path) -> bool:
    """Whether the first npz of a folder, or of its imgs/ and gts/, is a challenge case."""
    if all((folder / part).is_dir() for part in _CHALLENGE):
        return bool(_by_stem(folder / "gts", _CASE_SUFFIX))
    first = sorted(_by_stem(folder, _CASE_SUFFIX).values())[:1] if folder.is_dir() else []
    return bool(first) and arrays_in(first[0]).issuperset(_CHALLENGE)


def arrays_in(path: Path) -> set[str]:
    """Names of the arrays of an npz; none where it is not one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def _by_stem(folder: Path, suffix: str = "") -> dict[str, Path]:
    return {
        _stem(p): p
        for p in folder.iterdir()
        if p.is_file() and not p.name.startswith(".") and p.name.lower().endswith(suffix)
    }


def _stem(path: Path) -> str:
    for suffix in _VOLUME_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def _unique_names(sets: list[EvaluationSet]) -> list[EvaluationSet]:
    names = [s.name for s in sets]
    return [
        replace(s, name=f"{s.path.parent.name}/{s.name}") if names.count(s.name) > 1 else s
        for s in sets
    ]
