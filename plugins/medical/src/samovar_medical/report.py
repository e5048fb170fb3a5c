"""A report of one page: pictures, measurements, and how the objects were made. One HTML file.

No patient data unless it was asked for; nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from samovar.image import Image
from samovar.intensity import Intensity, choose_intensity
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject
from samovar.preview import colour, montage
from samovar_medical.dicom_source import DicomSource
from samovar_medical.key_slices import key_slice
from samovar_medical.label_names import one_line
from samovar_medical.measurements import rows

KEY_SLICES = 6
"""Objects shown in a picture of their own; the largest."""
ROWS = 40
"""Objects in the table of a page; the rest is counted."""

_PATIENT = (
    ("Patient", "PatientName"), ("Patient ID", "PatientID"), ("Born", "PatientBirthDate"),
    ("Sex", "PatientSex"), ("Accession", "AccessionNumber"), ("Study date", "StudyDate"),
    ("Study", "StudyDescription"), ("Series", "SeriesDescription"),
)  # fmt: skip

_COLUMNS = (
    ("volume_ml", "mL", 2), ("extent_rl_mm", "R–L mm", 1), ("extent_ap_mm", "A–P mm", 1),
    ("extent_is_mm", "I–S mm", 1), ("longest_mm", "longest mm", 1),
    ("perpendicular_mm", "⟂ mm", 1), ("longest_3d_mm", "3-D mm", 1),
    ("surface_mm2", "surface cm²", 1), ("mean", "mean", 1), ("std", "std", 1),
)  # fmt: skip

_STYLE = """
@page { size: A4; margin: 12mm }
body { font: 13px/1.4 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1b1f24;
  max-width: 1000px; margin: 20px auto; padding: 0 16px; background: #fff }
h1 { font-size: 20px; margin: 0 } h2 { font-size: 14px; margin: 18px 0 6px }
.notice { color: #8a1c1c; font-weight: 600; margin: 2px 0 12px }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: right; font-weight: 600; color: #57606a; font-size: 11px; padding: 2px 6px }
td { text-align: right; padding: 3px 6px; border-top: 1px solid #d8dee4 }
th:first-child, td:first-child { text-align: left }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 6px }
.facts th, .facts td { text-align: left; border: 0; padding: 1px 6px; font-size: 12px }
.facts th { width: 90px } .facts td { overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 8px 4px 0; vertical-align: top }
figcaption { font-size: 11px; color: #57606a; max-width: 300px }
.keys img { height: 200px; background: #000 } .montage { width: 100% }
.small { font-size: 11px; color: #57606a }
@media print { body { margin: 0; max-width: none; font-size: 10px } .keys img { height: 34mm }
  .montage { max-height: 95mm; width: auto; max-width: 100% } }
"""


class HtmlReport:
    """Writes one self-contained HTML file that prints on one A4 page."""

    def write(
        self,
        objects: Objects,
        path: Path,
        image: Image,
        *,
        with_patient: bool = False,
        **options: Any,
    ) -> None:
        """Write the report.

        Args:
            with_patient: also the patient's name, number, birth date and study, of a DICOM image.
        """
        record = objects.provenance.get("intensity")
        step = choose_intensity(image) if record is None else Intensity.from_record(record)
        parts = [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"><title>samovar report</title>',
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Segmentation report</h1>",
            f'<p class="notice">{html.escape(DISCLAIMER.capitalize())}.</p>',
            _patient(image) if with_patient else "",
            _table(rows(objects, image), image),
            _keys(objects, image, step),
            _montage(objects, image, step),
            _facts(objects, image),
            "</body></html>",
        ]
        path.write_text("\n".join(p for p in parts if p) + "\n", encoding="utf-8")


def _patient(image: Image) -> str:
    source = getattr(image, "dicom", None)
    if not isinstance(source, DicomSource) or not source.paths:
        return '<p class="small">Patient: not stated, the image is not DICOM.</p>'
    header = source.header(source.paths[0])
    pairs = [(title, str(header.get(key) or "")) for title, key in _PATIENT]
    return "<h2>Patient</h2>" + _pairs([(t, v) for t, v in pairs if v])


def _table(found: Sequence[Mapping[str, Any]], image: Image) -> str:
    unit = " HU" if image.info.modality == "ct" else ""
    titles = ["object", *(t + (unit if t in ("mean", "std") else "") for _, t, _ in _COLUMNS)]
    head = "".join(f"<th>{html.escape(t)}</th>" for t in (*titles, "score"))
    lines = []
    for row in found[:ROWS]:
        r, g, b = colour(row["label"])
        name = html.escape(one_line(row["name"]) or "object")
        cells = [
            f'<span class="swatch" style="background:rgb({r},{g},{b})"></span>{row["label"]} {name}'
        ]
        for key, title, digits in _COLUMNS:
            value = row[key]
            if not row["voxels"]:
                cells.append("not found" if key == "volume_ml" else "")
            else:
                value = value / 100.0 if "cm²" in title else value
                cells.append(f"{value:.{digits}f}")
        cells.append(f"{row['score']:.2f}")
        lines.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    more = len(found) - ROWS
    rest = f'<p class="small">and {more} more objects, in the other outputs</p>' if more > 0 else ""
    return f"<h2>Measurements</h2><table><tr>{head}</tr>{''.join(lines)}</table>{rest}"


def _keys(objects: Objects, image: Image, step: Intensity) -> str:
    found = [item for item in objects if not item.empty and item.pixels]
    shown = sorted(found, key=lambda item: -item.pixels)[:KEY_SLICES]
    figures = []
    for item in sorted(shown, key=lambda item: item.id):
        picture, index = key_slice(item, image, step)
        figures.append(_figure(picture, item, index))
    if not figures:
        return ""
    return (
        "<h2>Longest diameter in a slice</h2>"
        f'<div class="keys">{"".join(figures)}</div>'
        '<p class="small">White: longest diameter, yellow: width at right angles to it. '
        "Patient right is on the left of the picture.</p>"
    )


def _figure(picture: PillowImage.Image, item: SegmentedObject, index: int) -> str:
    caption = html.escape(f"{item.id} {one_line(item.name)}, slice {index}")
    shown = f'<img alt="{caption}" src="{_png(picture)}">'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _montage(objects: Objects, image: Image, step: Intensity) -> str:
    source = _png(montage(objects, image, step))
    return f'<h2>Slices</h2><img class="montage" alt="slices with the objects" src="{source}">'


def _facts(objects: Objects, image: Image) -> str:
    record, grid = objects.provenance, image.grid
    model = record.get("model") if isinstance(record.get("model"), Mapping) else {}
    runtime = model.get("runtime") if isinstance(model.get("runtime"), Mapping) else {}
    step = record.get("intensity") if isinstance(record.get("intensity"), Mapping) else {}
    prompts = record.get("prompts")
    how = f"{len(prompts)} prompted objects" if prompts else ""
    how = f"prompt generator {record['generator']}" if record.get("generator") else how
    pairs = [
        ("Image", f"{' × '.join(str(n) for n in grid.shape[::-1])} voxels of "
                  f"{' × '.join(f'{v:.4g}' for v in grid.spacing)} mm, {image.info.format}"),
        ("Modality", image.info.modality or ""),
        ("Intensity", str(step.get("rule") or "")),
        ("Asked by", how),
        ("Model", f"{model.get('name', '')} {model.get('version', '')}".strip()),
        ("Weights", f"sha256 {model['weights_sha256']}" if model.get("weights_sha256") else ""),
        ("Runtime", " ".join(str(runtime[k]) for k in ("name", "version", "precision")
                             if runtime.get(k))),
        ("Software", f"samovar {record.get('samovar', '')}".strip()),
        ("Made", str(record.get("created") or "")),
    ]  # fmt: skip
    return "<h2>How it was made</h2>" + _pairs([(t, v) for t, v in pairs if v])


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    lines = (f"<tr><th>{html.escape(t)}</th><td>{html.escape(v)}</td></tr>" for t, v in pairs)
    return f'<table class="facts">{"".join(lines)}</table>'


def _png(picture: PillowImage.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
