"""Claims of Idempotency-Keys, on SQLite and on PostgreSQL: who is first, who repeats, and what becomes of those who were killed."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from sqlmodel import select, update

from gatehouse.db.session import Database
from gatehouse.db.tables import IdempotencyClaimTable, ProcessTable, UsageEventTable
from gatehouse.errors import IdempotencyInProgress, IdempotencyKeyReused
from gatehouse.limits.idempotency import BATCHES_A_ROUND, PRUNED_AT_ONCE, Idempotency
from gatehouse.limits.idempotency_key import Digester, Digests
from gatehouse.limits.idempotency_store import Claim, IdempotencyStore, Keyed, Standing
from gatehouse.limits.keyed_calls import KeyedCalls

LEASE = timedelta(minutes=2)
DIGESTER = Digester(b"s" * 32)
numbers = itertools.count()


class Server:
    """One process's claims. `beats` writes the row that tells that it is alive."""

    def __init__(self, database: Database, id: str, *, beats: bool = True) -> None:
        self.calls = KeyedCalls()
        self.store = IdempotencyStore(database, id, self.calls, LEASE)
        self.database = database
        if beats:
            now = datetime.now(UTC)
            with database.write() as session:
                session.add(ProcessTable(id=id, host="h", pid=1, started_at=now, last_seen_at=now, revision_seen=0))

    def claim(self, key: str = "a", body: bytes = b"{}", version: str = "1.0.0", digester: Digester = DIGESTER) -> Claim:
        digests = digester.digests("t1", "iris/v1", key, [body])
        return self.store.claim(Keyed(digests, "t1", "iris/v1", version, f"event-{next(numbers)}"))

    def find(self, key: str = "a", body: bytes = b"{}") -> Claim | None:
        return self.store.find(DIGESTER.digests("t1", "iris/v1", key, [body]))

    def answer(self, claim: Claim, *, drained: bool = True) -> None:
        self.calls.end(claim.event_id, answered=True)
        if drained:
            record(self.database, claim.event_id)

    def fail(self, claim: Claim) -> None:
        self.store.release(claim)
        self.calls.end(claim.event_id, answered=False)


def row_of(digests: Digests) -> dict[str, Any]:
    texts = dict.fromkeys(("tenant_id", "endpoint", "model_version", "event_id", "process_id"), "x")
    return {"key_digest": digests.key, "body_digest": digests.body, "claimed_at": datetime.now(UTC), **texts}


def record(database: Database, event_id: str) -> None:
    texts = dict.fromkeys(("process_id", "tenant_id", "key_id", "model", "api_version", "model_version", "engine", "request_id"), "x")
    counts = dict.fromkeys(("at_us", "rows", "latency_us", "bytes_in", "bytes_out"), 1)
    with database.write() as session:
        session.execute(insert(UsageEventTable).values(id=event_id, month="2026-11", status=200, **texts, **counts))


def age(database: Database, by: timedelta, table: Any = IdempotencyClaimTable, column: str = "claimed_at") -> None:
    with database.write() as session:
        session.execute(update(table).values({column: datetime.now(UTC) - by}))


@pytest.fixture
def server(database: Database) -> Callable[..., Server]:
    return lambda id="p1", **more: Server(database, id, **more)


def test_the_first_call_claims_and_a_repeat_is_under_way_until_it_is_answered_and_then_a_replay(server: Any) -> None:
    one, other = server("p1"), server("p2")
    first = one.claim()
    assert (first.standing, first.model_version) == (Standing.FIRST, "1.0.0")
    for process in (one, other):
        with pytest.raises(IdempotencyInProgress):
            process.claim(version="1.1.0")
        with pytest.raises(IdempotencyInProgress):
            process.find()
    one.answer(first, drained=False)
    assert one.claim(version="1.1.0") == Claim(Standing.REPLAYED, first.key_digest, "1.0.0", first.event_id)
    with pytest.raises(IdempotencyInProgress):
        other.claim()  # for it there is no event yet
    record(one.database, first.event_id)
    assert other.claim(version="1.1.0").standing is other.find().standing is Standing.REPLAYED
    assert not one.calls.is_under_way(first.event_id)


def test_another_body_is_refused_also_while_the_first_call_is_under_way(server: Any) -> None:
    one = server()
    first = one.claim()
    for _ in ("under way", "answered"):
        with pytest.raises(IdempotencyKeyReused):
            one.claim(body=b"[]")
        with pytest.raises(IdempotencyKeyReused):
            one.find(body=b"[]")
        one.answer(first, drained=False)
    assert one.claim("b", body=b"[]").standing is Standing.FIRST
    assert one.find("c") is None


def test_a_first_call_that_failed_leaves_nothing(server: Any) -> None:
    one, other = server("p1"), server("p2")
    first = one.claim()
    one.fail(first)
    again = other.claim(body=b"[]", version="1.1.0")
    assert (again.standing, again.model_version, again.event_id != first.event_id) == (Standing.FIRST, "1.1.0", True)


def test_the_key_of_a_process_that_died_is_retaken_with_its_event(database: Database, server: Any) -> None:
    dead, one, other = server("dead"), server("p1"), server("p2")
    first = dead.claim()
    age(database, timedelta(seconds=14), ProcessTable, "last_seen_at")
    with pytest.raises(IdempotencyInProgress):
        one.claim()
    age(database, timedelta(seconds=20), ProcessTable, "last_seen_at")
    retaken = one.claim(version="1.1.0")
    assert retaken == Claim(Standing.RETAKEN, first.key_digest, "1.0.0", first.event_id)
    one.fail(retaken)  # what the dead one has spooled may still come in: the event stays the same
    assert other.claim(version="1.1.0") == retaken
    with pytest.raises(IdempotencyInProgress):
        other.claim()
    other.answer(retaken)
    assert one.claim().standing is Standing.REPLAYED


def test_what_a_dead_process_answered_is_a_replay_once_its_spool_is_in(database: Database, server: Any) -> None:
    dead, one = server("dead"), server("p1")
    first = dead.claim()
    record(database, first.event_id)
    assert one.claim().standing is Standing.REPLAYED


def test_a_process_without_a_row_and_a_call_past_every_deadline_hold_nobody_up(database: Database, server: Any) -> None:
    gone, stuck, one = server("gone", beats=False), server("stuck"), server("p1")
    gone.claim("a")
    slow = stuck.claim("b")
    assert one.claim("a").standing is Standing.RETAKEN
    with pytest.raises(IdempotencyInProgress):
        one.claim("b")
    age(database, LEASE + timedelta(seconds=1))
    assert one.claim("b").standing is Standing.RETAKEN
    stuck.fail(slow)  # which is another's by now
    with pytest.raises(IdempotencyInProgress):
        one.claim("b")


def test_a_process_knows_of_its_own_calls_that_failed_while_the_database_was_away(server: Any) -> None:
    one = server()
    first = one.claim()
    one.calls.end(first.event_id, answered=False)
    assert one.claim() == Claim(Standing.RETAKEN, first.key_digest, "1.0.0", first.event_id)


def test_after_a_day_the_key_is_new_and_claims_are_pruned_in_batches(database: Database, server: Any) -> None:
    one = server()
    one.answer(one.claim())
    age(database, timedelta(hours=23, minutes=59))
    assert one.claim().standing is Standing.REPLAYED
    assert one.store.prune(10) == 0
    age(database, timedelta(hours=24))
    assert one.find() is None
    assert one.claim(body=b"[]", version="2.0.0").standing is Standing.FIRST
    for number in range(7):
        one.claim(f"old-{number}")
    age(database, timedelta(hours=24))
    one.claim("new")
    assert [one.store.prune(3) for _ in range(4)] == [3, 3, 2, 0]
    with database.read() as session:
        assert len(session.exec(select(IdempotencyClaimTable)).all()) == 1


def test_one_round_of_pruning_takes_as_much_as_is_over_and_then_ends(database: Database, server: Any) -> None:
    one = server()
    old, more = datetime.now(UTC) - timedelta(days=2), PRUNED_AT_ONCE + 3
    rows = [
        {"key_digest": number.to_bytes(32, "big"), "body_digest": b"b", "tenant_id": "t", "endpoint": "iris/v1"}
        | {"model_version": "1.0.0", "event_id": "e", "process_id": None, "claimed_at": old}
        for number in range(more)
    ]
    with database.write() as session:
        session.execute(insert(IdempotencyClaimTable), rows)
    with ThreadPoolExecutor(1) as threads:
        Idempotency(one.store, one.calls, DIGESTER, threads, lambda: "e").prune()
    assert more < PRUNED_AT_ONCE * BATCHES_A_ROUND
    with database.read() as session:
        assert session.exec(select(IdempotencyClaimTable)).all() == []


def test_claims_under_the_secret_before_are_known_while_it_is_given(server: Any) -> None:
    one, new = server(), Digester(b"n" * 32, b"s" * 32)
    one.answer(one.claim("a"))
    assert one.claim("a", digester=new).standing is Standing.REPLAYED
    assert one.claim("b", digester=new).standing is Standing.FIRST
    assert one.claim("a", digester=Digester(b"n" * 32)).standing is Standing.FIRST


def test_of_many_at_once_one_is_first(database: Database, server: Any) -> None:
    servers, start = [server(f"p{number}") for number in range(4)], threading.Barrier(16)

    def claim(number: int) -> Standing | None:
        start.wait(30)
        try:
            standing: Standing = servers[number % 4].claim().standing
        except IdempotencyInProgress:
            return None
        return standing

    with ThreadPoolExecutor(16) as threads:
        assert sorted(map(str, threads.map(claim, range(16)))) == ["None"] * 15 + ["Standing.FIRST"]


def test_answered_calls_are_forgotten_when_many_more_have_come() -> None:
    calls = KeyedCalls(kept=2)
    for event_id in "abc":
        calls.begin(event_id)
        calls.end(event_id, answered=True)
    assert [calls.was_answered(event_id) for event_id in "abc"] == [False, True, True]


def test_a_process_that_stands_still_in_a_claim_holds_up_nobody_else(postgresql_database: Database) -> None:
    one, other = Server(postgresql_database, "p1"), Server(postgresql_database, "p2")
    first = one.claim()
    with ThreadPoolExecutor(4) as threads, postgresql_database.write() as still:  # it has the row of "a", and has inserted that of "b"
        still.execute(select(IdempotencyClaimTable).with_for_update())
        still.execute(insert(IdempotencyClaimTable).values(**row_of(DIGESTER.digests("t1", "iris/v1", "b", [b"{}"])[0])))
        waiting = [threads.submit(call) for call in (other.claim, other.find, lambda: other.claim("b"), lambda: one.store.release(first))]
        assert [type(call.exception(10)) for call in waiting] == [IdempotencyInProgress] * 3 + [OperationalError]
        assert other.claim("c").standing is Standing.FIRST
    one.answer(first)
    assert other.claim().replayed
