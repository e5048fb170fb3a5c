"""Runs an evaluation: every case of every chosen set, one failure never hiding the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from samovar.errors import SamovarError, UsageError
from samovar.evaluation.asking import Asking
from samovar.evaluation.challenge import evaluate_challenge
from samovar.evaluation.metrics import Found
from samovar.evaluation.pictures import evaluate_generated, evaluate_picture, read_picture
from samovar.evaluation.references import References
from samovar.evaluation.results import CaseResult, ObjectResult, SetResult
from samovar.evaluation.sets import Case, EvaluationSet, choose, find_sets
from samovar.evaluation.volumes import answers_of, evaluate_volume
from samovar.options import split_selector, typed_options
from samovar.plugins import registry

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with the set's name, cases done and cases to do."""


@dataclass(frozen=True)
class Settings:
    """What is evaluated, and how."""

    asking: Asking = field(default_factory=Asking)
    validation: bool = False
    unseen: bool = False
    limit: int = 0
    """At most this many cases a set, spread evenly over its stems; 0: all."""
    most: int | None = None
    """At most this many objects a picture; None: the rule of targets_of."""
    modality: str = "auto"
    keep: int = 0
    """How many of each set's worst objects keep their predicted masks."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured, before it is summarised."""

    settings: Settings
    sets: tuple[SetResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(f for s in self.sets for f in s.failures)


def evaluate(
    data: str,
    model: Any,
    settings: Settings,
    references: References | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluates ``model`` (a :class:`samovar.models.Model`) on the sets found in ``data``.

    Raises:
        InputError: no sets there.
        UsageError: the options leave none, or do not go together.
    """
    sets, skipped = find_sets(data)
    chosen = choose(sets, validation=settings.validation, unseen=settings.unseen)
    return evaluate_sets(chosen, model, settings, references, progress, notes=skipped)


def evaluate_sets(
    sets: Sequence[EvaluationSet],
    model: Any,
    settings: Settings,
    references: References | None = None,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Evaluates sets that were chosen before; those that cannot be asked so are noted.

    Raises:
        UsageError: none of them can.
    """
    references = references if references is not None else References()
    notes = list(notes)
    usable = []
    if settings.asking.prompt == "auto":
        find_generator(settings.asking.generator)  # refused before anything runs
    for where in sets:
        unpaired = where.unpaired()
        if unpaired:
            notes.append(f"{where.name}: labels without an image: {', '.join(unpaired)}")
        why = _cannot(where, settings.asking)
        if why:
            notes.append(f"{where.name}: {why}")
        else:
            usable.append(where)
    if not usable:
        raise UsageError("; ".join(notes))
    results = [evaluate_set(where, model, settings, references, progress) for where in usable]
    notes += [f"{s.where.name}: no object was measured" for s in results if not s.objects]
    return Evaluation(settings, tuple(results), tuple(notes))


def evaluate_set(
    where: EvaluationSet,
    model: Any,
    settings: Settings,
    references: References,
    progress: Progress | None = None,
) -> SetResult:
    """All cases of one set. A case that fails is reported and the others go on."""
    started = time.perf_counter()
    cases = spread(where.cases(settings.validation), settings.limit)
    objects: list[ObjectResult] = []
    found: list[Found] = []
    failures: list[str] = []
    for done, case in enumerate(cases):
        if progress is not None:
            progress(where.name, done, len(cases))
        try:
            result = evaluate_case(where, case, model, settings, references)
        except UsageError:
            raise
        except SamovarError as error:
            failures.append(f"{where.name}/{case.stem}: {error}")
            continue
        objects = _keep_worst([*objects, *result.objects], settings.keep)
        if result.found is not None:
            found.append(result.found)
    if progress is not None:
        progress(where.name, len(cases), len(cases))
    seconds = time.perf_counter() - started
    return SetResult(where, tuple(objects), tuple(found), len(cases), tuple(failures), seconds)


def evaluate_case(
    where: EvaluationSet, case: Case, model: Any, settings: Settings, references: References
) -> CaseResult:
    """One picture or volume, prompted or through a generator."""
    if where.kind != "pictures":
        evaluate_one = evaluate_volume if where.kind == "volumes" else evaluate_challenge
        return evaluate_one(where, case, model, settings.asking, references, settings.modality)
    picture = read_picture(case, settings.modality)
    if settings.asking.prompt != "auto":
        return evaluate_picture(
            where, case, picture, model, settings.asking, references, most=settings.most
        )
    from samovar import api

    name, options = find_generator(settings.asking.generator)
    generated = api.segment(
        str(case.image), model=model, auto=name, auto_options=options, modality=settings.modality
    )
    kept = [o for o in generated if not o.empty]
    masks = answers_of(generated, [o.id for o in kept])
    scores = [o.score for o in kept]
    return evaluate_generated(where, case, picture, masks, scores, references)


def find_generator(selector: str) -> tuple[str, dict[str, Any]]:
    """``NAME[:key=value,…]`` → its canonical name and its typed options.

    Raises:
        UsageError: an unknown name or option, with the nearest.
    """
    name, given = split_selector(selector)
    spec = registry().find("prompt-generator", name)
    return spec.canonical, typed_options(spec, given)


def spread(cases: list[T], limit: int) -> list[T]:
    """At most ``limit`` cases, evenly spread; all of them when it is 0."""
    if limit <= 0 or len(cases) <= limit:
        return cases
    return [cases[(2 * i + 1) * len(cases) // (2 * limit)] for i in range(limit)]


def _cannot(where: EvaluationSet, asking: Asking) -> str:
    if where.kind != "pictures" and asking.prompt == "auto":
        return "left out: generators are evaluated on pictures"
    if where.kind != "pictures" and asking.clicks:
        return "left out: corrective clicks are evaluated on pictures"
    return ""


def _keep_worst(objects: list[ObjectResult], keep: int) -> list[ObjectResult]:
    kept = sorted(o.dice for o in objects if o.predicted is not None)
    worst = kept[keep - 1] if 0 < keep <= len(kept) else (1.0 if keep else -1.0)
    return [o if o.dice <= worst else replace(o, predicted=None) for o in objects]
