"""The commands of this distribution. Light."""

from __future__ import annotations

from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec
from samovar_medical.format_specs import ALLOW_GAPS, CODE, LICENCE, SERIES, WITH_PATIENT

_CHALLENGE = CommandSpec(
    name="challenge",
    target="samovar_medical.challenge:run_challenge",
    summary="Segment a folder of challenge cases (npz with imgs and boxes), and score them",
    help=(
        "Segment every case of the MedSAM-on-laptop protocol: npz with imgs and boxes in, npz "
        "with segs of the same name out. Cases that are there already are kept, so that an "
        "interrupted run goes on; one that fails does not stop the others (exit code 1)."
    ),
    arguments=(
        ArgumentSpec("IN_DIR", "folder of 2DBox_*.npz and 3DBox_*.npz"),
        ArgumentSpec("OUT_DIR", "folder for the results; made if need be"),
    ),
    options=(
        OptionSpec("--model", "name or folder of a model", default="tiny", metavar="NAME|PATH"),
        OptionSpec("--z-max", "inclusive or exclusive: the last slice of a 3-D box",
                   default="inclusive", metavar="WHICH"),
        OptionSpec("--overwrite", "do cases again that are there", bool, False),
        OptionSpec("--score", "folder of npz with gts: DSC and NSD at 2 mm", metavar="GT_DIR"),
        OptionSpec("--spacing", "order of spacing in the files: xyz, or zyx as the challenge's own "
                   "scorer takes it", default="xyz", metavar="ORDER"),
        OptionSpec("--csv", "write a CSV file of all cases", metavar="FILE"),
        OptionSpec("--json", "print the results as JSON, nothing else", bool, False),
        OptionSpec("--runtime", "onnxruntime, openvino …", default="default"),
        OptionSpec("--precision", "fp32, int8 …", default="auto"),
        OptionSpec("--device", "cpu, cuda:0 …", default="cpu"),
        OptionSpec("--threads", "threads of the runtime", int),
        OptionSpec("--accept-license", "accept a model's licence by name", multiple=True),
    ),
    code_licence=LICENCE,
)  # fmt: skip

COMMANDS = [
    _CHALLENGE,
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
            SERIES,
            ALLOW_GAPS,
            OptionSpec("--json", "Print JSON.", type=bool, default=False),
        ),
        code_licence=LICENCE,
    ),
    CommandSpec(
        name="slicer-module",
        target="samovar_medical.slicer_module:install",
        summary="Make samovar a module of 3D Slicer.",
        help="Write a module of 3D Slicer into a folder, to be added to Slicer's module paths.",
        arguments=(ArgumentSpec("FOLDER", "Where the module goes; made when missing."),),
        code_licence=LICENCE,
    ),
]
