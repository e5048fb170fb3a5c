"""Catalogue: which models there are, where their bundles lie, and what they say of themselves.

Nothing here opens a graph or imports a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from samovar.bundle import FILE_NAME, Bundle
from samovar.bundle_files import bundle_file, read_document
from samovar.errors import BundleError, PluginError, SamovarError, UsageError
from samovar.licences import restriction
from samovar.naming import choose, matching
from samovar.plugins import registry
from samovar.segmenter_bundle import SegmenterBundle, is_segmenter_bundle
from samovar.specs import EncoderSpec, SegmenterSpec


@dataclass(frozen=True)
class Found:
    """What a name or path means: a spec, the folder of a bundle, or both."""

    spec: EncoderSpec | SegmenterSpec | None
    folder: Path | None

    @property
    def whole(self) -> bool:
        """A segmenter, which has no encoder."""
        return isinstance(self.spec, SegmenterSpec)


@dataclass(frozen=True)
class Listing:
    """One model in ``samovar models list``."""

    name: str
    """Canonical."""
    summary: str = ""
    version: str = ""
    modalities: tuple[str, ...] = ()
    prompt_kinds: tuple[str, ...] = ()
    encode_size: tuple[int, int] = (0, 0)
    parameters: int | None = None
    weights_licence: str = ""
    needs_consent: bool = False
    """Its weights run only with ``--accept-license``."""
    problem: str = ""
    """Why it cannot be used; empty when it can."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """The bundle's record, or the spec's fields."""
    whole: bool = False
    """A segmenter: no encoder, so no encode size."""


def list_models() -> tuple[Listing, ...]:
    """Every model that plugins offer, by canonical name; a broken one says what is wrong.

    Segmenters are among them. Architectures without weights are not: `samovar models pull` lists
    those.
    """
    specs = [*registry().specs("encoder"), *registry().specs("segmenter")]
    running = sorted((s for s in specs if s.runs), key=lambda s: s.canonical)
    return tuple(_listing(spec) for spec in running)


def describe_model(name_or_path: str | Path) -> Listing:
    """One model, by name or from a bundle's folder.

    Raises:
        UsageError: unknown, with the nearest names.
        BundleError: the folder holds no readable bundle.
    """
    found = look_up(name_or_path)
    if isinstance(found.spec, SegmenterSpec) and found.folder is not None:
        return _of_segmenter_bundle(SegmenterBundle.read(found.folder), found.spec)
    if found.spec is not None:
        return _listing(found.spec)
    assert found.folder is not None
    return _of_bundle(Bundle.read(found.folder), "", "")


def verify_model(name_or_path: str | Path) -> Bundle | SegmenterBundle:
    """Check every file of a model's bundle against its hash, and return the bundle.

    Raises:
        UsageError: unknown name, or a model without a bundle.
        BundleError: what differs.
    """
    found = look_up(name_or_path)
    if found.folder is None:
        assert found.spec is not None
        raise UsageError(
            f"model {found.spec.canonical!r} is code of its plugin, not a bundle: "
            "there are no files to verify"
        )
    return SegmenterBundle.load(found.folder) if found.whole else Bundle.load(found.folder)


def find_segmenter(name_or_path: str | Path) -> Found | None:
    """The segmenter that a name or path means, None where it means anything else, or nothing.

    Of a name that both an encoder and a segmenter of one distribution have, the segmenter is meant
    unless the encoder has weights.

    Raises:
        UsageError: an ambiguous name, or a folder whose segmenter no plugin offers.
        BundleError: a folder whose ``bundle.json`` cannot be read.
    """
    place = _explicit(name_or_path)
    if place is not None:
        return _segmenter_at(place)
    text, path = str(name_or_path), Path(name_or_path)
    named: list[SegmenterSpec] = matching(registry().specs("segmenter"), text)
    running = [s for s in matching(registry().specs("encoder"), text) if s.runs]
    if running:
        choose(list({s.canonical: s for s in [*named, *running]}.values()), "encoder", text)
        return None
    if not named:
        return _segmenter_at(path) if path.is_dir() else None
    spec = choose(named, "segmenter", text)
    if not spec.runs and (path / FILE_NAME).is_file():
        return _segmenter_at(path)
    return Found(spec, bundle_folder(spec) if spec.bundle else None)


def _segmenter_at(path: Path) -> Found | None:
    if not (path if path.name == FILE_NAME else path / FILE_NAME).is_file():
        return None
    if not is_segmenter_bundle(path):
        return None
    bundle = SegmenterBundle.read(path)
    found = matching(registry().specs("segmenter"), bundle.segmenter)
    if len(found) != 1:
        distribution = bundle.segmenter.partition("/")[0]
        raise UsageError(
            f"{bundle.folder}: is for the segmenter {bundle.segmenter}, which no plugin here "
            f"offers: pip install --upgrade {distribution}"
        )
    return Found(found[0], bundle.folder)


def _explicit(name_or_path: str | Path) -> Path | None:
    """The path, where it can be nothing but a path."""
    path = Path(name_or_path).expanduser()
    explicit = isinstance(name_or_path, Path) or path.is_absolute() or path.name == FILE_NAME
    return path if explicit or str(name_or_path).startswith((".", "~")) else None


def look_up(name_or_path: str | Path) -> Found:
    """What a name or path means. Names win; ``./tiny`` is always a path, and a folder is meant
    where the name is that of an architecture without weights.

    Raises:
        UsageError: neither a model (the nearest names are given) nor a folder with a bundle.
        BundleError: a folder without ``bundle.json``.
    """
    whole = find_segmenter(name_or_path)
    if whole is not None:
        return whole
    text, path = str(name_or_path), Path(name_or_path)
    explicit = _explicit(name_or_path)
    if explicit is not None:
        if not explicit.exists():
            raise BundleError(f"{text}: no such folder: give a bundle's folder or a model's name")
        return Found(None, bundle_file(explicit).parent)
    try:
        spec: EncoderSpec = registry().find("encoder", text)
    except UsageError:
        if path.is_dir():
            return Found(None, bundle_file(path).parent)
        raise
    if not spec.runs and path.is_dir():
        return Found(None, bundle_file(path).parent)
    return Found(spec, bundle_folder(spec) if spec.bundle else None)


def bundle_folder(spec: EncoderSpec | SegmenterSpec) -> Path:
    """Where the bundle of a spec lies (``"package:relative/folder"``); its package is not imported.

    Raises:
        PluginError: the package is not installed, or the folder is not in it.
    """
    package, _, relative = spec.bundle.partition(":")
    top, *inner = package.split(".")
    try:
        module = find_spec(top)
    except (ImportError, ValueError):
        module = None
    places = list(module.submodule_search_locations or ()) if module is not None else []
    for place in places:
        folder = Path(place, *inner, relative)
        if folder.is_dir():
            return folder
    raise PluginError(
        f"{spec.canonical}: its bundle {spec.bundle!r} is not there: "
        f"pip install --force-reinstall {spec.distribution}"
    )


def _listing(spec: EncoderSpec | SegmenterSpec) -> Listing:
    if not spec.bundle:
        return _of_spec(spec)
    try:
        if isinstance(spec, SegmenterSpec):
            return _of_segmenter_bundle(SegmenterBundle.read(bundle_folder(spec)), spec)
        bundle = Bundle.read(bundle_folder(spec))
    except SamovarError as error:
        return Listing(spec.canonical, spec.summary, problem=str(error))
    return _of_bundle(bundle, spec.canonical, spec.summary, spec.weights_licence)


def _of_spec(spec: EncoderSpec | SegmenterSpec) -> Listing:
    if isinstance(spec, SegmenterSpec):
        return Listing(
            spec.canonical,
            spec.summary,
            modalities=spec.modalities,
            prompt_kinds=spec.prompt_kinds,
            weights_licence=spec.weights_licence,
            needs_consent=restriction(spec.weights_licence) is not None,
            whole=True,
        )
    return Listing(
        spec.canonical,
        spec.summary,
        modalities=spec.modalities,
        prompt_kinds=spec.prompt_kinds,
        encode_size=spec.encode_size,
        weights_licence=spec.weights_licence,
        needs_consent=restriction(spec.weights_licence) is not None,
    )


def _of_bundle(bundle: Bundle, name: str, summary: str, licence: str = "") -> Listing:
    stated = licence or bundle.weights_licence
    return Listing(
        name or bundle.name,
        summary or bundle.intended_use,
        bundle.version,
        bundle.modalities,
        bundle.prompt_kinds,
        bundle.preparation.encode_size,
        bundle.parameters,
        stated,
        restriction(stated) is not None,
        record={
            **bundle.document(),
            **read_document(bundle.folder / FILE_NAME),
            "weights_sha256": bundle.weights_hash,
        },
    )


def _of_segmenter_bundle(bundle: SegmenterBundle, spec: SegmenterSpec) -> Listing:
    licence = bundle.weights_licence or spec.weights_licence
    return Listing(
        spec.canonical if spec.bundle else bundle.name,
        spec.summary or bundle.intended_use,
        bundle.version,
        bundle.modalities or spec.modalities,
        spec.prompt_kinds,
        parameters=bundle.parameters,
        weights_licence=licence,
        needs_consent=restriction(licence) is not None,
        record={
            **bundle.document(),
            "dimensions": list(spec.dimensions),
            "weights_sha256": bundle.weights_hash,
        },
        whole=True,
    )
