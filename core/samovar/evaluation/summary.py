"""Summary: from objects to sets, classes, domains and means, as JSON-able dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from samovar.evaluation.bootstrap import Sampled, mean_of_sets, sample_set
from samovar.evaluation.metrics import auroc, detection
from samovar.evaluation.results import ObjectResult, SetResult
from samovar.evaluation.run import Evaluation

MEASURES = ("dice", "iou", "boundary_iou", "nsd")
BAD = 0.8
"""Masks of lower Dice are those that an uncertainty has to find."""
_REFERENCE = "reference:"
_CLICK = "click:"

Row = dict[str, Any]


def summarise(evaluation: Evaluation) -> Row:
    """``datasets``, ``domains`` and ``means``.

    A set's figures are means over its objects; a domain's and the means' are means over sets,
    each counting the same, *without thin structures*, which have a row of their own under
    ``means``. Intervals are 95 % bootstrap intervals over images.
    """
    measured = [s for s in evaluation.sets if s.objects]
    return {
        "datasets": {s.where.name: set_row(s) for s in measured},
        "domains": {d: _domain(measured, d) for d in sorted({s.where.domain for s in measured})},
        "means": _means(measured),
    }


def set_row(result: SetResult) -> Row:
    """One set: all its objects, thin ones too, and its classes."""
    where, objects = result.where, result.objects
    thin = [o.target.thin for o in objects]
    row = {
        **_row([sampled(where.name, objects)]),
        "objects": len(objects),
        "images": len({o.stem for o in objects}),
        "domain": where.domain,
        "modality": where.modality,
        "train": where.train,
        "thin": all(thin) if all(thin) or not any(thin) else "partly",
        "classes": {},
    }
    for name in dict.fromkeys(o.target.class_name for o in sorted(objects, key=_class_id)):
        members = [o for o in objects if o.target.class_name == name]
        row["classes"][name] = {
            **_row([sampled(f"{where.name}/{name}", members)]),
            "objects": len(members),
            "thin": members[0].target.thin,
        }
    if result.found:
        row["instances"] = _rounded(detection(result.found))
    if result.failures:
        row["failures"] = list(result.failures)
    return row


def sampled(name: str, objects: Sequence[ObjectResult]) -> Sampled:
    """Means and draws of every measure and reference over some objects of one set."""
    values: dict[str, list[float]] = {
        m: [o.measures[m] for o in objects] for m in MEASURES if m in objects[0].measures
    }
    for reference in objects[0].references:
        values[_REFERENCE + reference] = [o.references[reference] for o in objects]
    for step in range(len(objects[0].steps)):
        values[f"{_CLICK}{step}"] = [o.steps[step] for o in objects]
    return sample_set(name, [o.stem for o in objects], values)


def _domain(sets: Sequence[SetResult], domain: str) -> Row:
    return _group([s for s in sets if s.where.domain == domain])


def _means(sets: Sequence[SetResult]) -> Row:
    groups = {
        "all": _group(sets),
        "trained": _group([s for s in sets if s.where.train]),
        "unseen": _group([s for s in sets if s.where.unseen]),
        "thin": _group(sets, thin=True),
    }
    return {name: row for name, row in groups.items() if row}


def _group(sets: Iterable[SetResult], thin: bool = False) -> Row:
    chosen = []
    for s in sets:
        objects = [o for o in s.objects if o.target.thin == thin]
        if objects:
            chosen.append((s, objects))
    if not chosen:
        return {}
    row = _row([sampled(s.where.name, objects) for s, objects in chosen])
    row["objects"] = sum(len(objects) for _, objects in chosen)
    row["sets"] = [s.where.name for s, _ in chosen]
    row |= _doubt([o for _, objects in chosen for o in objects])
    return row


def _doubt(objects: Sequence[ObjectResult]) -> Row:
    """How well a low predicted quality finds bad masks, all objects counting the same."""
    judged = [o for o in objects if o.quality is not None]
    area = auroc([-(o.quality or 0.0) for o in judged], [o.dice < BAD for o in judged])
    if area is None:
        return {}
    off = [abs((o.quality or 0.0) - o.measures["iou"]) for o in judged]
    bad = sum(o.dice < BAD for o in judged)
    doubt = {"auroc": area, "bad": bad, "objects": len(judged), "error": sum(off) / len(off)}
    return {"doubt": _rounded(doubt)}


def _row(sets: Sequence[Sampled]) -> Row:
    """Means, intervals, references and the share of the best reference's error removed."""
    total = mean_of_sets(sets)
    row: Row = {m: total.means[m] for m in MEASURES if m in total.means}
    row["ci"] = total.interval("dice")
    names = [m for m in total.means if m.startswith(_REFERENCE)]
    if names:
        best = max(names, key=lambda m: total.means[m])
        level = total.means[best]
        row["references"] = {m.removeprefix(_REFERENCE): total.means[m] for m in names}
        row["best_reference"] = best.removeprefix(_REFERENCE)
        row["margin"] = total.means["dice"] - level
        row["margin_ci"] = total.interval("dice", minus=best)
        if level < 1 - 1e-6:  # a perfect reference leaves no error to remove
            row["error_removed"] = (total.means["dice"] - level) / (1 - level)
    clicks = [m for m in total.means if m.startswith(_CLICK)]
    if len(clicks) > 1:
        row["clicks"] = [total.means[m] for m in clicks]
    return dict(_rounded(row))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def _class_id(result: ObjectResult) -> int:
    return result.target.class_id
