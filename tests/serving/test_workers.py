"""Workers: bounded, with a deadline, and a place is free only when its thread is."""

import asyncio
import os
import sys
import threading

import pytest

from gatehouse.errors import Overloaded, PredictionTimeout
from gatehouse.serving.workers import NICENESS, Workers

LONG = 30.0


@pytest.fixture
def gate():
    """Work that waits for it ends when the test does, whatever happens."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def workers():
    pool = Workers(threads=1, waiting=1)
    yield pool
    pool.close()


async def _until_free(workers):
    """Waits for a place: the answer of the first run that is let in."""
    async with asyncio.timeout(LONG):
        while True:
            try:
                return await workers.run(lambda: "free", LONG)
            except Overloaded:
                await asyncio.sleep(0.001)


def test_the_works_answer_or_exception_comes_back(workers):
    def fail():
        raise KeyError("own")

    assert asyncio.run(workers.run(lambda: threading.current_thread().name, LONG)).startswith("gatehouse-worker")
    with pytest.raises(KeyError, match="own"):
        asyncio.run(workers.run(fail, LONG))


def test_a_time_out_raised_by_the_work_is_not_taken_for_the_deadline(workers):
    def fail():
        raise TimeoutError("own")

    with pytest.raises(TimeoutError, match="own"):
        asyncio.run(workers.run(fail, LONG))


def test_beyond_threads_and_waiting_a_call_is_refused_at_once(workers, gate):
    async def scenario():
        running = [asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await workers.run(lambda: None, LONG)
        assert refused.value.headers == (("Retry-After", "1"),)
        gate.set()
        assert await asyncio.gather(*running) == [True, True]
        assert await workers.run(lambda: "again", LONG) == "again"

    asyncio.run(scenario())


def test_row_62_past_the_deadline_the_caller_is_told_and_the_place_is_held_until_the_thread_ends(workers, gate):
    async def scenario():
        with pytest.raises(PredictionTimeout):
            await workers.run(lambda: gate.wait(LONG), 0.01)
        waiting = asyncio.create_task(workers.run(lambda: "waited", LONG))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):  # the slow work still has its thread, the second call the one waiting place
            await workers.run(lambda: None, LONG)
        gate.set()
        assert await waiting == "waited"
        assert await _until_free(workers) == "free"

    asyncio.run(scenario())


def test_row_62_work_that_waited_past_its_deadline_is_never_begun(workers, gate):
    begun = []

    async def scenario():
        slow = asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG))
        await asyncio.sleep(0)
        with pytest.raises(PredictionTimeout):
            await workers.run(lambda: begun.append(1), 0.01)
        gate.set()
        await slow
        await _until_free(workers)

    asyncio.run(scenario())
    assert begun == []


def test_row_62_caller_who_goes_away_leaves_no_place_taken(workers, gate):
    begun = []

    async def scenario():
        running = asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG))
        waiting = asyncio.create_task(workers.run(lambda: begun.append(1), LONG))
        await asyncio.sleep(0)
        for task in (waiting, running):
            task.cancel()
        assert [type(answer) for answer in await asyncio.gather(running, waiting, return_exceptions=True)] == [asyncio.CancelledError] * 2
        gate.set()
        assert await _until_free(workers) == "free"
        await _idle(workers)
        assert await asyncio.gather(*(workers.run(lambda: 1, LONG) for _ in range(2))) == [1, 1]

    asyncio.run(scenario())
    assert begun == []


def test_closed_workers_take_no_more_work(workers):
    workers.close()
    with pytest.raises(Overloaded) as refused:
        asyncio.run(workers.run(lambda: 1, LONG))
    assert refused.value.reason == "workers_closed"


async def _idle(workers):
    """An answer is given a moment before its place is free."""
    async with asyncio.timeout(LONG):
        while workers._busy:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def _begun(count, events):
    async with asyncio.timeout(LONG):
        while sum(event.is_set() for event in events) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def _held(gate, begun):
    def work():
        begun.set()
        return gate.wait(LONG)

    return work


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (2, 1), (3, 1), (5, 2), (8, 3)])
def test_a_lane_gets_no_more_than_its_share_of_the_threads(threads, share, gate):
    pool = Workers(threads, waiting=8)
    begun = [threading.Event() for _ in range(5)]

    async def scenario():
        stuck = [asyncio.create_task(pool.run(_held(gate, event), LONG, "stuck")) for event in begun]
        await _begun(share, begun)
        if threads > share:
            assert await pool.run(lambda: "other", LONG, "other") == "other"
        assert sum(event.is_set() for event in begun) == share == pool.share
        gate.set()
        assert await asyncio.gather(*stuck) == [True] * 5

    asyncio.run(scenario())
    pool.close()


def test_two_lanes_that_are_stuck_leave_a_thread_to_the_others(gate):
    pool = Workers(5, waiting=8)
    begun = [threading.Event() for _ in range(8)]

    async def scenario():
        stuck = [asyncio.create_task(pool.run(_held(gate, event), LONG, f"stuck {n % 2}")) for n, event in enumerate(begun)]
        await _begun(4, begun)
        assert await pool.run(lambda: "other", LONG, "other") == "other"
        gate.set()
        await asyncio.gather(*stuck)

    asyncio.run(scenario())
    pool.close()


def test_lanes_take_turns_and_each_keeps_its_order(gate):
    pool, begun, order = Workers(1, waiting=8), threading.Event(), []

    async def scenario():
        plug = asyncio.create_task(pool.run(_held(gate, begun), LONG, "plug"))
        await _begun(1, [begun])
        wishes = ["a1", "a2", "a3", "b1", "b2", "c1"]
        waiting = [asyncio.create_task(pool.run(lambda wish=wish: order.append(wish), LONG, wish[0])) for wish in wishes]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(plug, *waiting)

    asyncio.run(scenario())
    pool.close()
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_full_lane_refuses_while_another_takes_work(workers, gate):
    async def scenario():
        running = [asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG, "full")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await workers.run(lambda: None, LONG, "full")
        other = asyncio.create_task(workers.run(lambda: "other", LONG, "other"))
        await asyncio.sleep(0)
        gate.set()
        assert await other == "other"
        await asyncio.gather(*running)

    asyncio.run(scenario())


def test_work_that_waits_when_the_workers_close_is_refused(workers, gate):
    async def scenario():
        running, waiting = (asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG)) for _ in range(2))
        await asyncio.sleep(0)
        workers.close()
        with pytest.raises(Overloaded) as refused:
            await waiting
        assert refused.value.reason == "workers_closed"
        gate.set()
        assert await running

    asyncio.run(scenario())


def test_in_a_lane_tenants_take_turns_however_much_one_of_them_sends(gate):
    pool, begun, order = Workers(1, waiting=100), threading.Event(), []

    async def scenario():
        plug = asyncio.create_task(pool.run(_held(gate, begun), LONG, "plug"))
        await _begun(1, [begun])
        wishes = [*[f"flood{n}" for n in range(50)], "b1", "b2", "c1"]
        waiting = [
            asyncio.create_task(pool.run(lambda wish=wish: order.append(wish), LONG, "lane", wish.rstrip("0123456789"))) for wish in wishes
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(plug, *waiting)

    asyncio.run(scenario())
    pool.close()
    assert order[:6] == ["flood0", "b1", "c1", "flood1", "b2", "flood2"]
    assert len(order) == 53


@pytest.mark.parametrize(("threads", "lanes", "most"), [(5, 1, 1), (5, 4, 2), (9, 1, 3), (9, 4, 4), (3, 4, 1)])
def test_a_tenant_leaves_threads_to_others_in_each_lane_and_over_all(threads, lanes, most, gate):
    pool = Workers(threads, waiting=100)
    events = [threading.Event() for _ in range(12)]

    async def scenario():
        flood = [asyncio.create_task(pool.run(_held(gate, event), LONG, f"lane {n % lanes}", "flood")) for n, event in enumerate(events)]
        await _begun(most, events)
        assert await pool.run(lambda: "other", LONG, "lane 0" if pool.share > 1 else "own lane", "other") == "other"
        assert sum(event.is_set() for event in events) == most
        gate.set()
        await asyncio.gather(*flood)

    asyncio.run(scenario())
    pool.close()


def test_what_one_tenant_has_waiting_takes_no_waiting_place_of_another(workers, gate):
    async def scenario():
        running = [asyncio.create_task(workers.run(lambda: gate.wait(LONG), LONG, "lane", "flood")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await workers.run(lambda: None, LONG, "lane", "flood")
        other = asyncio.create_task(workers.run(lambda: "other", LONG, "lane", "other"))
        await asyncio.sleep(0)
        gate.set()
        assert await other == "other"
        await asyncio.gather(*running)

    asyncio.run(scenario())


def test_nothing_is_remembered_of_lanes_and_tenants_whose_work_is_done(workers):
    for number in range(50):
        asyncio.run(workers.run(lambda: 1, LONG, f"lane {number}", f"tenant {number}"))
    asyncio.run(_until_free(workers))
    workers._pool.shutdown(wait=True)
    assert (dict(workers._lanes), dict(workers._running), workers._busy) == ({}, {}, 0)


def test_worker_threads_come_after_the_event_loop_where_processors_are_short(workers):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    lower = NICENESS if sys.platform == "linux" else 0  # others know no priorities of single threads
    assert asyncio.run(workers.run(niceness, LONG)) == min(19, before + lower)
    assert niceness() == before
