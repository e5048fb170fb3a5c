"""What this distribution reads beside NIfTI, NRRD and MetaImage, and the challenge. Light."""

from __future__ import annotations

from samovar.specs import ArgumentSpec, CommandSpec, FormatSpec, OptionSpec

_LICENCE = "Apache-2.0"

DICOM = FormatSpec(
    name="dicom",
    target="samovar_medical.dicom:DicomFormat",
    summary="DICOM series of CT, MR and PET as volumes; single radiographs and ultrasound",
    suffixes=(".dcm", ".dicom", ".ima"),
    reads=True,
    domains=("volume",),
    magic=(
        (128, b"DICM"),
        # without a preamble: group 8 (or its length) comes first
        *((0, b"\x08\0" + element) for element in (b"\0\0", b"\x05\0", b"\x08\0")),
    ),
    folders=True,
    options=(
        OptionSpec("--series", "DICOM: series number, UID or description", metavar="WHICH"),
        OptionSpec("--allow-gaps", "DICOM: interpolate missing or uneven slices", bool, False),
        OptionSpec("--frame", "DICOM: frame of a cine loop, from 1", int, metavar="N"),
    ),
    code_licence=_LICENCE,
)

NPZ = FormatSpec(
    name="npz",
    target="samovar_medical.npz:NpzFormat",
    summary="cases of the MedSAM-on-laptop challenge: imgs, boxes, spacing; segs out",
    suffixes=(".npz",),
    reads=True,
    writes=True,
    reads_prompts=True,
    domains=("volume", "picture"),
    code_licence=_LICENCE,
)

CHALLENGE = CommandSpec(
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
)  # fmt: skip
