"""Staging: outputs written in turn, and what is left of them when the user stops."""

import os
import signal
import threading
from functools import partial

import pytest

from samovar.errors import Cancelled, OutputError
from samovar.staging import in_turn, stage

WORDS = ("first", "second", "third")


def interrupts(times):
    """A writer that is interrupted in its middle."""

    def write(temporary):
        with temporary.open("w", encoding="utf-8") as file:
            file.write("half ")
            file.flush()
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            file.write("whole")

    return write


def run(folder, times, at="second", about_them=None):
    """Three outputs, one of them interrupted; the message."""
    writers = {word: interrupts(times if word == at else 0) for word in WORDS}
    with pytest.raises(Cancelled) as caught:
        write_all(folder, writers, about_them)
    return str(caught.value)


def write_all(folder, writers, about_them=None, after=lambda: None):
    with in_turn() as turn:
        for word, write in writers.items():
            target = folder / f"{word}.txt"
            make = partial(stage, target, "the test", write)
            turn.write(target, make, about_them=word == about_them)
        after()


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_first_interrupt_lets_the_output_at_work_be_finished(tmp_path, capsys):
    said = run(tmp_path, 1)
    assert names(tmp_path) == ["first.txt", "second.txt"]
    assert (tmp_path / "second.txt").read_text("utf-8") == "half whole"
    assert "first.txt" in said.partition("not written")[0]
    assert "second.txt" in said.partition("not written")[0]
    assert "third.txt" in said.partition("not written")[2]
    assert "Ctrl-C again" in capsys.readouterr().err


def test_the_second_interrupt_removes_the_output_at_work(tmp_path):
    said = run(tmp_path, 2)
    assert names(tmp_path) == ["first.txt"]
    assert "first.txt" in said.partition("not written")[0]
    assert "second.txt" in said.partition("not written")[2]


def test_an_interrupt_in_the_very_first_output_keeps_it_too(tmp_path):
    run(tmp_path, 1, at="first")
    assert names(tmp_path) == ["first.txt"]


def test_two_interrupts_in_the_very_first_output_leave_nothing(tmp_path):
    assert "no output was finished" in run(tmp_path, 2, at="first", about_them="third")
    assert names(tmp_path) == []


def test_what_is_about_the_others_is_written_after_a_stop(tmp_path):
    run(tmp_path, 2, about_them="third")
    assert names(tmp_path) == ["first.txt", "third.txt"]


def test_an_interrupt_in_the_last_output_leaves_nothing_out_and_stops_what_comes_after(tmp_path):
    with pytest.raises(Cancelled) as caught:
        write_all(tmp_path, {"a": interrupts(1)})
    assert "not written" not in str(caught.value)
    assert names(tmp_path) == ["a.txt"]


def test_an_interrupt_between_two_outputs_keeps_the_first(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Cancelled, match="kept"):
        write_all(tmp_path, {"a": interrupts(0)}, after=twice)
    assert names(tmp_path) == ["a.txt"]


def test_a_failure_leaves_nothing_of_any(tmp_path):
    def full(temporary):
        temporary.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_all(tmp_path, {"a": interrupts(0), "b": full})
    assert names(tmp_path) == []


def test_interrupts_are_ordinary_again_afterwards(tmp_path):
    run(tmp_path, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_who_handles_interrupts_otherwise_goes_on_doing_so(tmp_path, handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        write_all(tmp_path, {"a": interrupts(3)})
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert names(tmp_path) == ["a.txt"]


def test_other_threads_write_in_turn_too(tmp_path):
    """Where no signal can be handled, what is raised stops the turn."""

    def stop(temporary):
        raise KeyboardInterrupt

    said = []

    def work():
        try:
            write_all(tmp_path, {"a": interrupts(0), "b": stop, "c": interrupts(0)})
        except Cancelled as cancelled:
            said.append(str(cancelled))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert names(tmp_path) == ["a.txt"]
    assert f"kept: {tmp_path}{os.sep}a.txt;" in said[0]
