"""Accuracy of a model on labelled pictures, by the protocols of the efficient-SAM papers.

Boxes and centre points with corrective clicks (mean IoU over objects), given boxes of a detector
(mask AP by size, boundary IoU) and a generator's proposals (AR by their number). Every score comes
with the rule by which one of the decoder's masks was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar import api
from samovar.embedding import Embedding
from samovar.errors import SamovarError
from samovar.evaluation.asking import Asking
from samovar.evaluation.average import Predicted, Truth, average_precision, average_recall
from samovar.evaluation.coco import CocoSet, Detection, is_coco, read_coco, read_detections
from samovar.evaluation.metrics import boundary_iou, iou
from samovar.evaluation.pictures import ask, decode_all, picture_targets, read_picture
from samovar.evaluation.run import find_generator, spread
from samovar.evaluation.sets import Case, find_sets
from samovar.evaluation.targets import Target
from samovar.evaluation.volumes import answers_of
from samovar.models import Model
from samovar.prompts import Prompt
from samovar.protocols import Decoder

CLICKS = 2
TRUTH = "truth"
"""``--detections truth``: the boxes of the labels, as a detector without faults."""
STARTS = (("box", "box"), ("point", "center"))
"""Name of a protocol, and how the evaluation calls its first prompt."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One labelled picture; nothing is read before it is asked for."""

    case: Case
    load: Callable[[tuple[int, int]], list[Target]]
    """From rows and columns to its true objects."""
    crowds: Callable[[], list[Truth]] = list
    id: int = 0
    """In a COCO file."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """One set of labelled pictures."""

    name: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Protocols:
    """What is asked."""

    detections: str = TRUTH
    """Results of a detector in COCO's format, :data:`TRUTH`, or empty: none."""
    proposals: str = ""
    """``GENERATOR[:k=v,…]``, or empty: none."""
    modality: str = "auto"
    seed: int = 0


@dataclass
class _Tally:
    """What was measured of one set."""

    steps: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    """Protocol → for each object the IoU after the prompt and after each click."""
    detected: list[tuple[list[Predicted], list[Truth]]] = field(default_factory=list)
    boundary: list[float] = field(default_factory=list)
    proposed: list[tuple[list[Predicted], list[Truth]]] = field(default_factory=list)


def labelled(data: str, images: str | None = None, limit: int = 0) -> list[Labelled]:
    """Sets of a manifest or folder, or the pictures of a COCO file.

    Args:
        images: folder of a COCO file's pictures.
        limit: at most this many pictures a set, evenly spread; 0: all.

    Raises:
        InputError: nothing labelled there.
    """
    path = Path(data)
    if is_coco(path):
        return [_of_coco(path, read_coco(path, Path(images) if images else None), limit)]
    found = []
    for where in find_sets(data)[0]:
        if where.kind != "pictures":
            continue
        cases = spread(where.cases(), limit)

        def targets(case: Case, shape: tuple[int, int], where: Any = where) -> list[Target]:
            return picture_targets(where, case, shape, None)

        found.append(
            Labelled(
                where.name,
                [Picture(c, lambda shape, c=c, t=targets: t(c, shape)) for c in cases],  # type: ignore[misc]
            )
        )
    return found


def _of_coco(file: Path, coco: CocoSet, limit: int) -> Labelled:
    pictures = []
    for image in spread(list(coco.images), limit):

        def load(_shape: tuple[int, int], image: Any = image) -> list[Target]:
            own = [a for a in image.annotations() if not a.crowd]
            return [
                Target(i, a.class_id, coco.classes.get(a.class_id, ""), False, a.mask)
                for i, a in enumerate(own, start=1)
            ]

        def crowds(image: Any = image) -> list[Truth]:
            return [Truth(a.mask, a.class_id, True) for a in image.annotations() if a.crowd]

        pictures.append(Picture(Case(image.file.stem, image.file, file), load, crowds, image.id))
    return Labelled(file.stem, pictures)


def measure_accuracy(
    model: Model,
    sets: Sequence[Labelled],
    protocols: Protocols,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """One row a set and protocol, and one line for each picture that failed.

    Raises:
        UsageError, InputError: the detections or the generator cannot be had.
    """
    detections = None
    if protocols.detections not in ("", TRUTH):
        detections = read_detections(Path(protocols.detections))
    if protocols.proposals:
        find_generator(protocols.proposals)
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    for one in sets:
        tally = _Tally()
        for done, picture in enumerate(one.pictures):
            if progress is not None:
                progress(one.name, done, len(one.pictures))
            try:
                _measure(model, one.name, picture, protocols, detections, tally)
            except SamovarError as error:
                failures.append(f"{one.name}/{picture.case.stem}: {error}")
        if progress is not None:
            progress(one.name, len(one.pictures), len(one.pictures))
        rows += [{"set": one.name, **row} for row in _rows(model, tally, protocols)]
    return rows, failures


@dataclass(frozen=True)
class _Encoded:
    """A model whose one picture is encoded already."""

    decoder: Decoder
    embedding: Embedding

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]:
        return [self.embedding]


def _measure(
    model: Model,
    name: str,
    picture: Picture,
    protocols: Protocols,
    detections: dict[int, list[Detection]] | None,
    tally: _Tally,
) -> None:
    """All protocols on one picture; it is encoded once (and once more by a generator)."""
    pixels = read_picture(picture.case, protocols.modality)
    shape = (pixels.shape[1], pixels.shape[2])
    targets = picture.load(shape)
    if not targets:
        return
    [embedding] = model.encode([pixels])
    encoded = _Encoded(model.decoder, embedding)
    key = f"{name}/{picture.case.stem}"
    for label, start in STARTS:
        asking = Asking.parse(start, clicks=CLICKS, seed=protocols.seed)
        prompts = [asking.first(t, key, shape) for t in targets]
        _, _, steps = ask(encoded, pixels, targets, prompts, CLICKS)
        tally.steps.setdefault(label, []).extend(tuple(d / (2 - d) for d in s) for s in steps)
    truths = [*(Truth(t.mask, t.class_id) for t in targets), *picture.crowds()]
    if protocols.detections:
        boxes = _boxes(targets) if detections is None else detections.get(picture.id, [])
        answers = _segment_boxes(encoded, boxes, shape)
        tally.detected.append((answers, truths))
        tally.boundary += [_best_boundary(answers, t, shape) for t in targets]
    if protocols.proposals:
        tally.proposed.append((list(_propose(model, picture.case, protocols)), truths))


def _boxes(targets: Sequence[Target]) -> list[Detection]:
    return [Detection(t.class_id, (t.box[0], t.box[1], t.box[2], t.box[3]), 1.0) for t in targets]


def _segment_boxes(
    model: _Encoded, boxes: Sequence[Detection], shape: tuple[int, int]
) -> list[Predicted]:
    """A mask a box. Its score is the detector's times the quality that the decoder predicts."""
    if not boxes:
        return []
    limit = np.array([*shape[::-1], *shape[::-1]], dtype=np.float64)
    clipped = [np.clip(b.box, 0, limit) for b in boxes]
    prompts = [
        Prompt(i, box=(float(x0), float(y0), float(max(x1, x0 + 1)), float(max(y1, y0 + 1))))
        for i, (x0, y0, x1, y1) in enumerate(clipped, start=1)
    ]
    answers = decode_all(model.decoder, model.embedding, prompts)
    return [
        Predicted(mask, box.score * float(quality), box.class_id)
        for mask, box, quality in zip(answers.masks, boxes, answers.quality, strict=True)
    ]


def _best_boundary(answers: Sequence[Predicted], target: Target, shape: tuple[int, int]) -> float:
    """Boundary IoU of the answer of the object's class that overlaps it most; 0 without one."""
    own = [a for a in answers if a.class_id == target.class_id]
    best = max(own, key=lambda a: iou(a.mask, target.mask), default=None)
    if best is None or not iou(best.mask, target.mask):
        return 0.0
    return boundary_iou(best.mask, target.mask, shape)


def _propose(model: Model, case: Case, protocols: Protocols) -> Iterator[Predicted]:
    generator, options = find_generator(protocols.proposals)
    found = api.segment(
        case.image, model=model, auto=generator, auto_options=options, modality=protocols.modality
    )
    kept = [item for item in found if not item.empty]
    masks = answers_of(found, [item.id for item in kept])
    for item, mask in zip(kept, masks, strict=True):
        yield Predicted(mask, item.score)


def _rows(model: Model, tally: _Tally, protocols: Protocols) -> Iterator[dict[str, Any]]:
    """Scores of one set, each with its number of objects and its rule of mask selection."""
    for label, steps in tally.steps.items():
        table = np.array(steps)
        for clicks in range(CLICKS + 1):
            yield {
                "protocol": label + (f" +{clicks}" if clicks else ""),
                "objects": len(table),
                "selection": selection_of(model, label, clicks),
                "scores": {"miou": round(float(table[:, clicks].mean()), 4)},
            }
    if tally.detected:
        scores = average_precision(tally.detected)
        scores["boundary_iou"] = float(np.mean(tally.boundary))
        name = "the labels' own boxes" if protocols.detections == TRUTH else "detector's boxes"
        yield {
            "protocol": f"detector: {name}",
            "objects": len(tally.boundary),
            "selection": selection_of(model, "box", 0),
            "scores": {k: None if v is None else round(v, 4) for k, v in scores.items()},
        }
    if tally.proposed:
        yield {
            "protocol": f"proposals: {protocols.proposals}",
            "objects": sum(len([t for t in true if not t.crowd]) for _, true in tally.proposed),
            "selection": selection_of(model, "point", 0) + ", then the generator's own filter",
            "scores": {k: round(v, 4) for k, v in average_recall(tally.proposed).items()},
        }


def selection_of(model: Model, label: str, clicks: int) -> str:
    """The rule that held, by the very prompts of a protocol."""
    if model.bundle is None:
        return "the decoder's own"
    box = (0.0, 0.0, 1.0, 1.0) if label == "box" else None
    points = ((0.0, 0.0),) * (clicks + (box is None))
    mask = np.zeros(model.bundle.mask_size, dtype=np.float32) if clicks else None
    prompt = Prompt(1, box=box, points=points, labels=(1,) * len(points), mask=mask)
    return str(model.bundle.mask_selection.rule(prompt))
