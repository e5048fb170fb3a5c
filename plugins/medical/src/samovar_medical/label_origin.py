"""Where the labels of a file come from: samovar's own line in it, or what the user says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samovar.errors import UsageError
from samovar_medical.provenance import provenance_of

KINDS = ("manual", "semiautomatic", "automatic")


def stated_origin(text: str) -> dict[str, Any]:
    """``--made-by KIND[:NAME[:VERSION]]`` as the provenance of objects.

    Raises:
        UsageError: another kind.
    """
    kind, _, rest = text.partition(":")
    name, _, version = rest.partition(":")
    if kind.strip().lower() not in KINDS:
        raise UsageError(
            f"--made-by {text}: write manual, semiautomatic or automatic[:NAME:VERSION]"
        )
    return {
        "algorithm": {
            "type": kind.strip().upper(), "name": name.strip()[:64], "version": version.strip()[:64]
        }
    }  # fmt: skip


def recorded_origin(path: str) -> dict[str, Any] | None:
    """What samovar wrote into a label file of its own about its making; None for others'."""
    lower = path.lower()
    if lower.endswith((".nii", ".nii.gz")):
        lines = _nifti_comments(path)
    elif lower.endswith(".nrrd"):
        from samovar_medical.nrrd import read_header

        lines = [read_header(path).extra.get("samovar", "")]
    else:
        return None
    for line in lines:
        found = provenance_of(line)
        if found is not None:
            return found
    return None


def _nifti_comments(path: str) -> list[str]:
    import nibabel

    try:
        extensions = nibabel.load(Path(path)).header.extensions
    except Exception:
        # the reader that opened the labels has judged the file already
        return []
    return [
        e.get_content().decode("utf-8", "replace").strip("\0 \n")
        if isinstance(e.get_content(), bytes)
        else str(e.get_content())
        for e in extensions
        if e.get_code() == 6
    ]
