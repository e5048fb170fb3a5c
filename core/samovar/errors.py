"""Every error that a user can meet: one base, one line, what happened and what to do next.

``exit_code`` follows the table of the command line: 1 something failed and the rest is there,
2 bad input or usage and nothing was written, 130 cancelled with finished work kept.
"""

from __future__ import annotations

from typing import Any


class SamovarError(Exception):
    """Base of all errors that samovar raises on purpose. The message is one line for a person."""

    exit_code = 1


class InputError(SamovarError):
    """A file, folder or array that cannot be used as it is."""

    exit_code = 2


class GeometryError(InputError):
    """A grid that is missing, not invertible, or not the one expected."""


class PromptError(InputError):
    """A prompt that is malformed or lies outside the image."""


class OutputError(InputError):
    """An output that cannot be written: no such folder, read-only, or nobody writes the suffix."""


class UsageError(InputError):
    """Options that do not go together, or a name that nobody provides."""


class BundleError(InputError):
    """A model bundle that is incomplete, tampered with, or not understood."""


class PluginError(SamovarError):
    """A plugin that failed: at import, at registration, or while it worked."""


class DependencyError(SamovarError):
    """Something that has to be installed first; the message names the pip command."""

    exit_code = 2


class Cancelled(SamovarError):
    """The user or a caller asked to stop. Finished work was kept."""

    exit_code = 130
    finished: tuple[Any, ...] = ()
    """Objects that were finished before."""
