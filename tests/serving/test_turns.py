"""Turns: one thread's step at a time, in the order in which they ask; the rest comes before the next one's step."""

import sys
import threading
from collections.abc import Callable

import pytest

from gatehouse.serving.turns import BUSY_S, MOST_RESTS, REST_S, SWITCH_S, Pause, Turns, share_evenly


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(20_000):
        if condition():
            return
        deadline.wait(0.001)
    raise AssertionError("not so in time")


def test_the_works_answer_or_exception_comes_back_and_the_turn_is_free_again() -> None:
    turns = Turns()

    def fail(_pause: Pause) -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        turns.run(fail)
    assert turns.run(lambda _pause: "answer") == "answer"


def test_row_63_a_rest_comes_only_when_a_step_was_long_enough() -> None:
    rests: list[float] = []
    Turns(step_s=3600, rest=rests.append).run(lambda pause: [pause() for _ in range(100)])
    assert rests == []
    Turns(step_s=0, rest=rests.append).run(lambda pause: [pause() for _ in range(100)])
    assert len(rests) == 100


@pytest.mark.parametrize(
    ("late", "rests"),
    [([], 1), ([BUSY_S * 2], 2), ([BUSY_S * 2] * 3, 4), ([BUSY_S * 2] * 100, MOST_RESTS), ([BUSY_S / 2], 1)],
    ids=["idle", "busy once", "busy thrice", "always busy", "a little late"],
)
def test_row_63_it_rests_again_while_others_need_the_interpreter_and_not_for_ever(late: list[float], rests: int) -> None:
    now, rested = 0.0, 0

    def rest(seconds: float) -> None:
        nonlocal now, rested
        now += seconds + (late[rested] if rested < len(late) else 0.0)
        rested += 1

    Turns(step_s=0, rest=rest, clock=lambda: now).run(lambda pause: pause())
    assert rested == rests
    assert now >= rests * REST_S


def test_row_63_while_a_thread_rests_no_other_works_and_then_they_take_turns_in_the_order_of_asking() -> None:
    told: list[str] = []
    turns = Turns(step_s=0, rest=lambda _seconds: told.append("rest"))
    all_here = threading.Event()

    def work(name: str) -> Callable[[Pause], None]:
        def steps(pause: Pause) -> None:
            for _ in range(3):
                all_here.wait(20)
                told.append(name)
                pause()

        return steps

    threads = []
    for count, name in enumerate("abc"):
        threads.append(threading.Thread(target=turns.run, args=(work(name),)))
        threads[-1].start()
        wait_until(lambda count=count: turns._taken and len(turns._asking) == count)  # type: ignore[misc]
    all_here.set()
    for thread in threads:
        thread.join(20)
    assert "".join(name for name in told if name != "rest") == "abcabcabc"
    assert told[1::2] == ["rest"] * 9, "each step is followed by a rest before another thread goes on"


def test_row_63_a_thread_that_runs_python_lets_go_after_half_a_millisecond() -> None:
    before = sys.getswitchinterval()
    try:
        share_evenly()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)
