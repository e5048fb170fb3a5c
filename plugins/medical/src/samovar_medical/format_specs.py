"""The formats of this distribution. Light: reading it imports neither nibabel nor SimpleITK."""

from __future__ import annotations

from typing import Any

from samovar.specs import FormatSpec, OptionSpec

LICENCE = "Apache-2.0"

CODE = OptionSpec(
    "--code",
    "Coded meaning of an object in DICOM and .seg.nrrd, by its name or number; repeatable.",
    multiple=True,
    metavar="LABEL=SCHEME:VALUE:MEANING",
)
WITH_PATIENT = OptionSpec(
    "--with-patient",
    "Put the patient's name, number and study of a DICOM input into the report.",
    type=bool,
    default=False,
)
SERIES = OptionSpec("--series", "DICOM: series number, UID or description", metavar="WHICH")
ALLOW_GAPS = OptionSpec("--allow-gaps", "DICOM: interpolate missing or uneven slices", bool, False)
FRAME = OptionSpec("--frame", "DICOM: frame of a cine loop, from 1", int, metavar="N")


def _format(name: str, target: str, summary: str, *suffixes: str, **more: Any) -> FormatSpec:
    return FormatSpec(
        name=name, target=f"samovar_medical.{target}", summary=summary, suffixes=suffixes,
        code_licence=LICENCE, **{"domains": ("volume",), **more},
    )  # fmt: skip


def _read(*described: str, **more: Any) -> FormatSpec:
    """Of volumes, and of label images whose boxes are prompts."""
    return _format(*described, reads=True, reads_prompts=True, **more)


def _written(*described: str, **more: Any) -> FormatSpec:
    return _format(*described, writes=True, **more)


_DICOM_STARTS = (
    (128, b"DICM"),
    # without a preamble: group 8 (or its length) comes first
    *((0, b"\x08\0" + element) for element in (b"\0\0", b"\x05\0", b"\x08\0")),
)

FORMATS = [
    _read(
        "nifti", "nifti:NiftiFormat",
        "NIfTI-1 and NIfTI-2 volumes; labels keep sform, qform and units", ".nii.gz", ".nii",
        writes=True, magic=((344, b"n+1\0"), (4, b"n+2\0")),
    ),
    _read("nrrd", "nrrd:NrrdFormat", "NRRD volumes", ".nrrd", magic=((0, b"NRRD"),)),
    # of its own, since the options of a format that reads are those of reading
    _written(
        "nrrd-labels", "nrrd:NrrdLabels",
        "NRRD labels in the input's space; .seg.nrrd opens in 3D Slicer, with codes",
        ".nrrd", ".seg.nrrd", options=(CODE,),
    ),
    _read(
        "nrrd-detached", "nrrd:NrrdFormat", "NRRD volumes whose header is a file of its own",
        ".nhdr",
    ),
    _read(
        "metaimage", "metaimage:MetaImageFormat",
        "MetaImage volumes; labels keep direction, origin and spacing", ".mha",
        writes=True, magic=((0, b"ObjectType"),),
    ),
    _read(
        "metaimage-detached", "metaimage:MetaImageFormat",
        "MetaImage volumes whose header is a file of its own", ".mhd",
    ),
    _format(
        "dicom", "dicom:DicomFormat",
        "DICOM series of CT, MR and PET as volumes; single radiographs and ultrasound",
        ".dcm", ".dicom", ".ima", reads=True, magic=_DICOM_STARTS, folders=True,
        options=(SERIES, ALLOW_GAPS, FRAME),
    ),
    _read(
        "npz", "npz:NpzFormat",
        "cases of the MedSAM-on-laptop challenge: imgs, boxes, spacing; segs out", ".npz",
        writes=True, domains=("volume", "picture"),
    ),
    _written(
        "seg", "dicom_seg:DicomSegFormat",
        "DICOM SEG: binary segments with codes, in the study of a DICOM input", ".dcm",
        options=(CODE,),
    ),
    _written(
        "seg-labelmap", "dicom_seg:DicomSegLabelmapFormat",
        "DICOM SEG as a label map, for readers of 2024 and later", ".dcm",
        by_name=True, options=(CODE,),
    ),
    _written(
        "rtstruct", "rtstruct:RtstructFormat",
        "DICOM RT Structure Set: outlines in millimetres, holes as keyholes", ".dcm",
        by_name=True, options=(CODE,),
    ),
    _written(
        "stl", "meshes:StlFormat", "surfaces of all objects as binary STL, LPS millimetres", ".stl"
    ),
    _written(
        "obj", "meshes:ObjFormat", "surfaces as OBJ, a named group an object, LPS millimetres",
        ".obj",
    ),
    _written(
        "measurements-csv", "measurements:CsvMeasurements",
        "volume, extents, diameters, intensity and surface of every object as a table", ".csv",
    ),
    _written(
        "measurements-json", "measurements:JsonMeasurements", "the same measurements as JSON",
        ".json",
    ),
    _written(
        "report", "report:HtmlReport",
        "one page with pictures, measurements and how it was made", ".html",
        options=(WITH_PATIENT,),
    ),
    _format(
        "slicer-markups", "slicer_markups:SlicerMarkups",
        "points and ROIs of 3D Slicer as prompts", ".mrk.json", reads_prompts=True,
    ),
]  # fmt: skip
