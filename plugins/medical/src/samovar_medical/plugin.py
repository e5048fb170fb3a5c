"""What this distribution offers. Light: reading it imports neither nibabel nor SimpleITK."""

from __future__ import annotations

from samovar.hookspecs import hookimpl
from samovar.specs import CommandSpec, FormatSpec
from samovar_medical.command_specs import COMMANDS
from samovar_medical.format_specs import FORMATS

PLUGIN_API = (1, 0)


@hookimpl
def samovar_formats() -> list[FormatSpec]:
    """Volumes in and out, DICOM series in, DICOM segmentations, meshes, measurements, a report."""
    return FORMATS


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    """``challenge``, ``convert`` and ``slicer-module``."""
    return COMMANDS
