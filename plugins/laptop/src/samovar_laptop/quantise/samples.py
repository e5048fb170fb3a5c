"""Samples: pictures and prompts that a bundle is calibrated with, as its graphs get to see them.

The bundle runs in float; every graph is wrapped so that what it is fed can be kept. So each graph
is calibrated with what really reaches it: boxes, points, corrections with the previous mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.decoding import SamDecoder
from samovar.embedding import Embedding, Fit
from samovar.encoding import BundleEncoder, ModelEncoder
from samovar.errors import InputError, SamovarError, UsageError
from samovar.evaluation.asking import Asking, corrected
from samovar.evaluation.pictures import picture_targets, read_picture
from samovar.evaluation.run import spread
from samovar.evaluation.sets import Case, EvaluationSet, find_sets
from samovar.evaluation.targets import Target
from samovar.faces import ClassicFace, Face, RegionFace, TwoFaces
from samovar.prompts import Prompts
from samovar.protocols import Arrays, Graph
from samovar_laptop.onnx_runtime import OnnxRuntime

OBJECTS = 4
"""Objects asked for in one picture, largest first."""
HELD_BACK = 5
"""Without validation stems every fifth case is kept for the gate."""

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """One set: the cases to calibrate with, and those that only the gate may see."""

    where: EvaluationSet
    cases: tuple[Case, ...]
    held: tuple[Case, ...]


def find_sources(data: Sequence[str]) -> list[Source]:
    """Sets of pictures in the folders or manifests, less those that say ``train: false``.

    Raises:
        InputError: no sets there.
        UsageError: none that may be learned from.
    """
    sources = []
    for path in data:
        for where in find_sets(path)[0]:
            if where.kind == "pictures" and not where.unseen:
                sources.append(_split(where))
    if not any(s.cases for s in sources):
        raise UsageError(
            f"{', '.join(data)}: no pictures to calibrate with: give sets with images/ and masks/ "
            "whose manifest does not say train: false"
        )
    return sources


def _split(where: EvaluationSet) -> Source:
    cases = where.cases()
    if where.has_validation:
        held = [c for c in cases if where.is_validation(c.stem)]
    else:
        held = cases[HELD_BACK // 2 :: HELD_BACK]
    stems = {c.stem for c in held}
    return Source(where, tuple(c for c in cases if c.stem not in stems), tuple(held))


def draw(sources: Sequence[Source], count: int) -> list[tuple[EvaluationSet, Case]]:
    """``count`` cases, as many of each set as of the others, evenly spread over each."""
    shares = [0] * len(sources)
    while sum(shares) < count:
        room = [i for i, s in enumerate(sources) if shares[i] < len(s.cases)]
        if not room:
            break
        shares[min(room, key=lambda i: shares[i])] += 1
    rows = [spread(list(s.cases), n) if n else [] for s, n in zip(sources, shares, strict=True)]
    return [(s.where, case) for s, row in zip(sources, rows, strict=True) for case in row]


class RecordedGraph:
    """A graph that keeps what it is fed."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs, self.outputs, self.info = graph.inputs, graph.outputs, graph.info
        self.feeds: list[Feeds] = []

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        self.feeds.append(dict(feeds))
        return self._graph.run(feeds, outputs)


class Rehearsal:
    """A bundle in float whose graphs are watched while it answers prompts.

    Args:
        asked: whether prompts are wanted; without them nothing but the encoder runs.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, asked: bool = True) -> None:
        self.asked = asked
        runtime = OnnxRuntime()
        self.bundle = bundle
        self.graphs = {
            role: RecordedGraph(runtime.load(bundle.graph(role), threads=threads))
            for role in bundle.roles
        }
        self.encoder = ModelEncoder(
            BundleEncoder(bundle, self.graphs["encoder"]), bundle.preparation, bundle.name
        )
        face: Face
        if bundle.classic:
            face = ClassicFace(self.graphs["decoder"], bundle.mask_size, bundle.taps)
        else:
            face = TwoFaces(self.graphs["prompt_encoder"], self.graphs["mask_decoder"], bundle.taps)
        self.decoders = [SamDecoder(bundle, face)]
        if bundle.roi is not None:
            region = RegionFace(self.graphs["decoder_roi"], bundle.taps)
            self.decoders.append(SamDecoder(bundle, face, region))

    def play(self, where: EvaluationSet, case: Case) -> Sample:
        """Encode one picture and ask for its objects. Raises InputError for an unreadable one."""
        for graph in self.graphs.values():
            graph.feeds.clear()
        picture = read_picture(case)
        targets = picture_targets(where, case, picture.shape[1:], OBJECTS)
        [embedding] = self.encoder.encode([picture])
        for decoder in self.decoders if self.asked and targets else ():
            self._ask(decoder, embedding, f"{where.name}/{case.stem}", picture.shape[1:], targets)
        feeds = {role: tuple(graph.feeds) for role, graph in self.graphs.items()}
        return Sample(f"{where.name}/{case.stem}", feeds, tuple(targets), embedding.fit)

    def _ask(
        self,
        decoder: SamDecoder,
        embedding: Embedding,
        key: str,
        shape: tuple[int, ...],
        targets: Sequence[Target],
    ) -> None:
        """Boxes, points, and a correction of what the boxes gave, where the model takes them."""
        kinds = decoder.prompt_kinds
        if "box" in kinds:
            asked = [Asking("box", jitter=0.02).first(t, key, shape) for t in targets]
            answers = decoder.decode(embedding, Prompts(tuple(asked)))
            if "mask" in kinds and {"point", "negative-point"} <= kinds:
                pairs = zip(asked, targets, answers.masks, answers.low_res, strict=True)
                again = tuple(corrected(p, t.mask, m, low) for p, t, m, low in pairs)
                decoder.decode(embedding, Prompts(again))
        if "point" in kinds:
            points = tuple(Asking("center").first(t, key, shape) for t in targets)
            decoder.decode(embedding, Prompts(points))


@dataclass(frozen=True, eq=False)
class Sample:
    """What one picture and its prompts fed to each graph."""

    name: str
    feeds: Mapping[str, tuple[Feeds, ...]]
    """By role; one entry a call."""
    targets: tuple[Target, ...]
    fit: Fit


def rehearse(rehearsal: Rehearsal, drawn: Sequence[tuple[EvaluationSet, Case]]) -> Iterator[Sample]:
    """A sample a case; a picture that cannot be read is an error only when all are.

    Raises:
        InputError: no case could be used.
    """
    problems: list[SamovarError] = []
    used = 0
    for where, case in drawn:
        try:
            sample = rehearsal.play(where, case)
        except InputError as error:
            problems.append(error)
            continue
        if sample.targets:
            used += 1
            yield sample
    if not used:
        raise problems[0] if problems else InputError("no case to calibrate with has an object")
