"""Downloads: one file into a folder, whole and verified, or not at all.

What has arrived is kept under a temporary name, so that a cut is resumed where it happened; the
file gets its own name only after its size and hash are right. Nothing is ever unpickled here.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from samovar.errors import OutputError
from samovar.specs import SourceSpec
from samovar.staging import reason

from .archives import unpack
from .errors import DownloadError
from .links import Answer, Interrupted, NoConnection, RangeRefused, open_link
from .pins import Pin, Trust, file_hash, pin_path, read_pin, write_pin

BLOCK = 1 << 18
LARGEST = 64 << 30
"""No checkpoint is larger; a server that never stops is stopped here."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are and those there will be, where known."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Manner:
    """How patient to be, and whom to tell."""

    attempts: int = 4
    """In a row without a single new byte."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled each time."""
    timeout: float = 30.0
    """Seconds without an answer."""
    repin: bool = False
    """Trust a body that differs from the one pinned at first use."""
    progress: Progress = lambda done, total: None
    say: Say = lambda line: None


@dataclass(frozen=True)
class Fetched:
    """A file that is there and is what it should be."""

    path: Path
    bytes: int
    sha256: str
    """Of the file."""
    trust: Trust
    fetched: bool
    """False when it was there already."""
    resumed_at: int = 0
    hosts: tuple[str, ...] = ()
    """Other hosts that redirects led to."""


@dataclass(frozen=True)
class _State:
    """What is known of a body that is only partly there."""

    url: str
    validator: str = ""
    """ETag or date by which the server recognises the same body."""
    total: int | None = None


@dataclass
class _Work:
    """One download under way."""

    source: SourceSpec
    path: Path
    expected: str
    manner: Manner
    resumed_at: int = 0
    hosts: tuple[str, ...] = ()

    @property
    def partial(self) -> Path:
        return _part(self.path)

    @property
    def state_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part.json")

    def discard(self) -> None:
        """Remove what has arrived."""
        for left in (self.partial, self.state_path):
            with suppress(OSError):
                left.unlink()


def fetch(source: SourceSpec, folder: Path, manner: Manner | None = None) -> Fetched:
    """Make sure that ``source`` lies in ``folder``; downloads only what is missing.

    Two processes that want the same file wait for one another.

    Raises:
        DownloadError: no network, refused, cut off, or not the file that was published; only in
            the case of a cut is something kept, to be resumed.
        OutputError: the disk is full, or the folder cannot be written.
    """
    manner = manner or Manner()
    path = folder / source.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(path, manner.say):
            return _there(source, path, manner) or _download(source, path, manner)
    except OSError as error:
        kept = _size(_part(path))
        resumed = f"; the {kept / 1e6:,.1f} MB that arrived are kept" if kept else ""
        raise OutputError(
            f"{path}: cannot be written ({reason(error)}): free some space, or set SAMOVAR_CACHE "
            f"to a folder that can be written{resumed}"
        ) from error


@contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{path.name}: somebody else is fetching it: waiting")
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def _there(source: SourceSpec, path: Path, manner: Manner) -> Fetched | None:
    """The file that is there already, when it is the right one."""
    if not path.is_file() or (manner.repin and not source.sha256):
        return None
    pin, digest = read_pin(path), file_hash(path)
    trust: Trust = "published" if source.sha256 else "first use"
    # of an archive only the download's hash is published, so the file's own is in the pin
    known = source.sha256 if source.sha256 and not source.unpack else pin and pin.file_sha256
    outdated = bool(pin and source.sha256 and pin.sha256 != source.sha256)
    if known is None or digest != known or outdated:
        manner.say(f"{path}: not the file that was fetched or published: fetching it again")
        return None
    return Fetched(path, path.stat().st_size, digest, trust, fetched=False)


def _download(source: SourceSpec, path: Path, manner: Manner) -> Fetched:
    pin = read_pin(path)
    pinned = "" if pin is None or manner.repin else pin.sha256
    work = _Work(source, path, source.sha256 or pinned, manner)
    _transfer_patiently(work)
    size = work.partial.stat().st_size
    digest = _verify(work, size)
    file_digest = _finish(work, digest)
    trust: Trust = "published" if source.sha256 else "first use"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_pin(path, Pin(source.url, digest, file_digest, size, trust, today))
    return Fetched(path, path.stat().st_size, file_digest, trust, True, work.resumed_at, work.hosts)


def _transfer_patiently(work: _Work) -> None:
    """Until everything has arrived; a connection that brings something is worth another try."""
    at_first, failures = _size(work.partial), 0
    while True:
        before = _size(work.partial)
        try:
            _transfer(work)
            return
        except RangeRefused as error:
            work.discard()
            failures += 1
            if failures >= work.manner.attempts:
                raise DownloadError(str(error)) from error
        except Interrupted as error:
            failures = 1 if _size(work.partial) > before else failures + 1
            hopeless = isinstance(error, NoConnection) and _size(work.partial) == at_first
            if hopeless or failures >= work.manner.attempts:
                raise _given_up(work, error) from error
            time.sleep(work.manner.pause * 2 ** (failures - 1))


def _transfer(work: _Work) -> None:
    """One request, for all or for the rest. Raises what :func:`open_link` does."""
    state = _resumable(work)
    start = _size(work.partial) if state else 0
    if state and start and start == state.total:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    if state and start and state.validator:
        headers["If-Range"] = state.validator
    with open_link(work.source.url, headers, work.manner.timeout) as answer:
        work.hosts = answer.hosts
        if start and not _continues(answer, start, state):
            if answer.status == 206:
                raise RangeRefused(f"{work.source.url}: another part than the one asked for")
            work.manner.say(f"{work.path.name}: the server does not resume: from the beginning")
            start = 0
        work.resumed_at = start
        total = None if answer.length is None else start + answer.length
        _check_answer(work, answer, start, total)
        validator = _validator(answer) or (state.validator if start and state else "")
        work.state_path.write_text(
            json.dumps(asdict(_State(work.source.url, validator, total))), encoding="utf-8"
        )
        _receive(work, answer, start, total)


def _resumable(work: _Work) -> _State | None:
    """What is known of the part that is there, if the rest may be added to it."""
    try:
        state = _State(**json.loads(work.state_path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # with neither a validator nor a hash, two different bodies could be joined unnoticed
    same = state.url == work.source.url and bool(state.validator or work.expected)
    return state if same else None


def _continues(answer: Answer, start: int, state: _State | None) -> bool:
    """The answer is the rest of the same body, from ``start`` on."""
    if answer.status != 206 or state is None:
        return False
    span, _, total = answer.headers.get("Content-Range", "").partition("/")
    if not span.strip().lower().startswith(f"bytes {start}-"):
        return False
    if state.total is not None and total.strip().isdigit() and int(total) != state.total:
        return False
    return not state.validator or _validator(answer) in ("", state.validator)


def _validator(answer: Answer) -> str:
    """A strong ETag, else the date of the last change; empty when there is neither."""
    tag = answer.headers.get("ETag", "").strip()
    if tag and not tag.startswith("W/"):
        return tag
    return "" if tag else answer.headers.get("Last-Modified", "").strip()


def _check_answer(work: _Work, answer: Answer, start: int, total: int | None) -> None:
    """Refuse before a single byte is written what cannot be right."""
    source = work.source
    if answer.status != (206 if start else 200):
        work.discard()
        raise DownloadError(f"{source.url}: an answer of kind {answer.status}, not a file")
    kind = answer.headers.get_content_type()
    if kind == "text/html":
        work.discard()
        raise DownloadError(f"{source.url}: a web page came instead of {source.file}")
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        work.discard()
        raise DownloadError(f"{source.url}: the server compresses what must arrive as it is")
    if source.bytes is not None and total is not None and total != source.bytes:
        work.discard()
        raise DownloadError(
            f"{source.url}: {total:,} bytes instead of the {source.bytes:,} that were published: "
            "refused; the file was replaced or the link leads elsewhere"
        )
    needed = ((total or source.bytes or 0) - start) + (total or 0) * bool(source.unpack)
    free = shutil.disk_usage(work.path.parent).free
    if needed > free:
        raise OutputError(
            f"{work.path.parent}: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB "
            "free: free some space, or set SAMOVAR_CACHE to a folder on another disk"
        )


def _receive(work: _Work, answer: Answer, start: int, total: int | None) -> None:
    limit = work.source.bytes or total or LARGEST
    done = start
    work.manner.progress(done, total or work.source.bytes)
    with work.partial.open("ab" if start else "wb", buffering=0) as out:
        while block := answer.read(BLOCK):
            done += len(block)
            if done > limit:
                out.close()
                work.discard()
                raise DownloadError(
                    f"{work.source.url}: more than the {limit:,} bytes it should have: refused"
                )
            _write(out, block)
            work.manner.progress(done, total or work.source.bytes)
        os.fsync(out.fileno())
    if total is not None and done < total:
        raise Interrupted(f"the connection was cut at {done:,} of {total:,} bytes")


def _write(out: BinaryIO, block: bytes) -> None:
    """All of ``block``; an unbuffered file may take less at a time."""
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]


def _verify(work: _Work, size: int) -> str:
    """The hash of what arrived, when it is right; otherwise nothing of it is left."""
    source = work.source
    if source.bytes is not None and size != source.bytes:
        work.discard()
        raise DownloadError(
            f"{source.url}: {size:,} bytes arrived instead of the {source.bytes:,} that were "
            "published: refused and removed; try again"
        )
    digest = file_hash(work.partial)
    if work.expected and digest != work.expected:
        work.discard()
        raise _other_file(work, digest)
    if not work.expected:
        with work.partial.open("rb") as stream:
            head = stream.read(64).lstrip()
        if head.startswith((b"<", b"version https://git-lfs")):
            work.discard()
            raise DownloadError(f"{source.url}: text came instead of {source.file}: refused")
    return digest


def _other_file(work: _Work, digest: str) -> DownloadError:
    source = work.source
    if source.sha256:
        by = f" (recorded by {source.hash_from})" if source.hash_from else ""
        return DownloadError(
            f"{source.url}: SHA-256 {digest[:16]}… instead of the published "
            f"{source.sha256[:16]}…{by}: refused and removed; the download was damaged or the "
            "file was replaced: try again, and if it stays so, do not use it"
        )
    pin = read_pin(work.path)
    day = pin.date if pin else "an earlier day"
    return DownloadError(
        f"{source.url}: SHA-256 {digest[:16]}… instead of {work.expected[:16]}…, pinned on {day}: "
        f"refused and removed; if its authors say that they replaced it, add --repin "
        f"({pin_path(work.path)})"
    )


def _finish(work: _Work, digest: str) -> str:
    """Give the file its name; returns its hash."""
    if not work.source.unpack:
        work.partial.replace(work.path)
        work.discard()
        return digest
    unpacked = work.path.with_name(f".{work.path.name}.unpacked")
    try:
        unpack(work.partial, work.source.unpack, unpacked)
        file_digest = file_hash(unpacked)
        unpacked.replace(work.path)
    except DownloadError as error:
        raise DownloadError(f"{work.source.url}: {error}") from error
    finally:
        with suppress(OSError):
            unpacked.unlink()
        work.discard()
    return file_digest


def _given_up(work: _Work, error: Interrupted) -> DownloadError:
    text, kept = str(error), _size(work.partial)
    if work.source.url not in text:
        text = f"{work.source.url}: {text}"
    if kept and _resumable(work):
        return DownloadError(f"{text}: {kept:,} bytes are kept; the same command goes on there")
    return DownloadError(f"{text}: try again when there is a connection")


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
