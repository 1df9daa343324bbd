"""The pace of refusals: a few at once, then so many a second, callers in turn; who has gone takes none."""

import asyncio
import gc
import selectors
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from gatehouse.call import CONNECTION_KEY, SCOPE_KEY, Call
from gatehouse.errors import InvalidInput, NotFound, Problem, RateLimited
from gatehouse.middleware.refusal_pace import AT_ONCE, PACED, TOGETHER, WAITING, RefusalPace

T = TypeVar("T")
NEVER_S, SOON_S = 3600.0, 0.0005


class AtOnce(selectors.DefaultSelector):
    """Waits for nothing: what it should wait, the loop's clock has gone on by."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.waited_s += timeout or 0.0
        return super().select(0)


class OwnTime(asyncio.SelectorEventLoop):
    """Its clock stands still while anything runs: no stall of the machine lets a turn pass."""

    def __init__(self) -> None:
        self.selector = AtOnce()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.waited_s


def in_own_time(told: Coroutine[Any, Any, list[T]]) -> list[T]:
    with asyncio.Runner(loop_factory=OwnTime) as runner:
        return runner.run(told)


class Connection:
    told: Callable[[], None] | None = None

    def when_lost(self, told: Callable[[], None] | None) -> None:
        self.told = told


class Body:
    """What can be seen to have gone."""


def refusing(problem: type[Problem]) -> Any:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise problem("words")

    return app


def call(pace: RefusalPace, caller: str, connection: Connection | None = None) -> Awaitable[None]:
    scope = {"type": "http", SCOPE_KEY: Call("req_1", 0, address=caller)} | ({CONNECTION_KEY: connection} if connection else {})
    return pace(scope, None, None)  # type: ignore[arg-type]


def tasks(pace: RefusalPace, *callers: str) -> "list[asyncio.Task[None]]":
    return [asyncio.ensure_future(call(pace, caller)) for caller in callers]


async def settle() -> None:
    """All that can go on without waiting has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def drop(waiting: "list[asyncio.Task[None]]") -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("problem", PACED, ids=lambda p: p.code)
def test_beyond_what_passes_at_once_a_refusal_waits_for_its_turn(problem: type[Problem]) -> None:
    async def scenario() -> None:
        pace = RefusalPace(refusing(problem), NEVER_S)
        sent = tasks(pace, *["a"] * (AT_ONCE + 3))
        await settle()
        assert [task.done() for task in sent] == [True] * AT_ONCE + [False] * 3
        assert pace.waiting == 3
        await drop(sent)
        assert {type(task.exception()) for task in sent[:AT_ONCE]} == {problem}

    asyncio.run(scenario())


@pytest.mark.parametrize("problem", [InvalidInput, NotFound], ids=lambda p: p.code)
def test_what_no_limit_refuses_never_waits(problem: type[Problem]) -> None:
    async def scenario() -> None:
        pace = RefusalPace(refusing(problem), NEVER_S)
        outcomes = await asyncio.gather(*tasks(pace, *["a"] * (AT_ONCE * 3)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {problem}

    asyncio.run(scenario())


async def order_of(*callers: str) -> list[str]:
    return [caller for caller, _ in await refused(*callers)]


async def refused(*callers: str) -> list[tuple[str, float]]:
    """In which order, and how many seconds later, calls of these callers are refused that come at one moment when none passes at once."""
    order: list[tuple[str, float]] = []

    async def tell(caller: str) -> None:
        with pytest.raises(RateLimited):
            await call(pace, caller)
        order.append((caller, loop.time() - begun))

    pace, loop = RefusalPace(refusing(RateLimited), SOON_S), asyncio.get_running_loop()
    begun = 0.0
    await asyncio.gather(*(tell("at once") for _ in range(AT_ONCE)))
    order.clear()
    begun = loop.time()
    await asyncio.gather(*map(tell, callers))
    assert pace.waiting == 0
    assert not pace._turns
    return order


def test_callers_that_wait_take_turns() -> None:
    assert "".join(in_own_time(order_of(*"aaabbc"))) == "abcaba"


def test_each_that_waits_has_a_turns_time_though_many_are_refused_at_one_moment() -> None:
    later = [after for _, after in in_own_time(refused(*"ab" * TOGETHER, "c"))]
    assert later == pytest.approx([TOGETHER * SOON_S] * TOGETHER + [2 * TOGETHER * SOON_S] * TOGETHER + [3 * TOGETHER * SOON_S])


def test_a_caller_that_has_gone_takes_no_turn() -> None:
    async def scenario() -> None:
        pace = RefusalPace(refusing(RateLimited), NEVER_S)
        await asyncio.gather(*tasks(pace, *["a"] * AT_ONCE), return_exceptions=True)
        connections = [Connection(), Connection()]
        waiting = [asyncio.ensure_future(call(pace, "a", connection)) for connection in connections]
        await settle()
        assert connections[0].told is not None
        connections[0].told()
        await settle()
        assert [task.done() for task in waiting] == [True, False]
        assert connections[0].told is None
        pace._next(asyncio.get_running_loop())  # one turn: it goes to the one that is still there
        await settle()
        assert waiting[1].done()
        assert pace.waiting == 0
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(scenario())


def test_a_refusal_that_waits_holds_nothing_of_its_call() -> None:
    bodies: weakref.WeakSet[Body] = weakref.WeakSet()

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        body = Body()
        bodies.add(body)
        try:
            raise ValueError(body)
        except ValueError:
            raise RateLimited("words")  # noqa: B904  # its context leads to the body as well

    async def scenario() -> None:
        pace = RefusalPace(app, NEVER_S)
        sent = tasks(pace, *["a"] * (AT_ONCE + 3))
        await asyncio.gather(*sent[:AT_ONCE], return_exceptions=True)
        del sent[:AT_ONCE]
        await settle()
        assert pace.waiting == 3
        gc.collect()
        assert not bodies
        await drop(sent)

    asyncio.run(scenario())


def test_the_addresses_of_one_network_share_their_turns() -> None:
    order = in_own_time(order_of("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"))
    assert order == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def scenario() -> None:
        pace = RefusalPace(refusing(RateLimited), NEVER_S)
        sent = tasks(pace, *["a"] * (AT_ONCE + WAITING + 7))
        await settle()
        assert sum(task.done() for task in sent) == AT_ONCE + 7
        assert pace.waiting == WAITING
        await drop(sent)

    asyncio.run(scenario())


def test_after_a_while_without_refusals_a_few_pass_at_once_again() -> None:
    async def scenario() -> None:
        pace = RefusalPace(refusing(RateLimited), SOON_S)
        await asyncio.gather(*tasks(pace, *["a"] * (AT_ONCE + 5)), return_exceptions=True)
        pace._paid_until = 0.0  # as if long ago
        again = tasks(pace, *["a"] * AT_ONCE)
        await settle()
        assert all(task.done() for task in again)
        await asyncio.gather(*again, return_exceptions=True)

    asyncio.run(scenario())
