"""Bundle: a model as a folder: graphs, and the ``bundle.json`` that says everything about them.

A bundle is somebody else's file. So no path in it leaves its folder, every file is checked
against its size and SHA-256 before anything runs, and what is not understood is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from samovar.bundle_fields import SCHEMA, Fields, understood
from samovar.bundle_files import (
    FILE_NAME,
    BundleFile,
    bundle_file,
    check_file,
    files_hash,
    read_document,
    safe_name,
    sha256_of,
    stated_files,
    write_folder,
)
from samovar.bundle_precisions import (
    CONVERTED,
    UNMEASURED,
    Gate,
    PrecisionGraphs,
    parse_precisions,
)
from samovar.errors import BundleError
from samovar.resize import Normalisation, Preparation, Resize
from samovar.roi import RoiRule
from samovar.selection import Selection

SEGMENTER = "segmenter"
"""``kind`` of the other sort of bundle (:mod:`samovar.segmenter_bundle`)."""
ROLES = ("encoder", "prompt_encoder", "mask_decoder", "decoder", "decoder_roi")

__all__ = ["FILE_NAME", "SCHEMA", "Bundle", "BundleFile", "safe_name", "sha256_of"]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model's record, as ``bundle.json`` has it. Sizes are rows, columns.

    ``roles`` map ``encoder`` and either ``prompt_encoder`` with ``mask_decoder``, or the classic
    single ``decoder``, to files: the graphs in ``precision``; a ``decoder_roi`` may come beside
    them. ``precisions`` has graphs of the same
    model in others. ``files`` lists every file that any of them needs.
    """

    name: str
    version: str
    roles: Mapping[str, str]
    files: Mapping[str, BundleFile]
    preparation: Preparation
    embedding_shape: tuple[int, ...]
    mask_size: tuple[int, int]
    folder: Path = Path()
    embedding_name: str = "image_embeddings"
    taps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    mask_selection: Selection = field(default_factory=Selection)
    mask_threshold: float = 0.0
    prompt_kinds: tuple[str, ...] = ("box", "point", "negative-point")
    max_points: int | None = None
    roi: RoiRule | None = None
    """Of the ``decoder_roi``, where there is one."""
    modalities: tuple[str, ...] = ()
    precision: str = "fp32"
    precisions: Mapping[str, PrecisionGraphs] = field(default_factory=dict)
    gate: Gate | None = None
    """Of ``precision``, where it had to pass one."""
    parameters: int | None = None
    encoder_gmac: float | None = None
    code_licence: str = ""
    weights_licence: str = ""
    intended_use: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """The record alone, from a folder or its ``bundle.json``; no graph is opened.

        Raises:
            BundleError: missing, not JSON, of a newer schema, or a field that makes no sense.
        """
        path = bundle_file(folder)
        return cls.from_document(read_document(path), path.parent, str(path))

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """The record, with every file verified.

        Raises:
            BundleError: as :meth:`read`; or a file is missing, leaves the folder, differs from its
                size or hash, or reads tensors from a file that the bundle does not list.
        """
        bundle = cls.read(folder)
        bundle.verify()
        return bundle

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], folder: Path = Path(), source: str = FILE_NAME
    ) -> Bundle:
        """From the parsed ``bundle.json``; ``source`` is named in errors (BundleError)."""
        if document.get("kind") == SEGMENTER:
            raise BundleError(
                f"{source}: this is the bundle of a segmenter, a whole model in one, not of an "
                "encoder and a decoder: `samovar segment --model` runs it"
            )
        return understood(document, source, "samovar models bundle", lambda f: _parse(f, folder))

    def document(self) -> dict[str, Any]:
        """What ``bundle.json`` holds, further fields aside; :meth:`from_document` reads it back."""
        p, r, n = self.preparation, self.preparation.resize, self.preparation.normalisation
        further = {name: graphs.document() for name, graphs in self.precisions.items()}
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "roles": dict(self.roles),
            "files": {k: {"sha256": f.sha256, "bytes": f.bytes} for k, f in self.files.items()},
            "encode_size": list(p.encode_size),
            "prompt_frame": list(p.prompt_frame),
            "prompt_coordinates": p.prompt_coordinates,
            "prompt_scale": p.prompt_scale,
            "resize": {
                "policy": r.policy,
                "interpolation": r.interpolation,
                "rounding": r.rounding,
                "pad_value": r.pad_value,
                "pad_before_normalising": r.pad_before_normalising,
                "whole_levels": r.whole_levels,
            },
            "normalisation": {"kind": n.kind, "mean": list(n.mean), "std": list(n.std)},
            "channel_order": p.channel_order,
            "embedding": {"name": self.embedding_name, "shape": list(self.embedding_shape)},
            "taps": {k: list(v) for k, v in self.taps.items()},
            "mask_size": list(self.mask_size),
            "mask_selection": self.mask_selection.document(),
            "mask_threshold": self.mask_threshold,
            "prompts": {"kinds": list(self.prompt_kinds), "max_points": self.max_points},
            **({} if self.roi is None else {"roi": self.roi.document()}),
            "modalities": list(self.modalities),
            "precision": self.precision,
            **({"precisions": further} if further else {}),
            **({} if self.gate is None else {"gate": self.gate.document()}),
            "parameters": self.parameters,
            "encoder_gmac": self.encoder_gmac,
            "licence": {"code": self.code_licence, "weights": self.weights_licence},
            "intended_use": self.intended_use,
            "provenance": dict(self.provenance),
            "validation": dict(self.validation),
        }

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the names and hashes of all files: changes when any weight does.

        Graphs of other precisions do not count: adding them to a bundle leaves its hash alone.
        """
        others = self._graphs_of_others()
        return files_hash({n: f for n, f in self.files.items() if n not in others})

    @property
    def classic(self) -> bool:
        """Has the single-graph decoder, which cannot take embeddings."""
        return "mask_decoder" not in self.roles

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of its graphs, lower case: ``.onnx``."""
        return tuple(sorted({Path(name).suffix.lower() for name in self.roles.values()}))

    def graph(self, role: str) -> Path:
        """Path of a role's graph. Raises BundleError when the bundle has no such role."""
        if role not in self.roles:
            raise BundleError(
                f"{self.folder / FILE_NAME}: the bundle has no {role!r}; "
                f"it has {', '.join(self.roles)}"
            )
        return self.folder / self.roles[role]

    @property
    def precision_names(self) -> tuple[str, ...]:
        """Its own precision, and those that it names."""
        return self.precision, *self.precisions

    @property
    def possible_precisions(self) -> tuple[str, ...]:
        """Every precision that it can run in: those that a runtime makes on loading are last."""
        converted = CONVERTED if self.precision == "fp32" else ()
        return tuple(dict.fromkeys((*self.precision_names, *converted)))

    def in_precision(self, name: str) -> Bundle:
        """The same model with the graphs of one precision as its own, and no others.

        Raises:
            BundleError: the bundle has none of that precision.
        """
        files = {n: f for n, f in self.files.items() if n not in self._graphs_of_others()}
        if name == self.precision:
            return replace(self, files=files, precisions={})
        if name not in self.possible_precisions:
            raise BundleError(
                f"{self.folder / FILE_NAME}: model {self.name!r} has "
                f"{', '.join(self.possible_precisions)}, not {name}"
            )
        chosen = self.precisions.get(name, UNMEASURED)
        roles = {**self.roles, **chosen.roles}
        unused = (set(self.roles.values()) | self._graphs_of_others()) - set(roles.values())
        return replace(
            self,
            roles=roles,
            files={n: f for n, f in self.files.items() if n not in unused},
            precision=name,
            precisions={},
            gate=chosen.gate,
        )

    def _graphs_of_others(self) -> set[str]:
        named = {file for graphs in self.precisions.values() for file in graphs.roles.values()}
        return named - set(self.roles.values())

    def verify(self) -> None:
        """Check every file. Raises BundleError as :meth:`load` does."""
        for name, stated in self.files.items():
            check_file(self.folder, name, stated, self.files)

    def save(self, folder: str | Path, sources: Mapping[str, str | Path]) -> Bundle:
        """Write the bundle into a new folder, whole or not at all, and load it.

        Args:
            folder: must not exist, or be empty.
            sources: file name in the bundle → where its contents are now. Sizes and hashes are
                taken from there; ``files`` is replaced.

        Raises:
            OutputError: the folder is there already, or cannot be written.
        """
        write_folder(folder, self.document(), sources)
        return type(self).load(folder)


def _parse(fields: Fields, folder: Path) -> Bundle:
    files = stated_files(fields)
    roles = {role: safe_name(name) for role, name in fields.texts("roles").items()}
    _check_roles(roles, files, roi="roi" in fields.document)
    encode_size = fields.pair("encode_size")
    embedding, prompts = fields.object("embedding"), fields.object("prompts")
    licence = fields.object("licence")
    precision = fields.text("precision", "fp32")
    preparation = Preparation(
        encode_size,
        fields.pair("prompt_frame", encode_size),
        fields.choice("prompt_coordinates", ("continuous", "scaled"), "scaled"),
        Resize.parse(fields.mapping("resize")),
        Normalisation.parse(fields.mapping("normalisation")),
        fields.choice("channel_order", ("RGB", "BGR"), "RGB"),
        fields.choice("prompt_scale", ("content", "frame", "longest-side"), "content"),
    )
    return Bundle(
        name=fields.text("name"),
        version=fields.text("version"),
        roles=roles,
        files=files,
        preparation=preparation,
        embedding_shape=embedding.integers("shape"),
        mask_size=fields.pair("mask_size"),
        folder=folder,
        embedding_name=embedding.text("name", "image_embeddings"),
        taps={name: fields.object("taps").integers(name) for name in fields.mapping("taps")},
        mask_selection=Selection.parse(fields.value("mask_selection", "first")),
        mask_threshold=fields.number("mask_threshold", 0.0),
        prompt_kinds=prompts.names("kinds", Bundle.prompt_kinds),
        max_points=prompts.optional_integer("max_points"),
        roi=RoiRule.parse(fields.object("roi")) if "roi" in fields.document else None,
        modalities=fields.names("modalities", ()),
        precision=precision,
        precisions=parse_precisions(fields, precision, roles, files),
        gate=Gate.parse(fields.object("gate")) if "gate" in fields.document else None,
        parameters=fields.optional_integer("parameters"),
        encoder_gmac=fields.optional_number("encoder_gmac"),
        code_licence=licence.text("code", ""),
        weights_licence=licence.text("weights", ""),
        intended_use=fields.text("intended_use", ""),
        provenance=fields.mapping("provenance"),
        validation=fields.mapping("validation"),
    )


def _check_roles(roles: Mapping[str, str], files: Mapping[str, BundleFile], *, roi: bool) -> None:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise ValueError(f'"roles" has {", ".join(unknown)}, known are {", ".join(ROLES)}')
    two_faces = {"prompt_encoder", "mask_decoder"} <= set(roles)
    if "encoder" not in roles or not (two_faces or "decoder" in roles):
        raise ValueError(
            '"roles" must name encoder and either decoder, or prompt_encoder and mask_decoder'
        )
    if ("decoder_roi" in roles) != roi:
        raise ValueError('a "decoder_roi" among the roles and a "roi" belong together')
    for role, name in roles.items():
        if name not in files:
            raise ValueError(f'role {role!r} names {name!r}, which "files" does not list')
