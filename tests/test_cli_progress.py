from __future__ import annotations

import pytest

from samovar.cli.progress import duration, line_by_line, pace, shown_progress
from samovar.executor import Progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.4, "4 s"), (59.6, "1 min 0 s"), (90, "1 min 30 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "text"),
    [(0, 10, 5.0, ""), (30, 120, 10.0, "3.0/s, 30 s left"), (10, 10, 5.0, "2.0/s"),
     (1, 3, 40.0, "40 s each, 1 min 20 s left")],
)  # fmt: skip
def test_pace(done, total, elapsed, text):
    assert pace(done, total, elapsed) == text


def test_lines_now_and_then(capsys):
    """Not one a tile: a log of 50,000 lines is of no use."""
    now = [0.0]
    tick = line_by_line(lambda: now[0])
    for i in range(1, 101):
        now[0] += 0.3
        tick(Progress(i, 100, f"r0c{i}"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("segmenting 17/100, 3.3/s, 25 s left")


def test_quiet_and_no_terminal():
    with shown_progress(False) as tick:
        assert tick is None
    with shown_progress(True) as tick:
        assert tick is not None


def test_several_inputs_become_one(tmp_path):
    pytest.importorskip("samovar_geo")
    from samovar.cli.segment_request import join_inputs
    from samovar.errors import UsageError

    given = {"mosaic": True, "stack": False}
    assert join_inputs(["a.tif", "b.tif"], given) == ["mosaic:a.tif|b.tif"]
    assert "mosaic" not in given
    assert join_inputs(["a.tif", "b.tif"], {"mosaic": False}) == ["a.tif", "b.tif"]
    with pytest.raises(UsageError, match="do not go together"):
        join_inputs(["a.tif"], {"mosaic": True, "stack": True})
