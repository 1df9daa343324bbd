"""How many calls may be under way, who waits, and who comes next."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.errors import ClientGone, Overloaded
from gatehouse.limits.concurrency import Concurrency, Waiting


def test_a_tenant_has_at_most_its_share_and_others_go_on() -> None:
    concurrency = Concurrency(total=10, per_tenant=2)
    concurrency.enter("a")
    concurrency.enter("a")
    with pytest.raises(Overloaded) as caught:
        concurrency.enter("a")
    assert (caught.value.reason, caught.value.headers) == ("tenant_concurrency", (("Retry-After", "1"),))
    concurrency.enter("b")
    assert concurrency.inside == {"a": 2, "b": 1}


def test_the_process_has_at_most_its_total() -> None:
    concurrency = Concurrency(total=2, per_tenant=2)
    concurrency.enter("a")
    concurrency.enter("b")
    with pytest.raises(Overloaded) as caught:
        concurrency.enter("c")
    assert caught.value.reason == "process_concurrency"
    concurrency.leave("a")
    concurrency.enter("c")
    assert concurrency.all_inside == 2


def test_nothing_is_remembered_of_tenants_that_have_left() -> None:
    concurrency = Concurrency(total=2, per_tenant=1)
    for number in range(1000):
        concurrency.enter(str(number))
        concurrency.leave(str(number))
    assert (concurrency.inside, concurrency.all_inside) == ({}, 0)


def test_a_refused_call_counts_nothing() -> None:
    concurrency = Concurrency(total=5, per_tenant=0)
    with pytest.raises(Overloaded):
        concurrency.enter("a")
    assert (concurrency.inside, concurrency.all_inside) == ({}, 0)


# ------------------------------------------------------------- the process is full


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def full(total: int = 2, per_tenant: int = 200, waiting: int = 300, wait_s: float = 5.0) -> tuple[Concurrency, Clock]:
    """A process in which the tenant `first` has all places."""
    clock = Clock()
    concurrency = Concurrency(total, per_tenant, waiting=waiting, wait_s=wait_s, clock=clock)
    for _ in range(total):
        assert concurrency.enter("first") is None
    return concurrency, clock


def joined(concurrency: Concurrency, tenant: str) -> Waiting:
    waiting = concurrency.enter(tenant)
    assert waiting is not None
    return waiting


def test_tenants_are_let_in_in_turn_and_a_hundred_calls_of_one_are_one_turn() -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=1)
        flood = [joined(concurrency, "flood") for _ in range(100)]
        for tenant in ("a", "a", "b"):
            joined(concurrency, tenant)
        assert concurrency.waiting == {"flood": 100, "a": 2, "b": 1}
        order = ["first"]
        while concurrency.waiting:
            concurrency.leave(order[-1])
            order += concurrency.inside
        assert order[:8] == ["first", "flood", "a", "b", "flood", "a", "flood", "flood"]
        assert len(order) == 104
        assert all(call.inside for call in flood)

    asyncio.run(scenario())


def test_a_tenants_own_calls_keep_their_order() -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=1)
        calls = [joined(concurrency, "a") for _ in range(3)]
        concurrency.leave("first")
        concurrency.leave("a")
        assert [call.inside for call in calls] == [True, True, False]

    asyncio.run(scenario())


def test_a_call_that_is_let_in_goes_on_and_leaves_like_any_other() -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=1)
        waiting = joined(concurrency, "a")
        turn = asyncio.create_task(waiting.turn())
        await asyncio.sleep(0)
        assert not turn.done()
        concurrency.leave("first")
        await turn
        assert (concurrency.inside, concurrency.waiting) == ({"a": 1}, {})
        concurrency.leave("a")
        assert concurrency.all_inside == 0

    asyncio.run(scenario())


def test_a_call_past_its_deadline_is_refused_and_takes_no_place() -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=1, wait_s=0.01)
        waiting = joined(concurrency, "a")
        with pytest.raises(Overloaded) as refused:
            await waiting.turn()
        assert refused.value.reason == "process_concurrency"
        assert (concurrency.inside, concurrency.waiting) == ({"first": 1}, {})

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["gone", "cancelled", "gone when let in", "cancelled when let in", "refused by its rate", "never awaited"])
def test_row_102_whoever_leaves_the_queue_leaves_no_place_behind(how: str) -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=1)
        waiting, behind = joined(concurrency, "a"), joined(concurrency, "b")
        turn = None
        if not how.startswith(("refused", "never")):
            turn = asyncio.create_task(waiting.turn())
            await asyncio.sleep(0)
        if how.endswith("let in"):
            concurrency.leave("first")
        if how.startswith("gone"):
            waiting.abandon()
        elif turn is not None:
            turn.cancel()
        else:
            if how.startswith("never"):
                concurrency.leave("first")
            waiting.withdraw()
        outcome = (await asyncio.gather(turn, return_exceptions=True))[0] if turn else None
        if how == "gone when let in":  # it was let in before: the road finds out when it reads
            assert outcome is None
            concurrency.leave("a")
        elif turn:
            assert isinstance(outcome, ClientGone if how == "gone" else asyncio.CancelledError)
        if not behind.inside:
            concurrency.leave("first")
        assert behind.inside
        assert (concurrency.inside, concurrency.waiting) == ({"b": 1}, {})

    asyncio.run(scenario())


def test_a_tenants_waiting_calls_count_among_those_that_it_may_have_at_once() -> None:
    async def scenario() -> None:
        concurrency, _ = full(total=2, per_tenant=3)
        joined(concurrency, "first")
        with pytest.raises(Overloaded) as refused:
            concurrency.enter("first")
        assert refused.value.reason == "tenant_concurrency"
        assert concurrency.waiting == {"first": 1}
        assert joined(concurrency, "a")

    asyncio.run(scenario())


def test_in_a_full_queue_a_newcomer_takes_the_place_of_the_newest_of_the_tenant_with_most() -> None:
    async def scenario() -> None:
        concurrency, _ = full(waiting=4)
        flood = [joined(concurrency, "flood") for _ in range(4)]
        newest = asyncio.create_task(flood[-1].turn())
        await asyncio.sleep(0)
        joined(concurrency, "a")
        with pytest.raises(Overloaded):
            await newest
        assert concurrency.waiting == {"flood": 3, "a": 1}
        joined(concurrency, "b")
        assert concurrency.waiting == {"flood": 2, "a": 1, "b": 1}
        with pytest.raises(Overloaded):
            concurrency.enter("flood")
        with pytest.raises(Overloaded):
            concurrency.enter("a")
        assert concurrency.waiting == {"flood": 2, "a": 1, "b": 1}, "a refused call changes nothing"

    asyncio.run(scenario())


def test_a_call_that_cannot_be_served_in_time_is_refused_at_once_with_an_honest_retry_after() -> None:
    async def scenario() -> None:
        concurrency, clock = full(total=2, wait_s=5.0)
        queue = [joined(concurrency, "a") for _ in range(10)]
        for _ in range(4):  # a place every second
            clock.now += 1.0
            concurrency.leave("first" if "first" in concurrency.inside else "a")
        assert sum(call.inside for call in queue) == 4
        with pytest.raises(Overloaded) as refused:
            concurrency.enter("a")  # the seventh in the queue: 7 s
        assert (refused.value.reason, refused.value.headers) == ("process_concurrency", (("Retry-After", "7"),))
        assert joined(concurrency, "b"), "another tenant is second in turn: 2 s"
        with pytest.raises(Overloaded) as refused:
            concurrency.enter("a")
        assert refused.value.headers == (("Retry-After", "8"),)

    asyncio.run(scenario())


def test_where_no_place_came_free_for_as_long_as_anybody_waits_nobody_is_let_wait() -> None:
    async def scenario() -> None:
        concurrency, clock = full(wait_s=5.0)
        clock.now += 4.9
        joined(concurrency, "a")
        clock.now += 0.1
        with pytest.raises(Overloaded) as refused:
            concurrency.enter("b")
        assert refused.value.headers == (("Retry-After", "5"),)
        concurrency.leave("first")
        assert joined(concurrency, "b"), "things move again"

    asyncio.run(scenario())


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=80))
def test_counts_hold_whatever_happens_in_whatever_order(total: int, per_tenant: int, waiting: int, steps: list[tuple[int, int]]) -> None:
    async def scenario() -> None:
        concurrency = Concurrency(total, per_tenant, waiting=waiting, wait_s=1e9, clock=Clock())
        inside: list[str] = []
        queue: list[Waiting] = []
        for what, which in steps:
            tenant = "abcdef"[which]
            if what == 0 and inside:
                concurrency.leave(inside.pop(which % len(inside)))
            elif what == 1 and queue:
                queue.pop(which % len(queue)).withdraw()
            else:
                try:
                    place = concurrency.enter(tenant)
                except Overloaded:
                    pass
                else:
                    queue.append(place) if place else inside.append(tenant)
            for place in [place for place in queue if place.granted.done()]:
                queue.remove(place)
                if place.inside:
                    inside.append(place.tenant_id)
                else:
                    assert isinstance(place.granted.exception(), Overloaded)
            assert concurrency.inside == dict(Counter(inside))
            assert concurrency.waiting == dict(Counter(place.tenant_id for place in queue))
            assert len(inside) <= total
            assert len(queue) <= waiting
            assert all(count <= per_tenant for count in (Counter(inside) + Counter(place.tenant_id for place in queue)).values())
            assert not queue or len(inside) == total, "nobody waits while there is room"

    asyncio.run(scenario())
