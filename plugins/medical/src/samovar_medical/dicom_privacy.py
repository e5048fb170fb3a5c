"""What of a DICOM header may be shown to people and written to files: nothing that names a person.

Messages, logs, manifests and file names are built from numbers, UIDs and fixed words. The one free
text that is shown is the series' description, since series are told apart by it, and that only
after it was compared with everything in the header that identifies the patient.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PERSON_KEYWORDS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientNames",
    "PatientBirthName", "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "PatientBirthDate", "PatientComments", "AdditionalPatientHistory", "MedicalRecordLocator",
    "Occupation", "PatientInsurancePlanCodeSequence", "MilitaryRank", "ResponsiblePerson",
    "CountryOfResidence", "RegionOfResidence", "AccessionNumber", "StudyID",
    "ReferringPhysicianName", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers",
    "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord",
    "RequestingPhysician", "OperatorsName", "InstitutionName", "InstitutionAddress",
    "InstitutionalDepartmentName", "StationName", "AdmissionID", "IssuerOfAdmissionID",
    "CurrentPatientLocation", "PatientInstitutionResidence",
)  # fmt: skip
"""Elements whose words must not reappear in a text that is shown."""

IDENTITY_REMOVED = "PatientIdentityRemoved"
"""YES where the person is not who the header names: pseudonyms may be shown."""

_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")

_WORD = re.compile(r"[^\W_]{3,}", re.UNICODE)
_NUMBER = re.compile(r"\d{5,}|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_LONGEST = 40

_LIBRARIES = ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls")
_lock = threading.Lock()
_inside: list[tuple[Any, list[int]]] = []
_depth = 0


@contextmanager
def silent_pydicom() -> Iterator[None]:
    """What pydicom and its decoders warn of and log quotes values of the header: none gets out.

    Logging and warnings are the whole process's: the first thread to enter turns them off, the
    last one to leave turns them on again.
    """
    global _depth
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    with _lock:
        _depth += 1
        if _depth == 1:
            caught = warnings.catch_warnings()
            caught.__enter__()
            warnings.simplefilter("ignore")
            _inside.append((caught, [one.level for one in loggers]))
            for one in loggers:
                one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                caught, levels = _inside.pop()
                for one, level in zip(loggers, levels, strict=True):
                    one.setLevel(level)
                caught.__exit__(None, None, None)


def shareable(text: str, header: Dataset) -> str:
    """``text`` when it holds no word of the patient's own data and no long number, else ``""``.

    A description that names the patient is left out as a whole: what is left of it might still
    say who it is.
    """
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]
    if not shown or _NUMBER.search(shown) or "^" in shown:
        return ""
    lowered = shown.casefold()
    for keyword in PERSON_KEYWORDS:
        value = header.get(keyword)
        words = _WORD.findall(str(value)) if value is not None else []
        if any(word.casefold() in lowered for word in words):
            return ""
    return shown


def private_words(header: Dataset) -> set[str]:
    """What names or numbers the patient: every part of a name, whole numbers and dates.

    Of somebody whose identity was removed there is nothing to hide.
    """
    if _said(header, IDENTITY_REMOVED).strip().upper() == "YES":
        return set()
    parts = {part for keyword in _NAMES for part in _WORD.findall(_said(header, keyword))}
    return parts | {_said(header, keyword) for keyword in _NUMBERS} - {""}


def _said(header: Dataset, keyword: str) -> str:
    """An element as text; empty where it is absent, or so damaged that it cannot be read."""
    try:
        return str(header.get(keyword) or "")
    except Exception:  # pydicom raises what it pleases
        return ""


def persons_in(path: Path) -> Dataset:
    """What identifies the patient in a file, to compare a text with."""
    from pydicom import dcmread

    with silent_pydicom():
        tags = [*PERSON_KEYWORDS, IDENTITY_REMOVED]
        return dcmread(path, stop_before_pixels=True, force=True, specific_tags=tags)
