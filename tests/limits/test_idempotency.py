"""Claims on the event loop: what becomes of one whose caller, server or database does not wait for it."""

import asyncio
import string
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from outage import database_away
from sqlmodel import select

from gatehouse.db.session import Database
from gatehouse.db.tables import IdempotencyClaimTable
from gatehouse.errors import IdempotencyInProgress, IdempotencyUnavailable, PredictionFailed, Problem
from gatehouse.limits.idempotency import Idempotency
from gatehouse.limits.idempotency_key import Digester
from gatehouse.limits.idempotency_store import Claim, IdempotencyStore, Standing
from gatehouse.limits.keyed_calls import KeyedCalls

Make = Callable[..., Idempotency]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def make(sqlite_database: Database, threads: ThreadPoolExecutor) -> Make:
    def idempotency(deadline_s: float = 5.0) -> Idempotency:
        calls = KeyedCalls()
        store = IdempotencyStore(sqlite_database, "p1", calls, timedelta(minutes=2))
        ids = iter(string.ascii_letters)
        return Idempotency(store, calls, Digester(b"s"), threads, lambda: next(ids), deadline_s=deadline_s)

    return idempotency


async def claim(idempotency: Idempotency) -> Claim:
    return await idempotency.claim("t1", "iris/v1", "key", [b"{}"], "1.0.0")


async def answered(idempotency: Idempotency, outcome: type[BaseException] | None = None) -> Claim:
    """Claim, and end so."""
    claimed = await claim(idempotency)
    async with idempotency.holding(claimed):
        if outcome:
            raise outcome
    return claimed


def claims(database: Database) -> list[str | None]:
    """Who has each."""
    with database.read() as session:
        return list(session.exec(select(IdempotencyClaimTable.process_id)))


def test_an_answered_call_is_replayed_and_counted_as_such(make: Make) -> None:
    idempotency = make()

    async def calls() -> list[Standing]:
        return [(await answered(idempotency)).standing for _ in range(3)]

    assert asyncio.run(calls()) == [Standing.FIRST, Standing.REPLAYED, Standing.REPLAYED]
    assert idempotency.replayed == 2


@pytest.mark.parametrize("outcome", [PredictionFailed, ValueError])
def test_a_call_that_fails_has_given_its_claim_back_before_it_is_answered(
    make: Make, sqlite_database: Database, outcome: type[Exception]
) -> None:
    idempotency = make()

    async def calls() -> None:
        with pytest.raises(outcome):
            await answered(idempotency, outcome)
        assert claims(sqlite_database) == []
        first = await answered(idempotency)
        assert (first.standing, first.event_id) == (Standing.FIRST, "b")
        with pytest.raises(outcome):
            await answered(idempotency, outcome)
        assert (await answered(idempotency)).standing is Standing.REPLAYED

    asyncio.run(calls())
    assert idempotency.replayed == 1


def test_a_call_that_ends_with_the_server_leaves_its_claim_for_its_event_to_decide(make: Make, sqlite_database: Database) -> None:
    idempotency = make()

    async def calls() -> None:
        with pytest.raises(asyncio.CancelledError):
            await answered(idempotency, asyncio.CancelledError)
        again = await answered(idempotency)
        assert (again.standing, again.event_id) == (Standing.RETAKEN, "a")

    asyncio.run(calls())
    assert claims(sqlite_database) == ["p1"]


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_claim_for_which_nobody_waited_is_given_back(make: Make, threads: ThreadPoolExecutor, cancelled: bool) -> None:
    idempotency, go_on = make(5.0 if cancelled else 0.2), threading.Event()

    async def calls() -> Claim:
        threads.submit(go_on.wait, 20)  # the only thread: the claim waits behind it
        claiming = asyncio.ensure_future(claim(idempotency))
        await asyncio.sleep(0)
        if cancelled:
            claiming.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else IdempotencyUnavailable):
            await claiming
        go_on.set()
        while True:
            try:
                return await claim(idempotency)
            except (IdempotencyInProgress, IdempotencyUnavailable):
                await asyncio.sleep(0.001)

    again = asyncio.run(asyncio.wait_for(calls(), 20))
    assert (again.standing, again.event_id != "a") == (Standing.FIRST, True)


def test_without_the_database_a_claim_is_503_and_one_that_cannot_be_given_back_is_taken_over(
    make: Make, sqlite_database: Database, tmp_path: Path
) -> None:
    idempotency, url = make(), f"sqlite:///{tmp_path / 'gatehouse.db'}"

    async def calls() -> None:
        with database_away(sqlite_database, url):
            with pytest.raises(IdempotencyUnavailable) as refusal:
                await claim(idempotency)
            assert dict(refusal.value.headers) == {"Retry-After": "1"}
        first = await claim(idempotency)
        with database_away(sqlite_database, url), pytest.raises(Problem):
            async with idempotency.holding(first):
                raise PredictionFailed()
        again = await claim(idempotency)
        assert (again.standing, again.event_id) == (Standing.RETAKEN, first.event_id)

    asyncio.run(calls())
