"""Errors of the encoders plugin; each message says what happened and what to do next."""

from __future__ import annotations

from samovar.errors import InputError, SamovarError, UsageError


class UnknownModel(UsageError):
    """A name that the registry does not have."""


class CheckpointError(InputError):
    """A checkpoint that cannot be read, or is not the model it is said to be."""


class ExportError(SamovarError):
    """A graph that could not be exported or does not agree with the module."""


class DownloadError(SamovarError):
    """A file that could not be fetched, or is not the file that was published."""
