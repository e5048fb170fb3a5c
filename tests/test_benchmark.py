"""The harness: what it measures, how cases take turns, what it writes."""

import json

import numpy as np
import pytest

from samovar.benchmark import laptop
from samovar.benchmark.compare import Case, case_record, statistics, take_turns
from samovar.benchmark.machine import describe_machine
from samovar.benchmark.measure import BenchmarkError, Measurement, measure
from samovar.benchmark.probe import _within
from samovar.benchmark.report import page, write_record
from samovar.errors import OutputError

BUSY = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
IDLE = "import time; time.sleep(0.4)"
LARGE = "x = bytearray(120 * 2**20); x[::4096] = b'1' * len(x[::4096])"


def test_cpu_time_is_work_and_wall_time_is_waiting_too():
    busy, idle = measure([], code=BUSY), measure([], code=IDLE)
    assert busy.cpu_s > 0.39
    assert idle.cpu_s < 0.3
    assert idle.wall_s > 0.39
    assert busy.wall_s > 0.39


def test_peak_memory_is_that_of_the_command_alone():
    pytest.importorskip("resource")
    large, small = measure([], code=LARGE), measure([], code="pass")
    assert small.peak_rss_mb < 60
    assert 110 < large.peak_rss_mb - small.peak_rss_mb < 140


def test_a_command_that_fails_is_an_error_with_its_last_words():
    with pytest.raises(BenchmarkError, match="out of tea"):
        measure(["brew"], code="import sys; sys.exit('out of tea')")
    with pytest.raises(BenchmarkError, match=r"longer than 0\.2 s"):
        measure([], code=IDLE, timeout=0.2)


def test_where_there_is_no_getrusage_the_command_runs_within_the_probe():
    status, measured = _within("import sys; assert sys.argv[1] == 'x'; sys.exit(3)", ["x"])
    assert status == 3
    assert measured["peak_rss_mb"] is None
    assert measured["cpu_s"] > 0


def test_cases_take_turns_in_alternating_order_and_the_first_round_is_not_counted():
    order = []

    def run(case: Case) -> Measurement:
        order.append(case.name)
        return Measurement(float(len(order)), 1.0, None)

    cases = [Case("a", ()), Case("b", ()), Case("c", ())]
    measured = take_turns(cases, 3, run=run)
    assert order == list("cba") + list("abc") + list("cba") + list("abc")
    assert [m.wall_s for m in measured["a"]] == [4, 9, 10]


def test_statistics_are_median_and_quartiles():
    values = [5.0, 1.0, 2.0, 4.0, 3.0]
    found = statistics(values)
    assert (found["median"], found["q1"], found["q3"]) == (3, 2, 4)
    assert found["all"] == values
    assert statistics([1.0, None]) is None


def test_ratios_are_paired_by_round():
    slow = [Measurement(w, w, 10.0) for w in (2.0, 8.0, 4.0)]
    fast = [Measurement(w, w, 10.0) for w in (1.0, 4.0, 2.0)]  # a noisy machine, always twice
    record = case_record(Case("fast", ("x",), 2, baseline="slow"), {"slow": slow, "fast": fast})
    assert record["cpu_ratio"]["all"] == [0.5, 0.5, 0.5]
    assert record["command"] == ["samovar", "x"]


def test_the_report_is_a_json_file_and_a_page_of_all_of_them(tmp_path):
    measured = {"one": [Measurement(1.0, 2.0, 300.0), Measurement(1.2, 2.2, 310.0)]}
    record = {
        "name": "b", "title": "A benchmark", "about": "What it is.", "rounds": 2,
        "created": "2030-01-02T03:04:05+00:00", "load": [0.1, 0.2],
        "machine": describe_machine(), "model": {},
        "cases": [case_record(Case("one", (), 2, note="a note"), measured)],
    }  # fmt: skip
    file = write_record(record, tmp_path / "benchmarks")
    write_record({**record, "name": "a", "title": "Another"}, tmp_path / "benchmarks")
    assert json.loads(file.read_text())["cases"][0]["cpu_s"]["median"] == 2.1
    text = (tmp_path / "benchmarks" / "README.md").read_text()
    assert text.index("## Another") < text.index("## A benchmark")
    assert "| one | 2 | 1.10 (1.05–1.15) | 2.10 (2.05–2.15) | 305 (302–308) |" in text
    assert "- one: a note" in text
    assert sorted(p.name for p in file.parent.iterdir()) == ["README.md", "a.json", "b.json"]


def test_figures_that_are_not_known_are_said_to_be(tmp_path):
    case = case_record(Case("one", ()), {"one": [Measurement(1.0, 2.0, None)]})
    record = {
        "name": "b", "title": "T", "about": "", "rounds": 1, "created": "2030-01-02",
        "load": [None, None], "machine": describe_machine(), "cases": [case],
    }  # fmt: skip
    assert "not known" in page([record])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_record(record, blocked)


def test_the_machine_is_described_without_its_name():
    import platform

    text = json.dumps(describe_machine())
    assert np.__version__ in text
    assert len(platform.node()) < 4 or platform.node() not in text


def test_laptop_table_tells_the_ratio_to_torch_and_to_the_quickest_graphs() -> None:
    times = {
        "mobile-sam, torch": {"cpu_ms": 4000.0, "ratio": 1.0},
        "mobile-sam, fp32, onnxruntime": {"cpu_ms": 2000.0, "ratio": 2.0},
        "mobile-sam, fp32, openvino": {"cpu_ms": 1000.0, "ratio": 4.0},
        "tiny, fp32, openvino": {"cpu_ms": 40.0, "ratio": 100.0},
    }
    made = laptop.table("AVX2", times)
    assert made["rows"][-1] == ["tiny, fp32, openvino", "40", "100.0", "25.0"]
    assert (
        "cannot be capped" in made["about"] and "capped" not in laptop.table("best", times)["about"]
    )
