"""The ledger: one run at a time, results that stay, and a lock that goes with its process."""

import os
import signal
import subprocess
import sys

import pytest

from samovar import ledger
from samovar.errors import UsageError
from samovar.ledger import Ledger, LedgerInUse, clear_ledger

HOLD = """
import sys, time
from pathlib import Path
from samovar.ledger import Ledger
held = Ledger(Path(sys.argv[1]))
held.begin({"a": 1})
held.put("r0c0", b"found")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE_S", 0.1)


def test_results_stay(tmp_path):
    path = tmp_path / "out.gpkg.ledger"
    with Ledger(path) as first:
        assert first.fresh
        first.begin({"a": 1, "machine": "x"}, soft=("machine",))
        first.put("r0c0", b"found")
        first.fail("r0c1", "why", 3)
    with Ledger(path) as second:
        assert second.begin({"a": 1, "machine": "y"}, soft=("machine",)) == ["machine"]
        assert second.result("r0c0") == b"found"
        assert second.failures() == [("r0c1", "why", 3)]
        assert (len(second), second.has("r0c0"), second.has("r0c1")) == (1, True, False)
        with pytest.raises(UsageError, match="another a"):
            second.begin({"a": 2})


def test_a_ledger_is_of_one_run_at_a_time(tmp_path):
    path = tmp_path / "out.gpkg.ledger"
    with Ledger(path) as first:
        first.begin({"a": 1})
        for other in (Ledger, clear_ledger):
            with pytest.raises(LedgerInUse, match="another run"):
                other(path)
        first.put("r0c0", b"found")
        assert first.result("r0c0") == b"found"
    with Ledger(path) as second:
        assert second.has("r0c0")
    clear_ledger(path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ledger_is_cleared_too(tmp_path):
    path = tmp_path / "out.gpkg.ledger"
    path.write_text("something else, and long enough to be read as a database" * 30)
    clear_ledger(path)
    assert not path.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_lets_go_of_its_ledger(tmp_path):
    path = tmp_path / "out.gpkg.ledger"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LedgerInUse):
            Ledger(path)
    finally:
        process.kill()
        process.communicate()
    with Ledger(path) as after:
        assert after.result("r0c0") == b"found"
