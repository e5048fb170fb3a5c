"""``samovar qgis-script``: the Processing script, where QGIS finds it."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from samovar.errors import OutputError
from samovar.file_checks import require_writable

NAME = "samovar_segment.py"


def script() -> str:
    """The script's text."""
    return resources.files("samovar_geo").joinpath("qgis", NAME).read_text(encoding="utf-8")


def qgis_script(output: str | None = None) -> int:
    """Copy the script into the folder ``output``, or say where it lies.

    Raises:
        OutputError: there is no such folder, or it cannot be written to.
    """
    if output is None:
        place = resources.files("samovar_geo").joinpath("qgis", NAME)
        sys.stdout.write(f"{place}\n")
        return 0
    folder = Path(output)
    if not folder.is_dir():
        raise OutputError(
            f"{folder}: is no folder; in QGIS, Settings → User Profiles → Open Active Profile "
            "Folder, then processing/scripts"
        )
    target = folder / NAME
    require_writable(target)
    target.write_text(script(), encoding="utf-8")
    sys.stdout.write(f"wrote {target}\n")
    return 0
