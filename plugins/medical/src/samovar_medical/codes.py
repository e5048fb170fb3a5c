"""What a segment is, in coded words: names to SNOMED CT, sides, and codes that the user gives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from samovar.errors import UsageError
from samovar.objects import SegmentedObject
from samovar_medical.codes_table import ABNORMAL, ANATOMY, TISSUE


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme and meaning, as DICOM has them."""

    value: str
    scheme: str
    meaning: str


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


ANATOMICAL_STRUCTURE = _sct("91723000", "Anatomical Structure")
TISSUE_CATEGORY = _sct("85756007", "Tissue")
ABNORMAL_STRUCTURE = _sct("49755003", "Morphologically Abnormal Structure")
UNKNOWN_TYPE = _sct("85756007", "Tissue")

SIDES = {
    "left": _sct("7771000", "Left"),
    "right": _sct("24028007", "Right"),
    "both": _sct("51440002", "Bilateral"),
}
_SIDE_WORDS = {
    "left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right",
    "bilateral": "both", "both": "both",
}  # fmt: skip
_FILLERS = {"of", "in", "the", "a"}


@dataclass(frozen=True)
class Meaning:
    """What one segment shows: category and type; a lesion's organ; the side of either."""

    category: Code
    type: Code
    side: Code | None = None
    """Of the type, or of the region where there is one."""
    region: Code | None = None
    known: bool = True
    """False where nothing was known of the name and the type is but ``Tissue``."""


@cache
def _aliases(table: str) -> Mapping[str, Code]:
    found = {}
    for line in table.strip().splitlines():
        value, meaning, names = line.split("|")
        for name in names.split(","):
            found[name.strip()] = _sct(value, meaning)
    return found


def meaning_of(name: str) -> Meaning:
    """What the name of an object says: ``kidney_left``, ``Lung nodule 2``, ``liver lesion`` …

    Case, underscores, numbers at the end, plural and the words for sides do not matter. A name
    that says nothing known gets the type ``Tissue``, and ``known`` is False.
    """
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and w not in _FILLERS]
    sides = {_SIDE_WORDS[w] for w in words if w in _SIDE_WORDS}
    side = SIDES["both" if len(sides) > 1 else sides.pop()] if sides else None
    whole = _lookup(words, ANATOMY)
    if whole is not None:
        return Meaning(ANATOMICAL_STRUCTURE, whole)
    words = [w for w in words if w not in _SIDE_WORDS]
    while words and words[-1].isdigit():
        words.pop()
    for table, category in ((ANATOMY, ANATOMICAL_STRUCTURE), (TISSUE, TISSUE_CATEGORY)):
        code = _lookup(words, table)
        if code is not None:
            return Meaning(category, code, side)
    for word in words:
        code = _lookup([word], ABNORMAL)
        if code is not None:
            rest = [w for w in words if w != word]
            region = _lookup(rest, ANATOMY)
            return Meaning(ABNORMAL_STRUCTURE, code, side, region)
    return Meaning(TISSUE_CATEGORY, UNKNOWN_TYPE, side, known=False)


def _lookup(words: Sequence[str], table: str) -> Code | None:
    names = _aliases(table)
    text = " ".join(words)
    singular = [text[:-1]] if text.endswith("s") else []
    singular += [text[:-3] + "y"] if text.endswith("ies") else []
    singular += [text[:-2]] if text.endswith(("es", "ae")) else []
    for candidate in (text, *singular):
        if candidate in names:
            return names[candidate]
    return None


def parse_codes(texts: Sequence[str]) -> dict[str, Code]:
    """``LABEL=SCHEME:VALUE:MEANING`` each → label (name in lower case, or number) → code.

    Raises:
        UsageError: not of that form, values too long for DICOM, or a label twice.
    """
    found: dict[str, Code] = {}
    for text in texts:
        label, equals, rest = text.partition("=")
        pieces = [p.strip() for p in rest.split(":", 2)]
        if not equals or not label.strip() or len(pieces) != 3 or not all(pieces):
            raise UsageError(
                f"--code {text}: write LABEL=SCHEME:VALUE:MEANING, "
                "e.g. --code liver=SCT:10200004:Liver"
            )
        scheme, value, meaning = pieces
        if len(scheme) > 16 or len(value) > 16 or len(meaning) > 64 or "\\" in rest:
            raise UsageError(
                f"--code {text}: too long for DICOM: scheme and value have at most 16 "
                "characters, the meaning 64, and none a backslash"
            )
        key = label.strip().lower()
        if key in found:
            raise UsageError(f"--code {text}: a second code of {label.strip()!r}: leave one out")
        found[key] = Code(value, scheme, meaning)
    return found


def meanings(items: Sequence[SegmentedObject], given: Sequence[str] = ()) -> dict[int, Meaning]:
    """The meaning of each object by its number: given codes first, then what its name says.

    Raises:
        UsageError: a code for a label that none of the objects has.
    """
    codes = parse_codes(given)
    found, used = {}, set()
    for item in items:
        meaning = meaning_of(item.name)
        keys = [k for k in (str(item.id), item.name.lower()) if k in codes]
        if keys:
            meaning = _with_code(meaning, codes[keys[0]])
            used.update(keys)
        found[item.id] = meaning
    for key in codes:
        if key not in used:
            there = ", ".join(f"{i.name or i.id}" for i in items[:10])
            raise UsageError(
                f"--code {key}=…: no object has that name or number; there are {there}"
            )
    return found


def _with_code(meaning: Meaning, code: Code) -> Meaning:
    """The category of a given code: its own where the table has it, else that of the name."""
    for table, category in (
        (ANATOMY, ANATOMICAL_STRUCTURE), (TISSUE, TISSUE_CATEGORY), (ABNORMAL, ABNORMAL_STRUCTURE),
    ):  # fmt: skip
        if any(c.value == code.value and c.scheme == code.scheme for c in _aliases(table).values()):
            return replace(meaning, category=category, type=code, known=True)
    category = meaning.category if meaning.known else ANATOMICAL_STRUCTURE
    return replace(meaning, category=category, type=code, known=True)
