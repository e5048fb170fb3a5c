"""The bundle of a segmenter: its graphs as a folder, and which plugin's code runs them.

Beside the bundles of encoders and decoders (:mod:`samovar.bundle`), which the host understands
wholly: here the host checks the files, opens the graphs and hands them to the segmenter that the
``bundle.json`` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from samovar.bundle import SEGMENTER
from samovar.bundle_fields import SCHEMA, Fields, understood
from samovar.bundle_files import (
    FILE_NAME,
    BundleFile,
    bundle_file,
    check_file,
    files_hash,
    read_document,
    safe_name,
    stated_files,
    write_folder,
)
from samovar.errors import BundleError


@dataclass(frozen=True, eq=False)
class SegmenterBundle:
    """A segmenter's record, as ``bundle.json`` with ``"kind": "segmenter"`` has it."""

    name: str
    version: str
    segmenter: str
    """Canonical name of the spec whose target runs it: ``distribution/name``."""
    roles: Mapping[str, str]
    """Graph → file, the names as the spec's ``graphs`` has them."""
    files: Mapping[str, BundleFile] = field(default_factory=dict)
    folder: Path = Path()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able; handed to the target as they are."""
    modalities: tuple[str, ...] = ()
    precision: str = "fp32"
    parameters: int | None = None
    code_licence: str = ""
    weights_licence: str = ""
    intended_use: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | Path) -> SegmenterBundle:
        """The record alone, from a folder or its ``bundle.json``.

        Raises:
            BundleError: missing, not JSON, of a newer schema, or a field that makes no sense.
        """
        path = bundle_file(folder)
        maker = "samovar models import"
        return understood(read_document(path), str(path), maker, lambda f: _parse(f, path.parent))

    @classmethod
    def load(cls, folder: str | Path) -> SegmenterBundle:
        """The record, with every file verified.

        Raises:
            BundleError: as :meth:`read`; or a file is missing, leaves the folder, or was changed.
        """
        bundle = cls.read(folder)
        for name, stated in bundle.files.items():
            check_file(bundle.folder, name, stated, bundle.files)
        return bundle

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the names and hashes of all files: changes when any weight does."""
        return files_hash(self.files)

    def graph(self, role: str) -> Path:
        """Path of a graph. Raises BundleError when the bundle has no such role."""
        if role not in self.roles:
            raise BundleError(
                f"{self.folder / FILE_NAME}: the bundle has no {role!r}; it has "
                f"{', '.join(self.roles)}: make it again with `samovar models import`"
            )
        return self.folder / self.roles[role]

    def document(self) -> dict[str, Any]:
        """What ``bundle.json`` holds; :meth:`read` reads it back."""
        return {
            "schema": SCHEMA,
            "kind": SEGMENTER,
            "name": self.name,
            "version": self.version,
            "segmenter": self.segmenter,
            "roles": dict(self.roles),
            "files": {k: {"sha256": f.sha256, "bytes": f.bytes} for k, f in self.files.items()},
            "settings": dict(self.settings),
            "modalities": list(self.modalities),
            "precision": self.precision,
            "parameters": self.parameters,
            "licence": {"code": self.code_licence, "weights": self.weights_licence},
            "intended_use": self.intended_use,
            "provenance": dict(self.provenance),
            "validation": dict(self.validation),
        }

    def save(self, folder: str | Path, sources: Mapping[str, str | Path]) -> SegmenterBundle:
        """Write the bundle into a new folder, whole or not at all, and load it.

        Args:
            folder: must not exist, or be empty.
            sources: file name in the bundle → where its contents are now.

        Raises:
            OutputError: the folder is there already, or cannot be written.
        """
        write_folder(folder, self.document(), sources)
        return type(self).load(folder)


def is_segmenter_bundle(folder: Path) -> bool:
    """Whether a folder's ``bundle.json`` is a segmenter's. Raises BundleError if unreadable."""
    return read_document(bundle_file(folder)).get("kind") == SEGMENTER


def _parse(fields: Fields, folder: Path) -> SegmenterBundle:
    files = stated_files(fields)
    roles = {role: safe_name(name) for role, name in fields.texts("roles").items()}
    for role, name in roles.items():
        if name not in files:
            raise ValueError(f'role {role!r} names {name!r}, which "files" does not list')
    licence = fields.object("licence")
    return SegmenterBundle(
        name=fields.text("name"),
        version=fields.text("version"),
        segmenter=fields.text("segmenter"),
        roles=roles,
        files=files,
        folder=folder,
        settings=fields.mapping("settings"),
        modalities=fields.names("modalities", ()),
        precision=fields.text("precision", "fp32"),
        parameters=fields.optional_integer("parameters"),
        code_licence=licence.text("code", ""),
        weights_licence=licence.text("weights", ""),
        intended_use=fields.text("intended_use", ""),
        provenance=fields.mapping("provenance"),
        validation=fields.mapping("validation"),
    )
