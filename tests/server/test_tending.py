"""Duties beside the calls are done when due, and go on after whatever went wrong."""

import logging
import threading

import pytest
from sqlalchemy.exc import OperationalError

from gatehouse.server.tending import Duty, Tender


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_each_duty_is_done_when_it_is_due() -> None:
    clock, done = Clock(), list[str]()
    tender = Tender("quotas", "spent from memory", [Duty(1, lambda: done.append("often")), Duty(3, lambda: done.append("seldom"))], clock)
    for second in range(7):
        clock.seconds = second
        tender.round()
    assert (done.count("often"), done.count("seldom")) == (6, 2)


@pytest.mark.parametrize("error", [OperationalError("SELECT 1", {}, Exception("away")), ValueError("whatever")])
def test_a_duty_that_fails_is_said_once_and_keeps_neither_itself_nor_others_from_being_done(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    clock, calls = Clock(), list[str]()

    def fail() -> None:
        calls.append("failing")
        if clock.seconds < 3:
            raise error

    tender = Tender("quotas", "spent from memory", [Duty(1, fail), Duty(1, lambda: calls.append("other"))], clock)
    with caplog.at_level(logging.WARNING, "gatehouse.tending"):
        for second in range(1, 5):
            clock.seconds = second
            tender.round()
    assert (calls.count("failing"), calls.count("other")) == (4, 4)
    meaning = "spent from memory" if isinstance(error, OperationalError) else "a duty failed"
    assert caplog.messages == [f"quotas are not tended now ({type(error).__name__}): {meaning}"]


def test_stop_waits_for_the_duty_under_way() -> None:
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def duty() -> None:
        started.set()
        go_on.wait(10)
        done.set()

    tender = Tender("quotas", "spent from memory", [Duty(0, duty)])
    tender.start()
    assert started.wait(10)
    stopping = threading.Thread(target=tender.stop)
    stopping.start()
    assert stopping.is_alive()
    go_on.set()
    stopping.join(10)
    assert done.is_set()


def test_a_tender_that_was_never_started_stops_at_once() -> None:
    Tender("quotas", "spent from memory", []).stop()
