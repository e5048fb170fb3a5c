"""A file arrives whole and right, or not at all: cuts, lies, redirects, full disks."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Files, serving

from samovar.errors import OutputError
from samovar.specs import SourceSpec
from samovar_encoders import downloads, links
from samovar_encoders.downloads import Fetched, Manner, fetch
from samovar_encoders.errors import DownloadError
from samovar_encoders.links import forbidden
from samovar_encoders.pins import pin_path, read_pin

BODY = bytes(range(256)) * 4096
OTHER = BODY[::-1]
QUICK = Manner(attempts=3, pause=0.0, timeout=5.0)


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Files]:
    with serving(Files(BODY)) as files:
        yield files


def source(server: Files, **fields: object) -> SourceSpec:
    given = {"file": "model.pth", "url": server.url(), "sha256": sha(BODY), **fields}
    return SourceSpec(**given)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    """What lies there; lock files are not removed, since somebody may wait for them."""
    return {p.name for p in folder.iterdir() if not p.name.endswith(".lock")}


def test_a_file_arrives_and_is_not_fetched_twice(server: Files, tmp_path: Path) -> None:
    ticks: list[tuple[int, int | None]] = []
    manner = Manner(progress=lambda done, total: ticks.append((done, total)))
    first = fetch(source(server, bytes=len(BODY)), tmp_path / "a" / "b", manner)
    again = fetch(source(server), tmp_path / "a" / "b", QUICK)
    assert first.path.read_bytes() == BODY
    assert (first.fetched, again.fetched, len(server.seen)) == (True, False, 1)
    assert first.sha256 == again.sha256 == sha(BODY)
    assert first.trust == "published"
    assert ticks[0] == (0, len(BODY)) and ticks[-1] == (len(BODY), len(BODY))
    assert names(first.path.parent) == {"model.pth", "model.pth.json"}


@pytest.mark.parametrize("validator", ["etag", "modified", "hash"])
def test_a_cut_is_resumed_where_it_happened(server: Files, tmp_path: Path, validator: str) -> None:
    server.etag = '"one"' if validator == "etag" else ""
    server.modified = "Mon, 01 Jan 2024 00:00:00 GMT" if validator == "modified" else ""
    server.cuts = [700_000, 0, 0]
    known = {"sha256": sha(BODY) if validator == "hash" else ""}
    with pytest.raises(DownloadError, match=r"700,000 bytes are kept; the same command"):
        fetch(source(server, **known), tmp_path, QUICK)
    assert not (tmp_path / "model.pth").exists()
    done = fetch(source(server, **known), tmp_path, QUICK)
    assert (done.path.read_bytes(), done.resumed_at) == (BODY, 700_000)
    last = server.seen[-1]
    assert last["range"] == "bytes=700000-"
    assert last.get("if-range", "") == server.etag + server.modified


def test_cuts_that_bring_something_are_resumed_at_once(server: Files, tmp_path: Path) -> None:
    server.cuts = [300_000] * 3
    done = fetch(source(server), tmp_path, QUICK)
    assert done.path.read_bytes() == BODY
    assert [s.get("range") for s in server.seen] == [
        None, "bytes=300000-", "bytes=600000-", "bytes=900000-",
    ]  # fmt: skip


def test_a_chunked_body_that_is_cut_is_noticed(server: Files, tmp_path: Path) -> None:
    server.chunked, server.cuts = True, [700_000]
    done = fetch(source(server), tmp_path, QUICK)
    assert done.path.read_bytes() == BODY and len(server.seen) == 2


def test_without_validator_and_hash_nothing_is_joined(server: Files, tmp_path: Path) -> None:
    server.etag, server.cuts = "", [500_000] * 2
    done = fetch(source(server, sha256=""), tmp_path, QUICK)
    assert done.path.read_bytes() == BODY
    assert [s.get("range") for s in server.seen] == [None] * 3


def test_a_weak_validator_is_no_validator(server: Files, tmp_path: Path) -> None:
    server.etag, server.cuts = 'W/"one"', [500_000]
    fetch(source(server, sha256=""), tmp_path, QUICK)
    assert [s.get("range") for s in server.seen] == [None, None]


@pytest.mark.parametrize("heedless", [False, True])
def test_a_file_replaced_during_a_cut_is_fetched_anew(
    server: Files, tmp_path: Path, heedless: bool
) -> None:
    server.cuts, server.heedless = [500_000, 0, 0], heedless
    with pytest.raises(DownloadError):
        fetch(source(server, sha256=""), tmp_path, QUICK)
    server.body, server.etag = OTHER, '"two"'
    done = fetch(source(server, sha256=""), tmp_path, QUICK)
    assert (done.path.read_bytes(), done.resumed_at) == (OTHER, 0)


def test_a_part_of_another_link_is_not_continued(server: Files, tmp_path: Path) -> None:
    server.cuts = [500_000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(source(server), tmp_path, QUICK)
    fetch(source(server, url=server.url(name="elsewhere.pth")), tmp_path, QUICK)
    assert "range" not in server.seen[-1]


def test_a_server_without_ranges_starts_over_and_it_is_said(server: Files, tmp_path: Path) -> None:
    said: list[str] = []
    server.ranges, server.cuts = False, [500_000]
    done = fetch(source(server), tmp_path, Manner(pause=0.0, say=said.append))
    assert (done.path.read_bytes(), done.resumed_at) == (BODY, 0)
    assert any("does not resume" in line for line in said)


def test_a_server_that_sends_another_part_is_not_believed(server: Files, tmp_path: Path) -> None:
    server.cuts, server.wrong_part = [500_000], True
    assert fetch(source(server), tmp_path, QUICK).path.read_bytes() == BODY
    assert "range" in server.seen[1] and "range" not in server.seen[2]


def test_a_complete_part_is_verified_without_a_request(server: Files, tmp_path: Path) -> None:
    server.cuts = [500_000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(source(server), tmp_path, QUICK)
    (tmp_path / ".model.pth.part").write_bytes(BODY)
    asked = len(server.seen)
    assert fetch(source(server), tmp_path, QUICK).path.read_bytes() == BODY
    assert len(server.seen) == asked


def test_a_part_longer_than_the_file_is_thrown_away(server: Files, tmp_path: Path) -> None:
    server.cuts = [500_000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(source(server), tmp_path, QUICK)
    (tmp_path / ".model.pth.part").write_bytes(BODY + b"more")
    assert fetch(source(server), tmp_path, QUICK).path.read_bytes() == BODY


@pytest.mark.parametrize("resumed", [False, True])
def test_a_corrupted_body_is_refused_and_nothing_of_it_is_left(
    server: Files, tmp_path: Path, resumed: bool
) -> None:
    if resumed:
        server.cuts = [500_000, 0, 0]
        with pytest.raises(DownloadError):
            fetch(source(server), tmp_path, QUICK)
    server.body = BODY[:-1] + b"?"
    with pytest.raises(DownloadError, match=r"SHA-256 .* instead of the published .* removed"):
        fetch(source(server, hash_from="its authors"), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_a_wrong_file_leaves_the_good_one_alone(server: Files, tmp_path: Path) -> None:
    good = fetch(source(server, sha256=""), tmp_path, QUICK)
    with pytest.raises(DownloadError, match="recorded by its authors"):
        fetch(source(server, sha256=sha(OTHER), hash_from="its authors"), tmp_path, QUICK)
    assert good.path.read_bytes() == BODY


def test_a_file_spoilt_in_the_cache_is_fetched_again(server: Files, tmp_path: Path) -> None:
    said: list[str] = []
    first = fetch(source(server), tmp_path, QUICK)
    first.path.write_bytes(OTHER)
    again = fetch(source(server), tmp_path, Manner(say=said.append))
    assert again.fetched and again.path.read_bytes() == BODY
    assert any("fetching it again" in line for line in said)


@pytest.mark.parametrize("announced", [True, False])
def test_another_size_is_refused(server: Files, tmp_path: Path, announced: bool) -> None:
    server.chunked = not announced
    expected = len(BODY) + 1
    with pytest.raises(DownloadError, match=f"{len(BODY):,}.*{expected:,}"):
        fetch(source(server, bytes=expected), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_a_server_that_never_stops_is_stopped(server: Files, tmp_path: Path) -> None:
    server.chunked = True
    with pytest.raises(DownloadError, match="more than the 1,000 bytes"):
        fetch(source(server, bytes=1000), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_the_first_download_is_pinned_and_a_change_refused(server: Files, tmp_path: Path) -> None:
    first = fetch(source(server, sha256=""), tmp_path, QUICK)
    pin = read_pin(first.path)
    assert first.trust == "first use"
    assert pin is not None and (pin.sha256, pin.trust) == (sha(BODY), "first use")
    server.body = OTHER
    assert not fetch(source(server, sha256=""), tmp_path, QUICK).fetched
    first.path.unlink()
    with pytest.raises(DownloadError, match=r"pinned on \d{4}-\d\d-\d\d.*--repin"):
        fetch(source(server, sha256=""), tmp_path, QUICK)
    assert names(tmp_path) == {"model.pth.json"}
    new = fetch(source(server, sha256=""), tmp_path, Manner(repin=True))
    assert new.path.read_bytes() == OTHER
    assert json.loads(pin_path(new.path).read_text())["sha256"] == sha(OTHER)


def test_repin_fetches_what_is_there_but_not_what_has_a_hash(server: Files, tmp_path: Path) -> None:
    fetch(source(server, sha256=""), tmp_path, QUICK)
    server.body = OTHER
    done = fetch(source(server, sha256=""), tmp_path, Manner(repin=True))
    assert done.fetched and done.path.read_bytes() == OTHER
    with pytest.raises(DownloadError, match="published"):
        fetch(source(server), tmp_path, Manner(repin=True))


def test_an_unreadable_pin_does_not_vouch_for_a_file(server: Files, tmp_path: Path) -> None:
    first = fetch(source(server, sha256=""), tmp_path, QUICK)
    pin_path(first.path).write_text("{")
    assert fetch(source(server, sha256=""), tmp_path, QUICK).fetched


@pytest.mark.parametrize(
    "body", [b"<!DOCTYPE html><p>sign in", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_text_is_not_pinned_as_weights(server: Files, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(DownloadError, match=r"text came instead of model\.pth"):
        fetch(source(server, sha256=""), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_a_web_page_is_refused(server: Files, tmp_path: Path) -> None:
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match="web page"):
        fetch(source(server), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_a_compressed_answer_is_refused(server: Files, tmp_path: Path) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="compresses"):
        fetch(source(server), tmp_path, QUICK)
    assert server.seen[0]["accept-encoding"] == "identity"


def test_a_redirect_to_another_host_is_followed_and_said(server: Files, tmp_path: Path) -> None:
    server.redirect = server.url("localhost", "elsewhere.pth")
    done = fetch(source(server), tmp_path, QUICK)
    assert (done.path.read_bytes(), done.hosts) == (BODY, ("localhost",))


def test_a_redirect_within_the_host_is_not_worth_a_word(server: Files, tmp_path: Path) -> None:
    server.redirect = server.url(name="elsewhere.pth")
    assert fetch(source(server), tmp_path, QUICK).hosts == ()


@pytest.mark.parametrize(
    "target", ["http://files.example/model.pth", "ftp://127.0.0.1/model.pth", "file:///etc/passwd"]
)
def test_a_redirect_to_something_less_is_refused(
    server: Files, tmp_path: Path, target: str
) -> None:
    server.redirect = target
    with pytest.raises(DownloadError, match=r"redirected to|redirects that lead nowhere"):
        fetch(source(server), tmp_path, QUICK)
    assert names(tmp_path) == set() and len(server.seen) == 1


def test_redirects_in_a_circle_end(server: Files, tmp_path: Path) -> None:
    server.redirect = server.url(name="again.pth")
    with pytest.raises(DownloadError, match="lead nowhere"):
        fetch(source(server), tmp_path, QUICK)


@pytest.mark.parametrize(
    ("url", "before", "allowed"),
    [
        ("https://a.example/x", "", True),
        ("https://b.example/x", "https://a.example/x", True),
        ("http://a.example/x", "", False),
        ("http://a.example/x", "https://a.example/x", False),
        ("http://localhost/x", "https://a.example/x", False),
        ("http://localhost:8/x", "", True),
        ("http://[::1]:8/x", "", True),
        ("http://127.0.0.1.example/x", "", False),
        ("file:///etc/passwd", "", False),
        ("https:///x", "", False),
        ("http://[::1/x", "", False),
    ],
)
def test_what_may_be_asked_for(url: str, before: str, allowed: bool) -> None:
    assert (forbidden(url, before) == "") is allowed


@pytest.mark.parametrize(
    ("status", "said"), [(404, "has moved"), (410, "has moved"), (403, "logs in"), (400, "400")]
)
def test_a_refusal_is_final_and_says_why(
    server: Files, tmp_path: Path, status: int, said: str
) -> None:
    server.statuses = [status] * 5
    with pytest.raises(DownloadError, match=said):
        fetch(source(server), tmp_path, QUICK)
    assert len(server.seen) == 1 and names(tmp_path) == set()


def test_a_busy_server_is_asked_again(server: Files, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert fetch(source(server), tmp_path, QUICK).path.read_bytes() == BODY
    server.statuses = [503] * 9
    with pytest.raises(DownloadError, match="503"):
        fetch(source(server, file="other.pth"), tmp_path, QUICK)
    assert len(server.seen) == 3 + QUICK.attempts


@pytest.mark.parametrize("status", [204, 416])
def test_an_answer_without_a_file_ends(server: Files, tmp_path: Path, status: int) -> None:
    server.statuses = [status] * 9
    with pytest.raises(DownloadError, match=str(status)):
        fetch(source(server), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_without_a_network_one_line_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/model.pth"
    with pytest.raises(DownloadError, match=r"no connection.*when there is a connection") as error:
        fetch(SourceSpec(file="model.pth", url=closed), tmp_path, Manner(pause=60.0))
    assert "\n" not in str(error.value) and names(tmp_path) == set()


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "no network: files.example"),
        (TimeoutError(), "does not answer"),
        (OSError(101, "Network is unreachable"), "unreachable"),
    ],
)
def test_every_kind_of_no_network_is_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cause: OSError, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError(cause)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    url = "https://files.example/model.pth"
    with pytest.raises(DownloadError, match=said):
        fetch(SourceSpec(file="model.pth", url=url), tmp_path, Manner(pause=60.0))


def test_a_full_disk_is_said_and_what_arrived_is_kept(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = downloads._write, [3]

    def full(out: io.FileIO, block: bytes) -> None:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= 1
        write(out, block)

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_write", full)
        with pytest.raises(OutputError, match=r"[Ss]pace.*SAMOVAR_CACHE.*0\.8 MB .*are kept"):
            fetch(source(server), tmp_path, QUICK)
    assert names(tmp_path) == {".model.pth.part", ".model.pth.part.json"}
    done = fetch(source(server), tmp_path, QUICK)
    assert done.path.read_bytes() == BODY and done.resumed_at == 3 * downloads.BLOCK


def test_a_disk_that_is_too_small_is_said_before_the_download(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = downloads.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="1 MB are needed"):
        fetch(source(server), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_said(server: Files, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file in the way")
    with pytest.raises(OutputError, match="SAMOVAR_CACHE"):
        fetch(source(server), tmp_path / "weights" / "m", QUICK)


def test_two_pulls_of_one_file_fetch_it_once(server: Files, tmp_path: Path) -> None:
    server.before = threading.Event()
    said: list[str] = []
    done: list[Fetched] = []

    def run() -> None:
        def say(line: str) -> None:
            said.append(line)
            server.before.set()  # type: ignore[union-attr]

        done.append(fetch(source(server), tmp_path, Manner(say=say)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(d.fetched for d in done) == [False, True]
    assert len(server.seen) == 1 and any("waiting" in line for line in said)


def zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        for name, body in members.items():
            out.writestr(name.replace("__", "/"), body)
    return held.getvalue()


def test_an_archive_gives_its_one_member(server: Files, tmp_path: Path) -> None:
    server.body = zipped(weights__model=BODY, readme=b"hello", MACOSX__other=b"x")
    packed = source(server, sha256=sha(server.body), unpack="model")
    done = fetch(packed, tmp_path, QUICK)
    assert done.path.read_bytes() == BODY and done.sha256 == sha(BODY)
    assert names(tmp_path) == {"model.pth", "model.pth.json"}
    assert not fetch(packed, tmp_path, QUICK).fetched
    done.path.write_bytes(OTHER)
    assert fetch(packed, tmp_path, QUICK).path.read_bytes() == BODY


def test_an_archive_that_its_authors_replaced_is_fetched_again(
    server: Files, tmp_path: Path
) -> None:
    server.body = zipped(model=BODY)
    fetch(source(server, sha256=sha(server.body), unpack="model"), tmp_path, QUICK)
    server.body = zipped(model=OTHER)
    new = fetch(source(server, sha256=sha(server.body), unpack="model"), tmp_path, QUICK)
    assert new.fetched and new.path.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (zipped(other=BODY), "no file called model"),
        (zipped(a__model=BODY, b__model=BODY), "2 files called model"),
        (zipped(model=BODY)[:-30], "damaged"),
        (zipped(model=BODY).replace(b"\x00\x01\x02\x03", b"\x00\x01\x02\x04", 1)[:400], "damaged"),
        (b"\x80\x02}q\x00.", "damaged"),
    ],
)
def test_a_strange_archive_is_refused(
    server: Files, tmp_path: Path, body: bytes, said: str
) -> None:
    server.body = body
    with pytest.raises(DownloadError, match=said):
        fetch(source(server, sha256="", unpack="model"), tmp_path, QUICK)
    assert names(tmp_path) == set()


def test_no_member_leaves_the_folder(server: Files, tmp_path: Path) -> None:
    server.body = zipped(**{"..__..__model": BODY})
    fetch(source(server, sha256="", unpack="model"), tmp_path / "in", QUICK)
    assert not (tmp_path / "model").exists() and not (tmp_path.parent / "model").exists()


def test_links_are_spoken_to_as_samovar(server: Files, tmp_path: Path) -> None:
    fetch(source(server), tmp_path, QUICK)
    assert server.seen[0]["user-agent"] == links.AGENT
