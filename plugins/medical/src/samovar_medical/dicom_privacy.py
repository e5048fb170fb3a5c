"""What of a DICOM header may be shown to people and written to files: nothing that names a person.

Messages, logs, manifests and file names are built from numbers, UIDs and fixed words. The one free
text that is shown is the series' description, since series are told apart by it, and that only
after it was compared with everything in the header that identifies the patient.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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

_WORD = re.compile(r"[^\W_]{3,}", re.UNICODE)
_NUMBER = re.compile(r"\d{5,}|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_LONGEST = 40


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
