"""``samovar convert``: labels that exist already, in the formats and the study of an image."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from samovar.errors import InputError, OutputError, UsageError
from samovar.formats import (
    check_writer,
    open_image,
    split_output,
    stage_objects,
    writer_for,
    written_suffix,
)
from samovar.image import Image
from samovar.labels import objects_from_labels, one_file_each
from samovar.objects import Objects, SegmentedObject
from samovar.reporting import print_json, print_line
from samovar.staging import in_turn
from samovar_medical.label_origin import recorded_origin, stated_origin
from samovar_medical.same_voxels import same_voxels
from samovar_medical.volume import warn

_DICOM = {"seg", "seg-labelmap", "rtstruct"}
"""Formats that say who made an object."""


def convert(
    labels: str,
    *,
    reference: str | None = None,
    output: Sequence[str] | None = None,
    name: Sequence[str] | None = None,
    code: Sequence[str] | None = None,
    made_by: str | None = None,
    split_labels: bool = False,
    with_patient: bool = False,
    series: str | None = None,
    allow_gaps: bool = False,
    json: bool = False,
) -> int:
    """Write the objects of a label image in other formats, in the space of ``reference``.

    Args:
        labels: label image; it must have the voxels of the reference, in any order of axes.
        reference: the image that was labelled: DICOM folder, or a volume; default: the labels.
        output: ``PATH`` or ``NAME:PATH``, several.
        name: ``LABEL=NAME`` each.
        code: ``LABEL=SCHEME:VALUE:MEANING`` each.
        made_by: ``KIND[:NAME[:VERSION]]``.

    Raises:
        InputError, OutputError, UsageError: in one line; nothing was written.
        Cancelled: the outputs that were finished are there.
    """
    if not output:
        raise UsageError("nothing would be written: add -o OUT")
    names = _names(name or ())
    origin = None if made_by is None else stated_origin(made_by)
    options = {"code": list(code or ()), "with_patient": with_patient}
    given = {"series": series, "allow_gaps": allow_gaps or None}
    with open_image(reference or labels, **{k: v for k, v in given.items() if v}) as image:
        if image.info.domain != "volume":
            raise InputError(f"{image.info.source}: is no volume, and convert is about volumes")
        jobs = [(split_output(text)[1], writer_for(text, image)) for text in output]
        targets = [path.resolve() for path, _ in jobs]
        for path, spec in jobs:
            check_writer(spec, image, path, **options)
            if targets.count(path.resolve()) > 1:
                raise UsageError(f"{path}: is given twice: every output needs a name of its own")
            if path.exists() and path.resolve() == Path(labels).resolve():
                raise OutputError(f"{path}: is the labels themselves: choose another name")
        objects = _read(labels, image, names, origin)
        if not (objects.provenance.keys() & {"algorithm", "model"}):
            _say_unknown(labels, [spec.name for _, spec in jobs])
        written = []
        with in_turn() as turn:
            for path, spec in jobs:
                parts = [(path, objects)]
                if split_labels:
                    parts = one_file_each(objects, path, written_suffix(path, spec))
                for target, part in parts:
                    make = partial(stage_objects, part, target, spec, image, **options)
                    turn.write(target, make)
                    written.append(target)
    _report(objects, written, as_json=json)
    return 0


def _read(
    path: str, image: Image, names: Mapping[str, str], origin: dict[str, Any] | None
) -> Objects:
    with open_image(path) as source:
        if source.info.domain != "volume" or source.channels != 1:
            raise InputError(f"{path}: is no label volume: labels are one whole number a voxel")
        turn = same_voxels(path, source.grid, image)
        values = turn.array(source.read()[0])
        items = objects_from_labels(values, path, source.label_names)
    if not items:
        raise InputError(f"{path}: holds no label: every voxel is 0")
    origin = origin if origin is not None else recorded_origin(path)
    record = {
        "samovar": metadata.version("samovar"),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **(origin or {}),
    }
    known = origin is not None and "model" in origin
    named = [_named(item, names) for item in items]
    unused = set(names) - {str(i.id) for i in items} - {i.name.lower() for i in items}
    if unused:
        raise UsageError(
            f"--name {sorted(unused)[0]}=…: no label has that number or name; "
            f"there are {', '.join(str(i.id) for i in items[:20])}"
        )
    finished = tuple(
        replace(i, attributes={} if known else i.attributes, measures=image.measure(i))
        for i in named
    )
    return Objects(image.grid, finished, record, image)


def _say_unknown(path: str, formats: Sequence[str]) -> None:
    if _DICOM & set(formats):
        warn(path, [
            "it does not say how its labels were made: recorded as semiautomatic by unknown; "
            "--made-by manual|semiautomatic|automatic[:NAME:VERSION] says it"
        ])  # fmt: skip


def _names(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        label, equals, name = text.partition("=")
        if not equals or not label.strip() or not name.strip():
            raise UsageError(f"--name {text}: write LABEL=NAME, e.g. --name 5=liver")
        found[label.strip().lower()] = name.strip()
    return found


def _named(item: SegmentedObject, names: Mapping[str, str]) -> SegmentedObject:
    name = names.get(str(item.id), names.get(item.name.lower(), item.name))
    return item if name == item.name else replace(item, name=name)


def _report(objects: Objects, written: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        files = [str(p) for p in written]
        print_json({"objects": objects.table(), "outputs": files})
        return
    total = sum(item.pixels for item in objects)
    count = "1 object" if len(objects) == 1 else f"{len(objects)} objects"
    print_line(f"{count}, {total} voxels")
    for path in written:
        print_line(f"wrote {path}")
