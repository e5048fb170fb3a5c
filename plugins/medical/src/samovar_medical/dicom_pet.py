"""PET: from becquerels a millilitre to standardised uptake values by body weight (SUVbw).

After the vendor-neutral pseudo-code of the Quantitative Imaging Biomarkers Alliance ("FDG-PET/CT
SUV technical validation", QIBA Profile, appendix on SUV calculation):
``SUVbw = activity [Bq/mL] × weight [g] / dose [Bq], decayed to the start of the scan``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from samovar_medical.dicom_frame import Frame
from samovar_medical.dicom_privacy import silent_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_KEYWORDS = [
    "Units", "SUVType", "CorrectedImage", "DecayCorrection", "PatientWeight", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime",
    "RadiopharmaceuticalInformationSequence",
]  # fmt: skip
_UNITS = {"CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "PROPCNTS", "PROPCPS", "MLMING", "MLG",
          "1CM", "UMOLMIN", "UMOLML", "GML", "STDDEV"}  # fmt: skip
_LONGEST_HOURS = 24.0


def suv_factor(frames: Sequence[Frame]) -> tuple[float, str, str | None]:
    """By what rescaled PET values are multiplied to become SUVbw.

    Returns:
        Factor, the unit of the result, and a note when it is not SUVbw. No note tells the weight,
        the dose or a time.
    """
    from pydicom import dcmread

    headers = []
    with silent_pydicom():
        for path in dict.fromkeys(f.instance.path for f in frames):
            headers.append(dcmread(path, stop_before_pixels=True, force=True,
                                   specific_tags=list(_KEYWORDS)))  # fmt: skip
        return _factor(headers)


def _factor(headers: Sequence[Dataset]) -> tuple[float, str, str | None]:
    first = headers[0]
    units = str(first.get("Units") or "").upper()
    if units == "GML" and str(first.get("SUVType") or "BW").upper() == "BW":
        return 1.0, "SUVbw", None
    if units != "BQML":
        shown = units if units in _UNITS else "an unknown kind"
        return 1.0, shown, f"PET in units of {shown}: not turned into SUV"
    missing: list[str] = []
    weight = _positive(first, "PatientWeight", missing)
    dose = _decayed_dose(headers, missing)
    if missing:
        return 1.0, "Bq/mL", (f"PET stays in Bq/mL, for SUV its headers lack {', '.join(missing)}")
    return weight * 1000.0 / dose, "SUVbw", None


def _decayed_dose(headers: Sequence[Dataset], missing: list[str]) -> float:
    """Becquerels at the moment to which the pixels were decay-corrected."""
    first = headers[0]
    sequence = first.get("RadiopharmaceuticalInformationSequence")
    drug = sequence[0] if sequence else None
    dose = _positive(drug, "RadionuclideTotalDose", missing)
    correction = str(first.get("DecayCorrection") or "").upper()
    if correction == "ADMIN":  # the pixels are already those of the moment of injection
        return dose
    if correction != "START":
        missing.append("DecayCorrection START or ADMIN")
        return dose
    half_life = _positive(drug, "RadionuclideHalfLife", missing)
    scanned = _scan_start(headers)
    injected = _injection(drug, scanned)
    if injected is None:
        missing.append("RadiopharmaceuticalStartTime")
    if scanned is None:
        missing.append("SeriesTime")
    if injected is None or scanned is None or missing:
        return dose
    hours = (scanned - injected).total_seconds() / 3600
    if not 0 <= hours <= _LONGEST_HOURS:
        missing.append("times of injection and scan that fit together")
        return dose
    return dose * math.exp2(-hours * 3600 / half_life)


def _scan_start(headers: Sequence[Dataset]) -> datetime | None:
    """Series time; the first acquisition where the series was written later (reprocessed)."""
    series = _moment(headers[0], "SeriesDate", "SeriesTime")
    acquired = [m for h in headers if (m := _moment(h, "AcquisitionDate", "AcquisitionTime"))]
    earliest = min(acquired, default=None)
    if series is None or (earliest is not None and earliest < series):
        return earliest
    return series


def _injection(drug: Any, scanned: datetime | None) -> datetime | None:
    """A time without a date is the last such time before the scan."""
    if drug is None:
        return None
    if full := _parsed(str(drug.get("RadiopharmaceuticalStartDateTime") or "")):
        return full
    if scanned is None:
        return None
    time = str(drug.get("RadiopharmaceuticalStartTime") or "")[:6]
    injected = _parsed(f"{scanned:%Y%m%d}{time}")
    if injected is not None and injected > scanned:
        injected -= timedelta(days=1)
    return injected


def _moment(header: Dataset, date: str, time: str) -> datetime | None:
    return _parsed(str(header.get(date) or "") + str(header.get(time) or "")[:6])


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _positive(header: Any, keyword: str, missing: list[str]) -> float:
    try:
        value = float(header.get(keyword))
    except (AttributeError, TypeError, ValueError):
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        missing.append(keyword)
        return 1.0
    return value
