"""Frozen specs: what a plugin offers, readable without importing anything heavy.

A hook returns a list of these. ``target`` (``"package.module:Name"``) is imported on first use.
``distribution`` is filled in by the host when it discovers the plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class OptionSpec:
    """A typed option that a plugin adds to a command line: ``--series``, ``--bands`` …"""

    name: str
    """With its dashes, ``"--bands"``."""
    help: str
    type: type[str] | type[int] | type[float] | type[bool] = str
    default: Any = None
    multiple: bool = False
    metavar: str | None = None
    short: str = ""
    """A second spelling, ``"-o"``; only for commands."""
    joins: bool = False
    """Of a reader: several inputs are one image, opened as ``KEY:A|B``."""
    key: str = ""
    """Name of the keyword argument; empty: that of the option, ``--dst-crs`` → ``dst_crs``."""

    def __post_init__(self) -> None:
        if not self.key and isinstance(self.name, str):
            object.__setattr__(self, "key", self.name.lstrip("-").replace("-", "_"))


@dataclass(frozen=True)
class ArgumentSpec:
    """A positional argument of a command. ``multiple`` takes one or more."""

    name: str
    help: str
    type: type[str] | type[int] | type[float] = str
    multiple: bool = False
    required: bool = True

    @property
    def key(self) -> str:
        return self.name.lower().replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all kinds have in common."""

    kind: ClassVar[str]

    name: str
    """Short name, lower case; canonical name is ``distribution/name``."""
    target: str = ""
    """``"package.module:Name"``, imported on first use."""
    summary: str = ""
    options: tuple[OptionSpec, ...] = ()
    code_licence: str = ""
    distribution: str = ""
    """Set by the host at discovery."""

    @property
    def canonical(self) -> str:
        return f"{self.distribution}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """One file that a model's weights are published as; ``samovar models pull`` fetches it.

    What is fetched lies in ``samovar.folders.weights_folder(canonical) / file``, where the
    plugin's own code finds it. Nothing is ever downloaded without that command.
    """

    file: str
    """Plain name in the cache."""
    url: str = ""
    """``https://…``; empty: only a person can get it, at ``page``."""
    page: str = ""
    """Where the weights are offered, for a person."""
    bytes: int | None = None
    """Size of what ``url`` answers, where known."""
    sha256: str = ""
    """Of what ``url`` answers, where known; otherwise the first download is trusted and pinned."""
    hash_from: str = ""
    """Who published the hash."""
    unpack: str = ""
    """``url`` answers a zip, and this is the member's name."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """A model's encoder: image view → Embedding.

    Either ``bundle`` names a folder with graphs (``"package:relative/folder"``), whose
    ``bundle.json`` then says everything else, or ``target`` names a class with the Encoder
    protocol and the fields below describe it. One with a ``builder`` alone is an architecture
    without weights: it can be trained, or filled by ``samovar models import``, but not run.
    """

    kind = "encoder"

    bundle: str = ""
    decoder: str = ""
    """Name of the decoder spec to pair it with; bundles bring their own."""
    builder: str = ""
    """``"package.module:function"`` without arguments that returns the torch side, see
    :class:`samovar.protocols.Architecture`: for training, adapters, quantisation, benchmarks."""
    dimensions: Literal[2, 3] = 2
    modalities: tuple[str, ...] = ()
    bands: int = 3
    prompt_kinds: tuple[str, ...] = ()
    max_points: int | None = None
    encode_size: tuple[int, int] = (1024, 1024)
    prompt_frame: tuple[int, int] = (1024, 1024)
    prompt_coordinates: Literal["continuous", "scaled"] = "scaled"
    resize: Mapping[str, Any] = field(default_factory=dict)
    normalisation: Mapping[str, Any] = field(default_factory=dict)
    taps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    lora_targets: tuple[str, ...] = ()
    """Ends of the names of layers that low-rank adapters go to."""
    memory_mb: int | None = None
    weights_licence: str = ""
    sha256: str = ""
    intended_use: str = ""
    sources: tuple[SourceSpec, ...] = ()
    """Files that ``samovar models pull`` fetches; a bundle in the distribution needs none."""
    citation: str = ""

    @property
    def runs(self) -> bool:
        """Has weights, in a bundle or in its own code."""
        return bool(self.bundle or self.target)


@dataclass(frozen=True, kw_only=True)
class PromptGeneratorSpec(Spec):
    """(view, embedding, prior masks, context) → Prompts, or None when done."""

    kind = "prompt-generator"

    needs_taps: tuple[str, ...] = ()
    needs_prior: bool = False
    modalities: tuple[str, ...] = ()
    dimensions: Literal[2, 3] = 2
    weights_licence: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """Surgery on an encoder or decoder: attach, fit, merge, save."""

    kind = "adapter"

    structural: bool = False
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DecoderSpec(Spec):
    """(Embedding, Prompts) → Masks."""

    kind = "decoder"

    prompt_kinds: tuple[str, ...] = ()
    max_points: int | None = None
    weights_licence: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class SegmenterSpec(Spec):
    """Escape hatch: models whose encoding depends on the prompt, or that are 3-D.

    The target has the Segmenter protocol. Where ``graphs`` names any, the host opens them from a
    bundle (``bundle`` here, or the folder that a user names) and calls the target with ``graphs``
    and ``settings``; a spec with graphs and no bundle comes without weights.
    """

    kind = "segmenter"

    graphs: tuple[str, ...] = ()
    """Roles of the graphs that it wants opened: ``("encoder", "decoder")``."""
    bundle: str = ""
    """``"package:relative/folder"`` with these graphs, where the distribution brings them."""
    dimensions: tuple[Literal[2, 3], ...] = (2, 3)
    """Of the images that it segments: pictures and rasters, volumes."""
    modalities: tuple[str, ...] = ()
    prompt_kinds: tuple[str, ...] = ()
    """What it can be asked with: ``point``, ``negative-point``, ``box``, ``mask``. None: it takes
    no prompts, and finds all that it knows."""
    reads: Literal["values", "picture"] = "values"
    """``values``: the file's own values, which it prepares itself; ``picture``: the three channels
    in 0…255 that the intensity step makes."""
    memory_mb: int | None = None
    weights_licence: str = ""
    sha256: str = ""
    intended_use: str = ""
    sources: tuple[SourceSpec, ...] = ()
    """Files that ``samovar models pull`` fetches."""
    citation: str = ""

    @property
    def runs(self) -> bool:
        """Has weights, in a bundle or in its own code."""
        return bool(self.bundle or not self.graphs)

    @property
    def needs_prompts(self) -> bool:
        return bool(self.prompt_kinds)


@dataclass(frozen=True, kw_only=True)
class RuntimeSpec(Spec):
    """Runs an exported graph."""

    kind = "runtime"

    graph_suffixes: tuple[str, ...] = (".onnx",)
    precisions: tuple[str, ...] = ("fp32",)
    requires: tuple[str, ...] = ()
    """Modules that must be importable; the host checks without importing them."""


@dataclass(frozen=True, kw_only=True)
class FormatSpec(Spec):
    """Reads an Image, reads prompts, or writes Objects; found by suffix and by sniffing."""

    kind = "format"

    suffixes: tuple[str, ...] = ()
    """Lower case, with the dot; ``".nii.gz"`` counts as one."""
    reads: bool = False
    writes: bool = False
    reads_prompts: bool = False
    domains: tuple[str, ...] = ("volume", "raster", "picture")
    """Domains of images that its writer accepts."""
    describes: bool = False
    """Its file describes the other outputs of the run: the writer is given ``outputs``, paths."""
    by_name: bool = False
    """Writes only where it is asked for by name: ``-o rtstruct:OUT.dcm``."""
    magic: tuple[tuple[int, bytes], ...] = ()
    """(offset, bytes) pairs, one of which starts a file of this format."""
    schemes: tuple[str, ...] = ()
    """Prefixes of paths that are not files, ``"/vsi"``."""
    folders: bool = False
    """May open a folder."""
    folder_suffix: str = ""
    """Only folders whose name ends so, lower case."""


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command line subcommand; ``name`` may be two words (``"models import"``).

    ``target`` is a function that takes the arguments and options as keywords and returns an exit
    code or None. The function raises SamovarError for what a user should read.
    """

    kind = "command"

    arguments: tuple[ArgumentSpec, ...] = ()
    help: str = ""
