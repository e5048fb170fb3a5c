import threading
import time

import pytest

from samovar.errors import Cancelled
from samovar.executor import HEAD, CancelToken, ahead, run, spread


def test_results_come_in_order_whatever_takes_long():
    def slow_first(i: int) -> int:
        time.sleep(0.02 if i == 0 else 0)
        return i * i

    assert list(ahead(range(10), slow_first)) == [i * i for i in range(10)]


def test_never_more_waiting_than_the_depth():
    started: list[int] = []
    flow = ahead(range(100), lambda i: started.append(i) or i, depth=3)
    next(flow)
    time.sleep(0.1)
    assert len(started) <= 1 + 3 + 1
    flow.close()


def test_a_byte_budget_holds_back_but_lets_one_result_through():
    class Big:
        nbytes = 1000

    started: list[int] = []
    flow = ahead(range(50), lambda i: started.append(i) or Big(), depth=40, budget=10)
    assert isinstance(next(flow), Big)
    time.sleep(0.1)
    assert len(started) <= 3
    flow.close()


def test_an_error_is_raised_at_its_place():
    def work(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        return i

    seen: list[int] = []
    with pytest.raises(ValueError, match="three"):
        seen.extend(ahead(range(9), work))
    assert seen == [0, 1, 2]


def test_cancel_stops_every_stage():
    token = CancelToken()
    seen: list[int] = []

    def finish(i: int) -> None:
        seen.append(i)
        if i == 4:
            token.cancel()

    with pytest.raises(Cancelled):
        run(range(10_000), (lambda i: i, lambda i: i), finish, cancel=token)
    assert seen == [0, 1, 2, 3, 4]
    assert not [t for t in threading.enumerate() if t.name == "samovar-ahead"]


def test_stages_drop_what_they_answer_with_none():
    seen: list[int] = []
    run(range(10), (lambda i: i if i % 2 else None, lambda i: i + 1), seen.append)
    assert seen == [2, 4, 6, 8, 10]


def test_an_error_in_finish_leaves_no_thread_behind():
    def finish(i: int) -> None:
        raise RuntimeError("finish")

    with pytest.raises(RuntimeError):
        run(range(1000), (lambda i: i,), finish)
    assert not [t for t in threading.enumerate() if t.name == "samovar-ahead"]


class Answer:
    nbytes = 1000


def test_results_may_wait_while_nobody_takes_them_but_not_without_bound():
    done = []

    def work(i: int) -> Answer:
        done.append(i)
        return Answer()

    answers = spread(range(100), work, workers=1, room=20 * (1000 + HEAD))
    next(answers)
    deadline = time.monotonic() + 10
    while len(done) < 22 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    # 20 wait, one was taken and one is held in the thread
    assert len(done) == 22
    assert len(list(answers)) == 99


def test_without_room_two_results_a_thread_wait():
    done = []
    answers = spread(range(100), done.append, workers=1)
    next(answers)
    deadline = time.monotonic() + 10
    while len(done) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(done) == 4
    answers.close()
