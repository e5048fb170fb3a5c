"""Archives: the one member of a zip that is wanted, and nothing else of it."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from .errors import DownloadError


def unpack(archive: Path, member: str, target: Path) -> None:
    """Write the member called ``member``, in whatever folder of the zip, to ``target``.

    No path of the archive is used, so none can lead anywhere.

    Raises:
        DownloadError: not a zip, damaged, or without exactly one such member.
        OSError: ``target`` cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            found = [
                info
                for info in zipped.infolist()
                if PurePosixPath(info.filename).name == member
                and not info.filename.startswith("__MACOSX/")
            ]
            if len(found) != 1:
                count = "no file" if not found else f"{len(found)} files"
                raise DownloadError(f"the archive holds {count} called {member}")
            with zipped.open(found[0]) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"the archive is damaged ({error})") from error
