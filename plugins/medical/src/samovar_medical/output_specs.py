"""What this distribution writes beside volumes: DICOM, meshes, measurements, the report. Light."""

from __future__ import annotations

from samovar.specs import ArgumentSpec, CommandSpec, FormatSpec, OptionSpec

_LICENCE = "Apache-2.0"

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

OUTPUTS = [
    FormatSpec(
        name="seg",
        target="samovar_medical.dicom_seg:DicomSegFormat",
        summary="DICOM SEG: binary segments with codes, in the study of a DICOM input",
        suffixes=(".dcm",),
        writes=True,
        domains=("volume",),
        options=(CODE,),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="seg-labelmap",
        target="samovar_medical.dicom_seg:DicomSegLabelmapFormat",
        summary="DICOM SEG as a label map, for readers of 2024 and later",
        suffixes=(".dcm",),
        writes=True,
        by_name=True,
        domains=("volume",),
        options=(CODE,),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="rtstruct",
        target="samovar_medical.rtstruct:RtstructFormat",
        summary="DICOM RT Structure Set: outlines in millimetres, holes as keyholes",
        suffixes=(".dcm",),
        writes=True,
        by_name=True,
        domains=("volume",),
        options=(CODE,),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="stl",
        target="samovar_medical.meshes:StlFormat",
        summary="surfaces of all objects as binary STL, LPS millimetres",
        suffixes=(".stl",),
        writes=True,
        domains=("volume",),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="obj",
        target="samovar_medical.meshes:ObjFormat",
        summary="surfaces as OBJ, a named group an object, LPS millimetres",
        suffixes=(".obj",),
        writes=True,
        domains=("volume",),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="measurements-csv",
        target="samovar_medical.measurements:CsvMeasurements",
        summary="volume, extents, diameters, intensity and surface of every object as a table",
        suffixes=(".csv",),
        writes=True,
        domains=("volume",),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="measurements-json",
        target="samovar_medical.measurements:JsonMeasurements",
        summary="the same measurements as JSON",
        suffixes=(".json",),
        writes=True,
        domains=("volume",),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="report",
        target="samovar_medical.report:HtmlReport",
        summary="one page with pictures, measurements and how it was made",
        suffixes=(".html",),
        writes=True,
        domains=("volume",),
        options=(WITH_PATIENT,),
        code_licence=_LICENCE,
    ),
    FormatSpec(
        name="slicer-markups",
        target="samovar_medical.slicer_markups:SlicerMarkups",
        summary="points and ROIs of 3D Slicer as prompts",
        suffixes=(".mrk.json",),
        reads_prompts=True,
        domains=("volume",),
        code_licence=_LICENCE,
    ),
]

COMMANDS = [
    CommandSpec(
        name="convert",
        target="samovar_medical.convert:convert",
        summary="Label images as DICOM SEG, RTSTRUCT, meshes, measurements …",
        help="Write the objects of a label image in other formats, in the space of the image that "
        "was labelled. The labels must have its voxels; their axes may be stored in another order "
        "or direction.",
        arguments=(ArgumentSpec("LABELS", "Label image: NIfTI, NRRD or MHA."),),
        options=(
            OptionSpec(
                "--reference",
                "The image that was labelled: a DICOM folder, or a volume.",
                metavar="IMAGE",
            ),
            OptionSpec(
                "--output",
                "File to write; NAME:FILE says the format; repeatable.",
                multiple=True,
                metavar="OUT",
                short="-o",
            ),
            OptionSpec(
                "--name", "Name of a label; repeatable.", multiple=True, metavar="LABEL=NAME"
            ),
            CODE,
            OptionSpec(
                "--made-by",
                "How the labels were made: manual, semiautomatic or automatic, and by what.",
                metavar="KIND[:NAME:VERSION]",
            ),
            OptionSpec("--split-labels", "One file an object.", type=bool, default=False),
            WITH_PATIENT,
            OptionSpec("--series", "DICOM: series number, UID or description", metavar="WHICH"),
            OptionSpec("--allow-gaps", "DICOM: interpolate missing slices", bool, False),
            OptionSpec("--json", "Print JSON.", type=bool, default=False),
        ),
        code_licence=_LICENCE,
    ),
    CommandSpec(
        name="slicer-module",
        target="samovar_medical.slicer_module:install",
        summary="Make samovar a module of 3D Slicer.",
        help="Write a module of 3D Slicer into a folder, to be added to Slicer's module paths.",
        arguments=(ArgumentSpec("FOLDER", "Where the module goes; made when missing."),),
        code_licence=_LICENCE,
    ),
]
