"""What this distribution offers. Light: reading it imports neither nibabel nor SimpleITK."""

from __future__ import annotations

from samovar.hookspecs import hookimpl
from samovar.specs import CommandSpec, FormatSpec
from samovar_medical.input_specs import CHALLENGE, DICOM, NPZ
from samovar_medical.output_specs import CODE, COMMANDS, OUTPUTS

PLUGIN_API = (1, 0)

_LICENCE = "Apache-2.0"


@hookimpl
def samovar_formats() -> list[FormatSpec]:
    """NIfTI, NRRD and MetaImage volumes; DICOM series in; the challenge's npz."""
    return [
        FormatSpec(
            name="nifti",
            target="samovar_medical.nifti:NiftiFormat",
            summary="NIfTI-1 and NIfTI-2 volumes; labels keep sform, qform and units",
            suffixes=(".nii.gz", ".nii"),
            reads=True,
            writes=True,
            reads_prompts=True,
            domains=("volume",),
            magic=((344, b"n+1\0"), (4, b"n+2\0")),
            code_licence=_LICENCE,
        ),
        FormatSpec(
            name="nrrd",
            target="samovar_medical.nrrd:NrrdFormat",
            summary="NRRD volumes",
            suffixes=(".nrrd",),
            reads=True,
            reads_prompts=True,
            domains=("volume",),
            magic=((0, b"NRRD"),),
            code_licence=_LICENCE,
        ),
        # of its own, since the options of a format that reads are those of reading
        FormatSpec(
            name="nrrd-labels",
            target="samovar_medical.nrrd:NrrdLabels",
            summary="NRRD labels in the input's space; .seg.nrrd opens in 3D Slicer, with codes",
            suffixes=(".nrrd", ".seg.nrrd"),
            writes=True,
            domains=("volume",),
            options=(CODE,),
            code_licence=_LICENCE,
        ),
        FormatSpec(
            name="nrrd-detached",
            target="samovar_medical.nrrd:NrrdFormat",
            summary="NRRD volumes whose header is a file of its own",
            suffixes=(".nhdr",),
            reads=True,
            reads_prompts=True,
            domains=("volume",),
            code_licence=_LICENCE,
        ),
        FormatSpec(
            name="metaimage",
            target="samovar_medical.metaimage:MetaImageFormat",
            summary="MetaImage volumes; labels keep direction, origin and spacing",
            suffixes=(".mha",),
            reads=True,
            writes=True,
            reads_prompts=True,
            domains=("volume",),
            magic=((0, b"ObjectType"),),
            code_licence=_LICENCE,
        ),
        FormatSpec(
            name="metaimage-detached",
            target="samovar_medical.metaimage:MetaImageFormat",
            summary="MetaImage volumes whose header is a file of its own",
            suffixes=(".mhd",),
            reads=True,
            reads_prompts=True,
            domains=("volume",),
            code_licence=_LICENCE,
        ),
        DICOM,
        NPZ,
        *OUTPUTS,
    ]


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    """``challenge``, ``convert`` and ``slicer-module``."""
    return [CHALLENGE, *COMMANDS]
