"""How plugins behave: typed protocols, one a kind. pluggy discovers; these do the work.

A spec's ``target`` is called with the options of the spec as keywords and returns an object with
the protocol of its kind. Inference never passes through pluggy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.embedding import Embedding
from samovar.grid import Grid
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.masks import Masks, PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.prompts import Prompts
from samovar.resize import Preparation
from samovar.view import View

Arrays = Mapping[str, NDArray[Any]]


@runtime_checkable
class Encoder(Protocol):
    """Pictures → named arrays."""

    def encode(self, pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``(B, 3, S, S)`` float32, contiguous, prepared by the spec → arrays with leading B.

        One array is called ``image_embeddings``; the others are taps.
        """
        ...


@runtime_checkable
class Decoder(Protocol):
    """Embedding + prompts → masks."""

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """What it understands: ``box``, ``point``, ``negative-point``, ``mask``, ``sparse`` …"""
        ...

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        """Prompts in index coordinates of the view's picture; masks in the same order."""
        ...

    def mask_prompt(
        self, mask: NDArray[np.bool_] | NDArray[np.float32], embedding: Embedding
    ) -> NDArray[np.float32]:
        """A mask over the view's picture → logits in the decoder's mask frame."""
        ...


@dataclass(frozen=True, eq=False)
class Context:
    """What a prompt generator may know beside the view: the picture, the image, its options."""

    picture: NDArray[np.float32]
    """``(3, rows, columns)`` after the intensity step, 0…255."""
    image: Image
    modality: str
    round: int = 0
    """How often this view was proposed before."""
    state: dict[str, Any] = field(default_factory=dict)
    """Kept between the rounds of one view."""


@runtime_checkable
class PromptGenerator(Protocol):
    """Prompts from the image itself; called until it returns None."""

    def propose(
        self, view: View, embedding: Embedding, prior: Masks | None, context: Context
    ) -> Prompts | None:
        """Prompts in index coordinates of the view's picture; None when there is no more to ask."""
        ...

    def select(self, masks: Masks) -> Sequence[int]:
        """Positions of the masks worth keeping, best first (filtering, suppression)."""
        ...


@runtime_checkable
class Architecture(Protocol):
    """The torch side of a promptable model: what ``EncoderSpec.builder`` returns.

    A role's module takes and returns the arrays of that role's graph, as tensors, in the order of
    :meth:`names`. The roles share their weights: training one changes the model.
    """

    name: str
    module: Any
    """``torch.nn.Module`` of everything. The keys of its state dict are the names of the
    initialisers of exported graphs, so that weights go back and forth."""
    lora_targets: tuple[str, ...]
    """Ends of the names of layers in ``module`` that low-rank adapters go to."""

    @property
    def preparation(self) -> Preparation:
        """How it wants its pictures, and in what frame it is asked."""
        ...

    @property
    def roles(self) -> tuple[str, ...]:
        """Those it has, ``encoder`` first."""
        ...

    def role(self, role: str) -> Any:
        """The ``torch.nn.Module`` of one graph, in evaluation mode."""
        ...

    def names(self, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of a graph's inputs and outputs."""
        ...

    def samples(self, role: str, prompts: int, points: int, seed: int = 0) -> tuple[Any, ...]:
        """Random inputs of a role, for tracing and for timing."""
        ...

    def load(self, paths: Sequence[str | Path]) -> None:
        """Weights from checkpoints as the model's authors publish them, or from a bundle's folder.

        Raises InputError for a file that is another model's, listing what does not fit.
        """
        ...

    def export(self, folder: str | Path) -> Bundle:
        """Graphs of all roles, compared with torch, as a new bundle."""
        ...


@runtime_checkable
class Adapter(Protocol):
    """Teaches a model something from a few cases."""

    def attach(self, module: Any) -> Any: ...

    def fit(self, data: Any, **options: Any) -> Mapping[str, Any]: ...

    def merge(self) -> Any: ...

    def save(self, folder: Path) -> None: ...

    def describe(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class SegmenterContext:
    """What a segmenter may know beside the image and the prompts."""

    intensity: Intensity
    """``intensity.apply(block)`` makes the picture in 0…255 of a 2-D block of values, and
    ``intensity.modality`` says what the image is."""
    check: Callable[[], None]
    """Raises Cancelled once somebody asked to stop: call it between long steps."""
    progress: Callable[[int, int], None]
    """Called with how many steps of how many are done."""


@dataclass(frozen=True, eq=False)
class SegmenterAnswer:
    """One object that a segmenter found."""

    id: int
    """Of its prompt; without prompts a number from 1, its own."""
    mask: PixelMask
    """In index coordinates of the image; empty where nothing was found."""
    quality: float
    """Predicted IoU; kept within 0…1."""
    stability: float = 1.0
    """How little the mask depends on its threshold, 0…1."""
    name: str = ""
    """Without prompts: what it is."""
    class_id: int = 0
    """Without prompts: its class."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the table of objects."""


@runtime_checkable
class Segmenter(Protocol):
    """A whole model in one: an image and prompts → objects.

    What it returns for an image and a prompt depends on nothing else: not on the other prompts,
    and not on what it was asked before.
    """

    def segment(
        self, image: Image, prompts: Prompts | None, context: SegmenterContext
    ) -> Iterable[SegmenterAnswer]:
        """Objects as they are found: what was yielded before an interrupt is kept.

        Args:
            image: read what is needed, ``image.read(region)``; not more at a time.
            prompts: in index coordinates of the image, checked, of the kinds that the spec names;
                None for a segmenter that takes none.

        Yields:
            One answer a prompt, in any order; a prompt without one counts as not found.

        Raises:
            SamovarError: in one line, for what a user can mend.
        """
        ...


@dataclass(frozen=True)
class RuntimeInfo:
    """What really runs a graph; reported, never guessed silently."""

    runtime: str
    version: str
    device: str
    precision: str
    threads: int
    instruction_set: str


@runtime_checkable
class Graph(Protocol):
    """A loaded graph. numpy in, numpy out. May be called from several threads."""

    inputs: Mapping[str, tuple[int | str | None, ...]]
    """Name → shape; dynamic axes as names or None."""
    outputs: Mapping[str, tuple[int | str | None, ...]]
    info: RuntimeInfo

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Raises PluginError when the runtime does."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """Loads graphs."""

    def devices(self) -> tuple[str, ...]:
        """What this machine has, ``cpu`` first: ``("cpu", "cuda:0")``."""
        ...

    def load(
        self, graph: Path, *, threads: int | None = None, device: str = "cpu", precision: str = ""
    ) -> Graph:
        """Raises UsageError for a device that is not there, BundleError for a broken graph."""
        ...


@runtime_checkable
class Reader(Protocol):
    """Opens images. What a FormatSpec with ``reads`` targets.

    It may have ``private_words(path)``: what in the file's header names a person, to be hidden
    wherever the file's own name holds it. While it opens and reads, it hands such words to
    :func:`samovar.privacy.keep_private` itself.
    """

    def open(self, path: str, **options: Any) -> Image:
        """Raises InputError naming the file and the remedy; never a library's own exception."""
        ...


@runtime_checkable
class PromptReader(Protocol):
    """Reads prompts. What a FormatSpec with ``reads_prompts`` targets."""

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """Prompts in any space, numbered from 1, attributes carried over."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Writes objects. What a FormatSpec with ``writes`` targets.

    It may have ``check(image, **options)``, called before any work: it raises what :meth:`write`
    would raise at the end for this image and these options; ``check_target(target, **options)``,
    the same for the place to write to; and ``prepare(target, path)``, called before :meth:`write`
    or ``stream``, which takes over into ``path`` what of an existing file has to stay.
    """

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Writes to ``path``, a temporary name with the right suffix that the host then renames."""
        ...


@dataclass(frozen=True)
class StreamHead:
    """What is known of a run before its first object."""

    grid: Grid
    provenance: Mapping[str, Any]
    attributes: tuple[str, ...] = ()
    """Names of the prompts' attributes, in the order of their first appearance."""
    highest_id: int | None = None
    """No object has a greater id; None when that is not known yet."""
    semantic: bool = False
    """Ids are classes, and several objects may share one."""


class ObjectSink(Protocol):
    """An open output that takes objects as they leave the frontier.

    All calls come from one thread. After a :meth:`close` that succeeded, or :meth:`abort`, none
    follows.
    """

    def add(self, item: SegmentedObject) -> None:
        """One finished object. Objects come in an order that geometry alone decides."""
        ...

    def advance(self, row: int) -> None:
        """No object that comes later has a pixel in an array row before ``row``."""
        ...

    def close(self) -> None:
        """Everything was added: finish the file."""
        ...

    def abort(self) -> None:
        """The run failed or was cancelled, or :meth:`close` raised: let go of the file; the host
        removes it."""
        ...


@runtime_checkable
class StreamWriter(Protocol):
    """A Writer that does not need all objects at once; memory stays flat in the scene's size.

    Optional: a writer without ``stream`` is given all objects at the end. A streamed file has the
    bytes that :meth:`Writer.write` would give for the same objects in the same order.
    """

    def stream(self, head: StreamHead, path: Path, image: Image, **options: Any) -> ObjectSink:
        """Opens ``path``, a temporary name with the right suffix that the host then renames."""
        ...
