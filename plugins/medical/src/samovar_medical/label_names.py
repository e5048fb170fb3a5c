"""Names of labels inside the files: Caret tables (NIfTI) and Slicer's segments (NRRD, MHA)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from samovar.objects import Objects
from samovar.preview import colour
from samovar_medical.codes import Code, Meaning, meanings

CARET_ECODE = 30
"""NIfTI extension code of Caret and Connectome Workbench."""

_CARET = re.compile(
    r'<Label\s[^>]*?\bKey="(\d+)"[^>]*>\s*(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))\s*</Label>', re.DOTALL
)
_SEGMENT = re.compile(r"(Segment\d+)_(Name|LabelValue)")


def names_from_caret(xml: str) -> dict[int, str]:
    """Label value → name out of a Caret label table; ``{}`` where there is none."""
    found = {int(key): (cdata or text).strip() for key, cdata, text in _CARET.findall(xml)}
    return {value: name for value, name in found.items() if value > 0 and name}


def names_from_segments(fields: Mapping[str, str]) -> dict[int, str]:
    """Label value → name out of ``Segment0_Name``, ``Segment0_LabelValue`` …"""
    segments: dict[str, dict[str, str]] = {}
    for key, value in fields.items():
        if match := _SEGMENT.fullmatch(key):
            segments.setdefault(match[1], {})[match[2]] = value.strip()
    return {
        int(s["LabelValue"]): s["Name"]
        for s in segments.values()
        if s.get("LabelValue", "").isdigit() and s.get("Name") and int(s["LabelValue"]) > 0
    }


def caret_table(objects: Objects) -> str:
    """The names of ``objects`` as a Caret label table."""
    rows = []
    for item in objects:
        r, g, b = (c / 255 for c in colour(item.id))
        name = one_line(item.name or f"object {item.id}").replace("]]>", "]] >")
        rows.append(
            f'<Label Key="{item.id}" Red="{r:.3f}" Green="{g:.3f}" Blue="{b:.3f}" Alpha="1">'
            f"<![CDATA[{name}]]></Label>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<CaretExtension>\n<VolumeInformation Index="0">\n'
        "<LabelTable>\n" + "\n".join(rows) + "\n</LabelTable>\n"
        "<VolumeType><![CDATA[Label]]></VolumeType>\n</VolumeInformation>\n</CaretExtension>\n"
    )


def segment_fields(objects: Objects, codes: Sequence[str] = ()) -> dict[str, str]:
    """Names, colours and codes of ``objects`` in the fields by which 3D Slicer opens them.

    Args:
        codes: ``LABEL=SCHEME:VALUE:MEANING`` each, before what the names say.
    """
    found = meanings(objects.items, codes)
    fields: dict[str, str] = {}
    for i, item in enumerate(objects):
        r, g, b = (c / 255 for c in colour(item.id))
        fields |= {
            f"Segment{i}_ID": f"Segment_{item.id}",
            f"Segment{i}_Name": one_line(item.name or f"object {item.id}"),
            f"Segment{i}_LabelValue": str(item.id),
            f"Segment{i}_Layer": "0",
            f"Segment{i}_Color": f"{r:.3f} {g:.3f} {b:.3f}",
            f"Segment{i}_Extent": " ".join(str(v) for v in _extent(item.region)),
            f"Segment{i}_Tags": f"TerminologyEntry:{_terminology(found[item.id])}|",
        }
    return fields


def _terminology(meaning: Meaning) -> str:
    """Slicer's terminology entry: contexts, category, type, modifier, region, region's modifier."""

    def word(code: Code | None) -> str:
        texts = ("", "", "") if code is None else (code.scheme, code.value, code.meaning)
        return "^".join(re.sub(r"[~^|]", " ", one_line(t)) for t in texts)

    own, regional = (None, meaning.side) if meaning.region else (meaning.side, None)
    return "~".join(
        (
            "Segmentation category and type - 3D Slicer General Anatomy list",
            word(meaning.category),
            word(meaning.type),
            word(own),
            "Anatomic codes - DICOM master list",
            word(meaning.region),
            word(regional),
        )
    )


def one_line(text: str) -> str:
    """Printable, without line breaks: headers are lines."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _extent(region: Any) -> list[int]:
    """First and last index along x, y and z, both inclusive; 0 -1 when nothing was found."""
    if region.empty:
        return [0, -1, 0, -1, 0, -1]
    pairs = zip(region.start[::-1], region.stop[::-1], strict=True)
    return [v for a, b in pairs for v in (a, b - 1)]
