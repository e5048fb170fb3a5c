"""Models: from a name or a folder to something that encodes pictures and answers prompts.

>>> from samovar.models import load_model
>>> model = load_model("tiny", threads=2)                       # doctest: +SKIP
>>> [embedding] = model.encode([picture])                       # doctest: +SKIP
>>> masks = model.decoder.decode(embedding, prompts)            # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import FILE_NAME, Bundle
from samovar.bundle_precisions import CONVERTED
from samovar.catalogue import Listing, describe_model, list_models, look_up, verify_model
from samovar.choice import Candidate, Choice, candidates_for, choose_fastest, identity_of
from samovar.decoding import SamDecoder
from samovar.embedding import Embedding
from samovar.encoding import BundleEncoder, ModelEncoder
from samovar.errors import BundleError, PluginError, UsageError
from samovar.faces import ClassicFace, Face, RegionFace, TwoFaces
from samovar.licences import require_accepted, restriction
from samovar.plugins import registry
from samovar.protocols import Decoder, Graph, Runtime, RuntimeInfo
from samovar.resize import Normalisation, Preparation, Resize
from samovar.roi import wanted as roi_wanted
from samovar.runtimes import choose_runtime
from samovar.specs import EncoderSpec, RuntimeSpec, SegmenterSpec

BATCH = 8
"""Pictures encoded at a time on a device that is not the CPU."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model. May be used from several threads."""

    name: str
    """Canonical name, or the bundle's own for a folder."""
    weights_hash: str
    decoder: Decoder
    encoder: ModelEncoder
    runtime_info: RuntimeInfo
    modalities: tuple[str, ...] = ()
    bundle: Bundle | None = None
    """None for a model whose encoder is a class of a plugin."""
    spec: EncoderSpec | None = None
    """None for a bundle given by its folder."""
    release: Callable[[], None] | None = None
    choice: Choice | None = None
    """What ``--runtime auto`` chose, and why."""

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]:
        """Each picture ``(3, rows, columns)`` float32, 0…255, RGB → its embedding.

        Raises:
            InputError: a picture without three channels.
            PluginError: the encoder fails.
        """
        return self.encoder.encode(pictures)

    def describe(self) -> dict[str, Any]:
        """What a manifest records: names, hash, licences, runtime, precision, threads."""
        runtime = asdict(self.runtime_info)
        gate = self.bundle.gate if self.bundle else None
        return {
            "name": self.name,
            "version": self.bundle.version if self.bundle else "",
            "weights_sha256": self.weights_hash,
            "mask_threshold": self.bundle.mask_threshold if self.bundle else None,
            "licence": _licences(self.spec, self.bundle),
            "encode_size": list(self.encoder.preparation.encode_size),
            "prompt_kinds": sorted(self.decoder.prompt_kinds),
            "region_decode": self._region_decode(),
            "runtime": {"name": runtime.pop("runtime"), **runtime},
            **({} if self.choice is None else {"runtime_choice": self.choice.describe()}),
            **({} if gate is None else {"gate": gate.document()}),
        }

    def _region_decode(self) -> dict[str, Any] | None:
        """The rule by which boxes are decoded over windows; None where everything is in full."""
        roi = self.decoder.roi if isinstance(self.decoder, SamDecoder) else None
        return None if roi is None else roi.document()

    def close(self) -> None:
        """Let the graphs go. Using the model afterwards is an error."""
        if self.release is not None:
            self.release()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_model(
    name_or_path: str | Path,
    *,
    runtime: str = "default",
    precision: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
    accept_license: Sequence[str] = (),
    region_decode: str = "auto",
) -> Model:
    """Load a model by the name that a plugin gave it, or from a bundle's folder.

    Args:
        name_or_path: ``"tiny"``, ``"distribution/tiny"``, or a folder with ``bundle.json``.
        runtime: name; ``default``, the first that is installed (see :mod:`samovar.runtimes`); or
            ``auto``, the fastest on this machine (see :mod:`samovar.choice`).
        precision: one that the bundle has; ``auto``: its own, or with the runtime ``auto`` the
            fastest of those whose gate was passed.
        threads: of the runtime; None: as many as there are cores to use.
        device: ``cpu``, or another that the runtime lists.
        accept_license: names of models or licences whose restricted weights are accepted.
        region_decode: whether prompts with a box are decoded over a window around it:
            ``auto`` (where the bundle says so), ``on`` or ``off``; see :mod:`samovar.roi`.

    Raises:
        UsageError: an unknown name (with the nearest), a licence not accepted, a precision,
            runtime or device that is not there.
        BundleError: the bundle is broken or was tampered with.
        DependencyError: no runtime is installed.
        PluginError: a plugin's encoder or decoder fails to start.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}: give 1 or more")
    found = look_up(name_or_path)
    if isinstance(found.spec, SegmenterSpec):
        raise UsageError(
            f"{name_or_path!s}: is a segmenter, a whole model in one without an encoder: "
            "`samovar segment --model` runs it"
        )
    options = _Options(runtime, precision, threads, device, region_decode)
    if found.folder is None:
        assert found.spec is not None
        return _load_classes(found.spec, options, accept_license, str(name_or_path))
    stated = Bundle.read(found.folder)
    _check_licence(found.spec, stated, accept_license, str(name_or_path))
    return _load_bundle(Bundle.load(found.folder), found.spec, options)


@dataclass(frozen=True)
class _Options:
    runtime: str
    precision: str
    threads: int | None
    device: str
    region_decode: str


def _load_bundle(bundle: Bundle, spec: EncoderSpec | None, options: _Options) -> Model:
    precision = options.precision
    if precision != "auto" and precision not in bundle.possible_precisions:
        raise UsageError(
            f"{bundle.folder / FILE_NAME}: model {bundle.name!r} has precision "
            f"{', '.join(bundle.possible_precisions)}, not {precision}: leave --precision at auto"
        )
    if options.runtime == "auto":
        return _load_fastest(bundle, spec, options)
    graphs = bundle.in_precision(bundle.precision if precision == "auto" else precision)
    runtime = choose_runtime(options.runtime, graphs.precision, graphs.suffixes)
    return _open(graphs, spec, runtime, options)


def _load_fastest(bundle: Bundle, spec: EncoderSpec | None, options: _Options) -> Model:
    """What is the fastest here, timed now or in an earlier run."""
    candidates = candidates_for(bundle, options.precision)
    identity = identity_of(
        bundle,
        candidates,
        options.threads,
        device=options.device,
        region_decode=options.region_decode,
    )

    def load(candidate: Candidate) -> Model:
        return _open(bundle.in_precision(candidate.precision), spec, candidate.runtime, options)

    model, choice = choose_fastest(bundle, candidates, identity, load)
    return replace(load(choice.candidate) if model is None else model, choice=choice)


def _precision_of(bundle: Bundle, role: str) -> str:
    """In which a role's graph is run."""
    return "fp32" if bundle.precision in CONVERTED and role != "encoder" else bundle.precision


def _open(
    bundle: Bundle, spec: EncoderSpec | None, runtime: RuntimeSpec, options: _Options
) -> Model:
    """A bundle's own graphs in one runtime."""
    source = bundle.folder / FILE_NAME
    machine: Runtime = registry().load(runtime)

    def load(role: str) -> Graph:
        return machine.load(
            bundle.graph(role),
            threads=options.threads,
            device=options.device,
            precision=_precision_of(bundle, role),
        )

    windowed = roi_wanted(options.region_decode, bundle.roi, bundle.name)
    graph = load("encoder")
    encoder = BundleEncoder(bundle, graph)
    face: Face
    try:
        if bundle.classic:
            face = ClassicFace(load("decoder"), bundle.mask_size, bundle.taps)
        else:
            face = TwoFaces(load("prompt_encoder"), load("mask_decoder"), bundle.taps)
        region = RegionFace(load("decoder_roi"), bundle.taps) if windowed else None
    except BundleError as error:
        text = str(error)
        raise BundleError(text if str(bundle.folder) in text else f"{source}: {text}") from error
    name = spec.canonical if spec is not None else bundle.name
    converted = "" if bundle.precision == "fp32" else f"+{bundle.precision}"
    key = f"{name}@{bundle.weights_hash}{converted}"
    batch = 1 if graph.info.device == "cpu" else (encoder.batch or BATCH)
    return Model(
        name,
        bundle.weights_hash,
        SamDecoder(bundle, face, region),
        ModelEncoder(encoder, bundle.preparation, key, batch),
        graph.info,
        bundle.modalities,
        bundle,
        spec,
    )


def _load_classes(
    spec: EncoderSpec, options: _Options, accepted: Sequence[str], asked: str
) -> Model:
    """A model whose encoder, and decoder, are classes that plugins name."""
    if not spec.runs:
        raise UsageError(
            f"{spec.canonical} comes without weights: `samovar models pull {spec.name}` fetches "
            "them where they can be fetched and says what to type then"
        )
    roi_wanted(options.region_decode, None, spec.canonical)
    if not spec.decoder:
        raise PluginError(
            f"{spec.canonical} names no decoder: its EncoderSpec needs decoder='…' or a bundle"
        )
    decoder_spec = registry().find("decoder", spec.decoder)
    for one in (spec, decoder_spec):
        names = (spec.name, spec.canonical, asked)
        require_accepted(asked, names, one.weights_licence, accepted)
    try:
        preparation = Preparation(
            spec.encode_size,
            spec.prompt_frame,
            spec.prompt_coordinates,
            Resize.parse(spec.resize),
            Normalisation.parse(spec.normalisation),
        )
    except ValueError as error:
        raise PluginError(f"{spec.canonical}: its spec is wrong: {error}") from error
    given = {"threads": options.threads, "device": options.device, "precision": options.precision}
    encoder, decoder = registry().load(spec, **_taken(spec, given)), registry().load(decoder_spec)
    info = getattr(encoder, "info", None)
    if not isinstance(info, RuntimeInfo):
        info = RuntimeInfo(spec.distribution, "", "unknown", "unknown", 0, "unknown")
    weights = spec.sha256 or f"unknown-{spec.canonical}"
    key = f"{spec.canonical}@{weights}"
    return Model(
        spec.canonical,
        weights,
        decoder,
        ModelEncoder(encoder, preparation, key),
        info,
        spec.modalities,
        None,
        spec,
        getattr(encoder, "close", None),
    )


def _taken(spec: EncoderSpec, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the spec declares (``--threads`` …)."""
    keys = {option.key for option in spec.options}
    return {key: value for key, value in given.items() if key in keys}


def _check_licence(
    spec: EncoderSpec | None, bundle: Bundle, accepted: Sequence[str], asked: str
) -> None:
    """A folder that somebody names is theirs; only a restriction that it states is asked about."""
    licence = (spec.weights_licence if spec else "") or bundle.weights_licence
    if spec is None and restriction(licence) == restriction(""):
        return
    names = (bundle.name, asked) if spec is None else (spec.name, spec.canonical, asked)
    model = bundle.name if spec is None else spec.name
    require_accepted(model, names, licence, accepted)


def _licences(spec: EncoderSpec | None, bundle: Bundle | None) -> dict[str, str]:
    code = (bundle.code_licence if bundle else "") or (spec.code_licence if spec else "")
    weights = (bundle.weights_licence if bundle else "") or (spec.weights_licence if spec else "")
    return {"code": code or "unknown", "weights": weights or "unknown"}


__all__ = ["Listing", "Model", "describe_model", "list_models", "load_model", "verify_model"]
