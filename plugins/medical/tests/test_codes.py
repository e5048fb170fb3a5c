"""Names become codes that DICOM knows; what is not known is not guessed."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.objects import SegmentedObject
from samovar_medical import codes
from samovar_medical.codes import Code, meaning_of, meanings, parse_codes
from samovar_medical.codes_table import ABNORMAL, ANATOMY, TISSUE


def test_every_code_is_in_dicoms_dictionary_with_its_meaning():
    known: dict[str, set[str]] = {}
    for entries in concepts["SCT"].values():
        for value, (meaning, _) in entries.items():
            known.setdefault(value, set()).add(meaning)
    fixed = [codes.ANATOMICAL_STRUCTURE, codes.TISSUE_CATEGORY, codes.ABNORMAL_STRUCTURE]
    listed = [line.split("|")[:2] for t in (ANATOMY, TISSUE, ABNORMAL) for line in t.split("\n")]
    listed = [pair for pair in listed if len(pair) == 2]
    assert len(listed) > 120
    for value, meaning in [
        *listed,
        *((c.value, c.meaning) for c in (*fixed, *codes.SIDES.values())),
    ]:
        assert meaning in known.get(value, ()), (value, meaning)


@pytest.mark.parametrize(
    ("name", "category", "kind", "side", "region"),
    [
        ("liver", "Anatomical Structure", "Liver", None, None),
        ("kidney_left", "Anatomical Structure", "Kidney", "Left", None),
        ("Right Kidney", "Anatomical Structure", "Kidney", "Right", None),
        ("both kidneys", "Anatomical Structure", "Kidney", "Bilateral", None),
        ("KIDNEY-R", "Anatomical Structure", "Kidney", "Right", None),
        ("rib_left_7", "Anatomical Structure", "Rib", "Left", None),
        ("vertebrae_L1", "Anatomical Structure", "L1 vertebra", None, None),
        ("lung_upper_lobe_left", "Anatomical Structure", "Upper lobe of lung", "Left", None),
        ("lymph nodes", "Anatomical Structure", "Lymph Node", None, None),
        ("fat", "Tissue", "Fat", None, None),
        ("tumour", "Morphologically Abnormal Structure", "Neoplasm", None, None),
        ("lesion 3", "Morphologically Abnormal Structure", "Lesion", None, None),
        ("Lung nodule 2", "Morphologically Abnormal Structure", "Nodule", None, "Lung"),
        ("cyst of the left kidney", "Morphologically Abnormal Structure", "Cyst", "Left", "Kidney"),
    ],
)  # fmt: skip
def test_names(name, category, kind, side, region):
    found = meaning_of(name)
    assert found.known
    assert (found.category.meaning, found.type.meaning) == (category, kind)
    assert (found.side and found.side.meaning) == side
    assert (found.region and found.region.meaning) == region


@pytest.mark.parametrize("name", ["", "thing", "x", "12", "heart failure clinic", "ROI 1"])
def test_unknown_names_are_tissue_and_say_so(name):
    found = meaning_of(name)
    assert not found.known
    assert found.type.meaning == "Tissue"


def item(id, name):
    return SegmentedObject(id, Region((0, 0, 0), (0, 0, 0)), b"", name=name)


def test_given_codes_win_by_name_or_number():
    given = ["Thing=SCT:80891009:Heart", "7=99LOCAL:abc:Local: with a colon"]
    found = meanings([item(1, "thing"), item(7, ""), item(8, "liver")], given)
    assert found[1].type == Code("80891009", "SCT", "Heart")
    assert found[1].category.meaning == "Anatomical Structure"
    assert found[1].known
    assert found[7].type == Code("abc", "99LOCAL", "Local: with a colon")
    assert found[8].type.meaning == "Liver"


def test_a_lesion_code_is_a_lesion():
    found = meanings([item(1, "spot")], ["spot=SCT:52988006:Lesion"])
    assert found[1].category.meaning == "Morphologically Abnormal Structure"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("liver", "LABEL=SCHEME"), ("=SCT:1:a", "LABEL=SCHEME"), ("liver=SCT:1", "LABEL=SCHEME"),
        ("liver=SCT:1:", "LABEL=SCHEME"), ("liver=SCT:12345678901234567:x", "too long"),
        ("liver=SCT:1:" + "x" * 65, "too long"), ("liver=SCT:1:a\\b", "backslash"),
    ],
)  # fmt: skip
def test_malformed_codes(text, word):
    with pytest.raises(UsageError, match=word):
        parse_codes([text])


def test_codes_for_nobody_and_twice():
    with pytest.raises(UsageError, match="no object has that name"):
        meanings([item(1, "liver")], ["spleen=SCT:1:a"])
    with pytest.raises(UsageError, match="a second code"):
        parse_codes(["liver=SCT:1:a", "Liver=SCT:2:b"])
