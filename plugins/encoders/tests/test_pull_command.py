"""``samovar models pull``: what it asks, says, prints and returns."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Files, serving

from samovar.cli.main import main
from samovar.errors import UsageError
from samovar.licences import require_accepted
from samovar.specs import SourceSpec
from samovar_encoders import sources
from samovar_encoders.pull_command import pull
from samovar_encoders.sources import DISTRIBUTION, Offer

BODY = b"\x80\x02 not really weights" * 1000
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[Files]:
    with serving(Files(BODY)) as files:
        yield files


@pytest.fixture
def offered(server: Files, monkeypatch: pytest.MonkeyPatch) -> Files:
    """One free model, one restricted, one by hand, and one half by hand."""
    good = SourceSpec(file="m.pt", url=server.url(), sha256=SHA, bytes=len(BODY))
    unpinned = SourceSpec(file="m.pt", url=server.url())
    hand = SourceSpec(file="hand.pt", page="https://pages.example/hand", note="a web page")

    def offer(name: str, *files: SourceSpec, licence: str = "Apache-2.0") -> Offer:
        return Offer(name, DISTRIBUTION, files, "MIT", licence, "We, 2026", "https://home.example")

    table = (
        offer("free", good),
        offer("unpinned", unpinned),
        offer("bound", good, licence="CC-BY-NC-4.0"),
        offer("viral", good, licence="AGPL-3.0-only"),
        offer("silent", good, licence=""),
        offer("by-hand", hand),
        offer("half", hand, good),
    )
    monkeypatch.setattr(sources, "own_offers", lambda: table)
    return server


def test_a_pull_says_where_the_file_is_and_what_comes_next(
    offered: Files, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "free"]) == 0
    out, err = capsys.readouterr()
    path = cache / "weights" / DISTRIBUTION / "free" / "m.pt"
    assert path.read_bytes() == BODY
    assert str(path) in out and SHA in out and "cite: We, 2026" in out
    assert f"models import {path} --as free -o free" in out.replace("'", "").replace('"', "")
    assert "trusted" not in err


def test_json_is_one_document_and_nothing_else(
    offered: Files, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offered.redirect = offered.url("localhost", "elsewhere.pth")
    assert main(["models", "pull", "bound", "--json", "--accept-license", "bound"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    [file] = said["files"]
    assert said["model"] == f"{DISTRIBUTION}/bound"
    assert (file["sha256"], file["bytes"], file["fetched"]) == (SHA, len(BODY), True)
    assert file["trust"] == "published" and file["redirected_to"] == ["localhost"]
    assert said["licence"]["weights"] == "CC-BY-NC-4.0" and said["licence"]["accepted"]
    assert "localhost" in err


@pytest.mark.parametrize(
    ("name", "licence"),
    [("bound", "CC-BY-NC-4.0"), ("viral", "AGPL-3.0-only"), ("silent", "unknown")],
)
def test_restricted_weights_are_refused_until_accepted(
    offered: Files, cache: Path, capsys: pytest.CaptureFixture[str], name: str, licence: str
) -> None:
    with pytest.raises(UsageError, match=rf"{licence}.*--accept-license {name}"):
        pull(name=name)
    assert offered.seen == [] and not cache.exists()
    assert main(["models", "pull", name, "--accept-license", "free"]) == 2
    assert offered.seen == []
    assert main(["models", "pull", name, "--accept-license", name]) == 0
    assert "you accepted it" in capsys.readouterr().err


def test_a_consent_is_remembered_by_pull_and_at_load(
    offered: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(name="bound", accept_license=["CC-BY-NC-4.0"])
    capsys.readouterr()
    assert pull(name="bound") == 0
    assert "CC-BY-NC-4.0 (not for commercial use); you accepted it" in capsys.readouterr().err
    # an imported bundle carries the same name and licence
    require_accepted("bound", ("bound", "folder"), "CC-BY-NC-4.0", ())
    with pytest.raises(UsageError):
        require_accepted("viral", ("viral",), "CC-BY-NC-4.0", ())


def test_first_use_is_said_with_the_hash(
    offered: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(name="unpinned")
    assert f"pinned: {SHA}" in capsys.readouterr().err
    pull(name="unpinned")
    assert "pinned" not in capsys.readouterr().err


def test_repin_trusts_a_replaced_file(offered: Files, capsys: pytest.CaptureFixture[str]) -> None:
    pull(name="unpinned")
    offered.body = BODY + b"new"
    assert main(["models", "pull", "unpinned", "--repin"]) == 0
    assert hashlib.sha256(offered.body).hexdigest() in capsys.readouterr().err


def test_a_file_that_only_a_person_can_get_is_said(
    offered: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "by-hand"]) == 2
    err = capsys.readouterr().err
    assert "hand.pt from https://pages.example/hand (a web page)" in err
    assert "samovar models import hand.pt --as by-hand" in err
    assert offered.seen == []


def test_half_by_hand_fetches_its_half(
    offered: Files, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "half", "--json"]) == 1
    out, err = capsys.readouterr()
    said = json.loads(out)
    [path] = [f["path"] for f in said["files"]]
    assert Path(path).read_bytes() == BODY
    assert said["by_hand"] == [
        {"file": "hand.pt", "page": "https://pages.example/hand", "note": "a web page"}
    ]
    assert "hand.pt" in said["next"] and path in said["next"].replace("'", "")
    assert "hand.pt from https://pages.example/hand" in err


def test_a_failed_download_names_the_page(
    offered: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    offered.statuses = [404]
    assert main(["models", "pull", "free", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 1
    assert "has moved (the weights are offered at https://home.example)" in err
    assert "Traceback" not in err and len(err.splitlines()) == 1


def test_no_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/m.pt"
    table = (Offer("gone", DISTRIBUTION, (SourceSpec(file="m.pt", url=url),), "", "MIT"),)
    monkeypatch.setattr(sources, "own_offers", lambda: table)
    assert main(["models", "pull", "gone"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "no connection" in line


def test_without_a_name_it_lists(
    offered: Files, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(name="free")
    capsys.readouterr()
    assert main(["models", "pull"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "there already" in rows["free"] and "by hand" in rows["half"]
    assert "CC-BY-NC-4.0 (needs --accept-license)" in rows["bound"]
    assert main(["models", "pull", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [m["model"] for m in listed] == [o.name for o in sources.own_offers()]
    assert listed[2]["needs_consent"] and listed[0]["there"] and not listed[1]["there"]


def test_the_real_table_lists_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "--json"]) == 0
    assert "mobile-sam" in [m["model"] for m in json.loads(capsys.readouterr().out)["models"]]


def test_pulling_imports_no_torch() -> None:
    code = (
        "import sys, samovar_encoders.pull_command as c; c.pull(json=True); "
        "sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
