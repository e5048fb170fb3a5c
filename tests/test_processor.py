"""What the system says of its processor."""

from __future__ import annotations

import os
import platform

import pytest

from samovar import processor
from samovar.processor import (
    cores,
    cpuinfo_cores,
    cpuinfo_field,
    cpuinfo_flags,
    instruction_set,
    processor_name,
)

X86 = """processor\t: 0
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx avx2 fma avx512_vnni

processor\t: 1
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx avx2 fma avx512_vnni

processor\t: 2
physical id\t: 0
core id\t\t: 1
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU part\t: 0xd40\n"


@pytest.fixture(autouse=True)
def forget():
    yield
    instruction_set.cache_clear()
    cores.cache_clear()
    processor_name.cache_clear()


def test_flags_of_both_families_are_found():
    assert {"avx2", "avx512_vnni"} <= cpuinfo_flags(X86)
    assert cpuinfo_flags(ARM) == {"fp", "asimd", "asimddp", "i8mm"}
    assert cpuinfo_flags("") == set()


def test_two_threads_of_a_core_count_once():
    assert cpuinfo_cores(X86) == 2
    assert cpuinfo_cores(ARM) is None


def test_notable_sets_are_joined_and_nothing_is_invented(monkeypatch):
    instruction_set.cache_clear()
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2", "sse4_2", "whatever"})
    assert instruction_set() == "sse4_2+avx2"


@pytest.mark.parametrize(
    ("name", "wanted"), [("Intel64 Family 6", "Intel64 Family 6"), ("", "unknown")]
)
def test_where_the_system_is_silent_the_name_is_given(monkeypatch, name, wanted):
    instruction_set.cache_clear()
    processor_name.cache_clear()
    monkeypatch.setattr(processor, "_flags", set)
    monkeypatch.setattr(processor.sys, "platform", "plan9")
    monkeypatch.setattr(platform, "processor", lambda: name)
    assert instruction_set() == wanted


def test_a_system_that_cannot_be_asked_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "gone")
    monkeypatch.setattr(processor.sys, "platform", "linux")
    assert processor._flags() == set()
    assert processor._physical() is None


def test_cores_are_never_more_than_the_process_may_use(monkeypatch):
    assert 1 <= cores() <= (os.cpu_count() or 1)
    cores.cache_clear()
    monkeypatch.setattr(processor, "_physical", lambda: 10_000)
    assert cores() <= (os.cpu_count() or 1)


def test_a_field_is_the_first_of_its_name():
    text = "model name\t: Some CPU @ 2 GHz\nmodel name\t: another\n"
    assert cpuinfo_field(text, "model name") == "Some CPU @ 2 GHz"
    assert cpuinfo_field(text, "stepping") == ""
