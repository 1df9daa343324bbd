"""The body limit: one cap for a call, one for all calls together, and what is held is given back."""

import asyncio
from typing import Any

import pytest

from gatehouse.call import SCOPE_KEY, Call
from gatehouse.errors import BodyTooLarge, ClientGone, Overloaded
from gatehouse.middleware.body_limit import BodyLimit
from gatehouse.principal import Plan, Principal, Rate

STANDARD = Plan("standard", Rate(50, 1, 200), Rate(1000, 1, 1000), 1000, "soft", 1000, 1000)


def call(limit_of: dict[str, BodyLimit], *parts: Any, tenant: str | None = None) -> tuple[Any, Call]:
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

    return limit_of["limit"]({"type": "http", "headers": [], SCOPE_KEY: own}, receive, send), own


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
