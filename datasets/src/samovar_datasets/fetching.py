"""Fetching: archives of public sets, resumed where a connection broke, verified, unpacked safely.

pooch keeps and verifies the files; a body that is only partly there stays beside them under a
temporary name and is gone on from. Where nobody publishes a hash, that of the first download is
pinned in ``pins.json``, and a later one that differs is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from samovar_datasets.atomic import replacing
from samovar_datasets.public_sets import Archive, PublicSet

BLOCK = 1 << 20
ATTEMPTS = 5
PINS = "pins.json"

Say = Callable[[str], None]


class FetchError(ValueError):
    """A set that could not be had; says what to do."""


def fetch_archives(which: PublicSet, cache: Path, say: Say) -> list[Path]:
    """All archives of a set, verified, in ``cache``; those that are there are not fetched again.

    Raises:
        FetchError: no connection, a body of another size or hash, a full disk.
    """
    cache.mkdir(parents=True, exist_ok=True)
    return [_fetch(archive, which, cache, say) for archive in which.files]


def _fetch(archive: Archive, which: PublicSet, cache: Path, say: Say) -> Path:
    import pooch

    pins = _pins(cache)
    known = archive.hash or pins.get(archive.url, "")
    if not (cache / archive.name).is_file():
        say(f"fetching {archive.url}")

    def download(url: str, output: str, _pooch: object) -> None:
        part = cache / f"{archive.name}.part"
        resume(url, part, archive.bytes)
        shutil.move(part, output)

    try:
        file = Path(
            pooch.retrieve(archive.url, known or None, archive.name, cache, downloader=download)
        )
    except ValueError as error:
        raise FetchError(
            f"{archive.url}: what arrived is not what {which.hash_from or 'the pin'} promises"
            f" ({known}): try again, and if it stays so, ask the set's maintainers ({error})"
        ) from error
    except OSError as error:
        raise FetchError(f"{archive.url}: {error}; run the same command to go on") from error
    if not known:
        pins[archive.url] = f"sha256:{_sha256(file)}"
        with replacing(cache / PINS) as temporary:
            Path(temporary).write_text(json.dumps(pins, indent=1), encoding="utf-8")
        say(f"{archive.name}: nobody publishes a hash; this download is trusted and pinned")
    return file


def resume(url: str, part: Path, size: int | None = None) -> None:
    """Fetch ``url`` into ``part``, going on where an earlier attempt stopped.

    Raises:
        FetchError: no connection after several attempts without a byte, or another size.
    """
    for attempt in range(ATTEMPTS):
        there = part.stat().st_size if part.is_file() else 0
        if size is not None and there == size:
            return
        if size is not None and there > size:
            part.unlink()
            there = 0
        try:
            if _receive(url, part, there) and (size is None or part.stat().st_size == size):
                return
        except urllib.error.HTTPError as error:
            if error.code == 416 and there:  # there is no more than what is there
                if size is None:
                    return
                part.unlink()
            elif error.code < 500:
                raise FetchError(f"{url}: the server says {error.code} {error.reason}") from error
        except (OSError, EOFError) as error:
            if attempt == ATTEMPTS - 1:
                raise FetchError(
                    f"{url}: {error}; check the connection and run the same command to go on"
                ) from error
    raise FetchError(f"{url}: the connection broke {ATTEMPTS} times; run the same command to go on")


def _receive(url: str, part: Path, there: int) -> bool:
    """One connection; True when the server sent all that it announced."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        goes_on = answer.status == 206
        announced = answer.headers.get("Content-Length")
        received = 0
        with part.open("ab" if goes_on else "wb") as out:
            while block := answer.read(BLOCK):
                out.write(block)
                received += len(block)
    return announced is None or received == int(announced)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar into a new ``folder``; nothing leaves it.

    Raises:
        FetchError: not an archive, a damaged one, or one with a path that leads out of it.
    """
    temporary = folder.with_name(f".{folder.name}-part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                for name in content.namelist():
                    _inside(name, archive)
                content.extractall(temporary)
        else:
            with tarfile.open(archive) as content:
                for member in content.getmembers():
                    _inside(member.name, archive)
                content.extractall(temporary, filter="data")
        folder.mkdir(parents=True, exist_ok=True)
        for child in temporary.iterdir():
            shutil.move(child, folder / child.name)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(
            f"{archive} cannot be unpacked: {error}; delete it and fetch again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _inside(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise FetchError(f"{archive} holds {name!r}, which leads out of its folder: not unpacked")


def _pins(cache: Path) -> dict[str, str]:
    file = cache / PINS
    try:
        pins: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FetchError(f"{file} is damaged: delete it to trust downloads anew") from error
    return pins


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
