"""The body limit: one cap for a call, one for all calls together, and what is held is given back."""

import asyncio
from typing import Any

import pytest

from gatehouse.call import EXCHANGE_KEY, REFUSAL_KEY, SCOPE_KEY, Call
from gatehouse.errors import BodyTooLarge, ClientGone, MalformedRequest, Overloaded
from gatehouse.middleware.body_limit import BodyLimit
from gatehouse.principal import Plan, Principal, Rate

STANDARD = Plan("standard", Rate(50, 1, 200), Rate(1000, 1, 1000), 1000, "soft", 1000, 1000)


def call(
    limit_of: dict[str, BodyLimit], *parts: Any, tenant: str | None = None, exchange: Any = None, refusal: Any = None
) -> tuple[Any, Call]:
    """A call whose body comes in these parts (bytes, or a message)."""
    waiting = list(parts)
    own = Call(request_id="req_1", started_ns=0)
    if tenant is not None:
        own.principal = Principal(tenant, tenant, "key_1", frozenset(), STANDARD)

    async def receive() -> Any:
        part = waiting.pop(0)
        return part if isinstance(part, dict) else {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(_message: Any) -> None:
        return None

    scope = {"type": "http", "headers": [], SCOPE_KEY: own}
    scope |= {key: value for key, value in ((EXCHANGE_KEY, exchange), (REFUSAL_KEY, refusal)) if value is not None}
    return limit_of["limit"](scope, receive, send), own


def limited(app: Any, cap: int, all_bytes: int) -> dict[str, BodyLimit]:
    return {"limit": BodyLimit(app, lambda _call: cap, 5.0, all_bytes)}


async def read(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive()).get("more_body"):
        pass


def test_row_50_parts_are_counted_together() -> None:
    held = limited(read, 10, 1_000)
    running, own = call(held, b"12345", b"67890", b"!")
    with pytest.raises(BodyTooLarge):
        asyncio.run(running)
    assert own.body_pending
    assert held["limit"].held_bytes == 0


def test_bodies_of_all_calls_together_are_bounded_and_given_back() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        await read(scope, receive, send)
        entered.set()
        await leave.wait()

    async def scene() -> None:
        held = limited(hold, 100, 201)
        first = asyncio.create_task(call(held, b"x" * 100)[0])
        await entered.wait()
        assert held["limit"].held_bytes == 100
        with pytest.raises(Overloaded) as refused:
            await call(held, b"x" * 51)[0]
        assert dict(refused.value.headers)["Retry-After"] == "1"
        assert held["limit"].held_bytes == 100
        leave.set()
        await first
        assert held["limit"].held_bytes == 0
        await call(held, b"x" * 100)[0]

    asyncio.run(scene())


def test_a_caller_who_goes_away_gives_back_what_was_held() -> None:
    held = limited(read, 100, 150)
    running, _ = call(held, {"type": "http.request", "body": b"x" * 50, "more_body": True}, {"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        asyncio.run(running)
    assert held["limit"].held_bytes == 0


def test_a_tenant_holds_as_many_bytes_as_are_left_free_and_the_next_tenant_finds_room() -> None:
    leave = asyncio.Event()

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        await read(scope, receive, send)
        await leave.wait()

    async def scene() -> None:
        held = limited(hold, 100, 300)
        limit = held["limit"]

        async def holds(size: int, tenant: str) -> "asyncio.Task[None]":
            before = limit.held_bytes
            task = asyncio.create_task(call(held, b"x" * size, tenant=tenant)[0])
            while limit.held_bytes == before and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
            return task

        async def refused(size: int, tenant: str) -> None:
            running, own = call(held, b"x" * size, tenant=tenant)
            with pytest.raises(Overloaded) as caught:
                await asyncio.wait_for(running, 5)
            assert (caught.value.reason, own.body_pending) == ("body_bytes", True)

        tasks = [await holds(100, "flood"), await holds(50, "flood")]
        await refused(1, "flood")
        tasks.append(await holds(75, "second"))
        await refused(1, "second")
        tasks.append(await holds(37, "third"))
        assert limit.held_by == {"flood": 150, "second": 75, "third": 37}
        leave.set()
        await asyncio.gather(*tasks)
        assert (limit.held_by, limit.held_bytes) == ({}, 0)

    asyncio.run(scene())


class Come:
    """An exchange that says whether the whole body is here."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body
        self.more_body = body is None

    def take(self) -> bytes | None:
        return self.body


@pytest.mark.parametrize("declared", [0, 11], ids=["not declared", "declared"])
def test_row_50_a_body_that_is_here_is_held_to_the_same_bounds(declared: int) -> None:
    async def take(_scope: Any, receive: Any, _send: Any) -> None:
        receive.here()

    held = limited(take, 10, 1_000)
    running, own = call(held, exchange=Come(b"x" * 11))
    own.declared_bytes = declared
    with pytest.raises(BodyTooLarge):
        asyncio.run(running)
    assert own.body_pending == (not declared), "of one that was declared no byte was read"
    assert held["limit"].held_bytes == 0

    held = limited(take, 100, 10)
    running, own = call(held, exchange=Come(b"x" * 11), tenant="one")
    with pytest.raises(Overloaded):
        asyncio.run(running)
    assert (held["limit"].held_bytes, held["limit"].held_by) == (0, {})


def test_a_body_that_is_here_is_taken_once_and_counted_while_the_call_lasts() -> None:
    seen: list[Any] = []

    async def take(_scope: Any, receive: Any, _send: Any) -> None:
        seen.append((receive.here(), receive.here(), held["limit"].held_by.copy()))

    held = limited(take, 10, 1_000)
    running, own = call(held, exchange=Come(b"x" * 10), tenant="one")
    own.body_pending = True
    asyncio.run(running)
    assert seen == [(b"x" * 10, None, {"one": 10})]
    assert (own.bytes_in, own.body_pending, held["limit"].held_by) == (10, False, {})


@pytest.mark.parametrize("why", ["not all of it has come", "another server", "its framing is wrong"])
def test_a_body_that_is_not_here_or_not_right_is_received(why: str) -> None:
    seen: list[Any] = []

    async def take(_scope: Any, receive: Any, _send: Any) -> None:
        seen.append(receive.here())
        seen.append((await receive())["body"])

    held = limited(take, 10, 1_000)
    wrong = MalformedRequest("The body is not framed as its headers say.") if why == "its framing is wrong" else None
    running, own = call(held, b"abc", exchange=None if why == "another server" else Come(b"abc" if wrong else None), refusal=wrong)
    if wrong is None:
        asyncio.run(running)
    else:
        with pytest.raises(MalformedRequest):
            asyncio.run(running)
    assert seen == ([None] if wrong else [None, b"abc"])
    assert own.bytes_in == (0 if wrong else 3)
