"""From the announcement to the target and what is known of it afterwards, on both databases, with a real target."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from sqlmodel import select
from target_server import TargetServer, signed_by, target_server

from gatehouse.db.audit import Actor
from gatehouse.db.clock import database_now
from gatehouse.db.outbox import announce
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable, NoticeTable, NoticeTargetTable, TenantTable
from gatehouse.errors import Refused
from gatehouse.identity.sealing import Seal, readable
from gatehouse.notices import history, targets
from gatehouse.notices.schedule import TRIED_FOR
from gatehouse.notices.sender import UNREADABLE, Sender
from gatehouse.notices.store import Backlog, DeliveryStore, Notice, Outcome, list_notices
from gatehouse.notices.target_store import Target, list_targets

ACTOR = Actor("os-user:test", "cli")
LOOPBACK = (ip_network("127.0.0.1/32"),)
SEAL = Seal(b"cZ8vNq2xLw7RtB4mYp1KsJ6hGd3fAe9U")


class Partners:
    """Tenants, their targets and notices, as the commands and the other rooms make them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def tenant(self, name: str, port: int | None) -> str:
        """Its secret, where it has a target."""
        with self.database.write() as session:
            session.add(TenantTable(id=f"tnt_{name}", name=name, plan="standard", created_at=database_now(session)))
        return self.target(name, port) if port else ""

    def target(self, name: str, port: int) -> str:
        with self.database.write() as session:
            _, secret = targets.create_target(session, ACTOR, f"tnt_{name}", name, f"http://127.0.0.1:{port}/{name}", LOOPBACK, SEAL)
        return secret

    def tell(self, name: str = "acme", threshold: str = "80", event: str = "2026-11 of 1000") -> bool:
        with self.database.write() as session:
            return announce(session, f"tnt_{name}", "quota.reached", event, threshold, {"percent": int(threshold)})

    def notices(self) -> list[Notice]:
        with self.database.read() as session:
            return list_notices(session, None, 100)

    def notice(self) -> Notice:
        (notice,) = self.notices()
        return notice

    def the_target(self) -> Target:
        with self.database.read() as session:
            return list_targets(session)[0]

    def change(self, table: type, **columns: Any) -> None:
        """What only time would do."""
        with self.database.write() as session:
            for row in session.exec(select(table)):
                for name, value in columns.items():
                    setattr(row, name, value(database_now(session)) if callable(value) else value)

    def due_now(self) -> None:
        self.change(NoticeTable, due_at=lambda now: now)


@pytest.fixture
def partners(database: Database) -> Partners:
    return Partners(database)


@pytest.fixture
def server() -> Iterator[TargetServer]:
    with target_server() as running:
        yield running


@pytest.fixture
def make_sender(database: Database) -> Iterator[Callable[..., Sender]]:
    made: list[Sender] = []

    def make(secret: Seal = SEAL) -> Sender:
        made.append(Sender(DeliveryStore(database), lambda name, sealed: readable(secret, name, sealed), LOOPBACK, tick_s=0.05))
        return made[-1]

    yield make
    for sender in made:
        sender.stop()


def send(*senders: Sender) -> None:
    """What is due now, by all of them at once."""

    async def one(sender: Sender) -> None:
        await sender.round()
        await sender.finish()

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, senders))

    asyncio.run(all_of_them())


def test_a_notice_is_made_once_for_each_event_and_threshold_and_taken_signed(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    secret = partners.tenant("acme", server.port)
    partners.tenant("other", None)
    assert [partners.tell(), partners.tell(), partners.tell(threshold="100"), partners.tell("other")] == [True, False, True, True]
    assert partners.tell(event="2026-11 of 2000")
    sender = make_sender()
    for _ in range(4):
        send(sender)
    assert sorted((json.loads(each.body)["data"]["percent"], each.path) for each in server.taken) == [
        (80, "/acme"),
        (80, "/acme"),
        (100, "/acme"),
    ]
    assert len({each.headers["webhook-id"] for each in server.taken}) == 3
    for taken in server.taken:
        assert signed_by(secret, taken)
        body = json.loads(taken.body)
        assert (set(body), body["type"], body["timestamp"][-1]) == ({"type", "timestamp", "data"}, "quota.reached", "Z")
    assert sorted(each.state for each in partners.notices()) == ["delivered"] * 3 + ["no target"]
    assert (sender.delivered, sender.failed, sender.given_up) == (3, 0, 0)


def test_what_is_rolled_back_is_not_told(partners: Partners) -> None:
    partners.tenant("acme", None)
    with partners.database.write() as session:
        announce(session, "tnt_acme", "quota.reached", "e", "80", {})
        session.rollback()
    assert partners.notices() == []


def test_a_failure_is_tried_again_with_the_same_id_and_body(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    partners.tenant("acme", server.port)
    partners.tell()
    server.statuses = [500, 302]
    sender = make_sender()
    send(sender)
    waiting = partners.notice()
    assert (waiting.state, waiting.attempts, waiting.last_outcome) == ("retrying", 1, "500")
    assert waiting.due_at is not None
    assert waiting.last_attempt_at is not None
    assert timedelta(seconds=3) < waiting.due_at - waiting.last_attempt_at < timedelta(seconds=20)
    send(sender)  # not due yet
    assert len(server.taken) == 1
    partners.due_now()
    send(sender)
    assert partners.notice().last_outcome == "302, a redirect, which is never followed"
    partners.due_now()
    send(sender)
    assert (partners.notice().state, partners.notice().attempts) == ("delivered", 3)
    assert len({(each.headers["webhook-id"], each.body) for each in server.taken}) == 1
    assert (sender.delivered, sender.failed) == (1, 2)


def test_three_days_of_failures_give_up_and_mark_the_target_until_one_arrives(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    partners.tenant("acme", server.port)
    partners.tell()
    server.statuses = [500, 503]
    sender = make_sender()
    send(sender)
    assert partners.the_target().failing_since is None
    partners.change(NoticeTable, started_at=lambda now: now - TRIED_FOR, due_at=lambda now: now)
    send(sender)
    assert (partners.notice().state, partners.notice().due_at, sender.given_up) == ("given up", None, 1)
    assert (partners.the_target().failing_reason, partners.the_target().gone) == ("503", False)
    partners.tell(threshold="100")
    send(make_sender())
    assert partners.the_target().failing_since is None
    assert sorted(each.state for each in partners.notices()) == ["delivered", "given up"]


def test_410_stops_all_until_the_target_is_changed(partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]) -> None:
    partners.tenant("acme", server.port)
    partners.tell()
    server.statuses = [410]
    sender = make_sender()
    send(sender)
    partners.tell(threshold="100")
    partners.due_now()
    send(sender)
    assert len(server.taken) == 1
    assert {each.state for each in partners.notices()} == {"stopped"}
    assert (partners.the_target().gone, partners.the_target().failing_reason) == (True, "410")
    with partners.database.write() as session, pytest.raises(Refused, match="notice-targets edit acme"):
        history.replay(session, ACTOR, partners.notices()[0].id)
    with partners.database.write() as session:
        targets.edit_target(session, ACTOR, "tnt_acme", "acme", f"http://127.0.0.1:{server.port}/new", LOOPBACK)
    send(sender)
    send(sender)
    assert [each.path for each in server.taken] == ["/acme", "/new", "/new"]
    assert {each.state for each in partners.notices()} == {"delivered"}


def test_a_process_that_dies_between_sending_and_recording_sends_at_least_once(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    partners.tenant("acme", server.port)
    partners.tell()

    class Killed(DeliveryStore):
        def settle(self, *_: object) -> None:
            """As far as the database knows, the process is gone."""

    dying = make_sender()
    dying._store = Killed(partners.database)
    send(dying)
    other = make_sender()
    send(other)
    assert len(server.taken) == 1  # its lease holds
    partners.change(NoticeTargetTable, lease_ends_at=lambda now: now)
    send(other)
    assert [each.headers["webhook-id"] for each in server.taken] == [partners.notice().id] * 2
    assert (partners.notice().state, partners.notice().attempts) == ("delivered", 2)


def test_two_processes_never_make_the_same_attempt_at_once(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    for number in range(6):
        partners.tenant(f"t{number}", server.port)
        partners.tell(f"t{number}")
    stores = [DeliveryStore(partners.database) for _ in range(2)]
    start = threading.Barrier(2)

    def claims(store: DeliveryStore) -> list[str]:
        start.wait()
        return [each.notice_id for _ in range(4) for each in store.claim(2)]

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(claims, stores)
    assert sorted(one + other) == sorted(each.id for each in partners.notices())
    assert {each.attempts for each in partners.notices()} == {1}


def test_what_an_attempt_says_after_its_lease_is_of_no_account_unless_it_arrived(partners: Partners) -> None:
    partners.tenant("acme", 1)
    partners.tell()
    store = DeliveryStore(partners.database)
    (late,) = store.claim(1)
    partners.change(NoticeTargetTable, lease_ends_at=lambda now: now)
    (mine,) = store.claim(1)
    store.settle(late, Outcome(False, "410", gone=True), 0.5)
    assert (partners.the_target().gone, partners.notice().last_outcome, store.claim(1)) == (False, None, [])
    store.settle(late, Outcome(True, "204"), 0.5)
    assert partners.notice().state == "delivered"
    store.settle(mine, Outcome(True, "204"), 0.5)
    assert partners.notice().due_at is None


def test_a_target_that_hangs_delays_no_other_and_gets_one_at_a_time(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    with target_server() as slow:
        slow.holding.clear()
        partners.tenant("slow", slow.port)
        partners.tenant("acme", server.port)
        for threshold in ("80", "100"):
            partners.tell("slow", threshold)
        sender = make_sender()
        sender.start()
        slow.wait()
        for threshold in ("80", "100"):
            partners.tell("acme", threshold)
        server.wait()
        server.wait()
        assert (len(server.taken), len(slow.taken)) == (2, 1)
        slow.holding.set()
        slow.wait()
        sender.stop()
    assert {each.state for each in partners.notices()} == {"delivered"}


def test_a_rotated_secret_and_the_one_before_both_verify_until_the_grace_ends(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    before = partners.tenant("acme", server.port)
    with partners.database.write() as session:
        now, until = targets.rotate_secret(session, ACTOR, "tnt_acme", "acme", timedelta(hours=24), SEAL)
        assert until is not None
    partners.tell()
    send(make_sender())
    assert [signed_by(each, server.taken[0]) for each in (now, before)] == [True, True]
    partners.change(NoticeTargetTable, previous_until=lambda now: now)
    partners.tell(threshold="100")
    send(make_sender())
    assert [signed_by(each, server.taken[1]) for each in (now, before)] == [True, False]
    with partners.database.read() as session:
        audited = " ".join(f"{row.subject} {row.detail}" for row in session.exec(select(AuditTable)))
    assert not any(each[6:] in audited for each in (now, before))


def test_a_secret_of_another_deployment_sends_nothing_and_a_resealed_one_does(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    secret = partners.tenant("acme", server.port)
    new, both = Seal(b"n" * 32), Seal(b"n" * 32, b"cZ8vNq2xLw7RtB4mYp1KsJ6hGd3fAe9U")
    partners.tell()
    send(make_sender(new))
    assert (server.taken, partners.notice().last_outcome) == ([], UNREADABLE)
    with partners.database.write() as session:
        assert targets.reseal_targets(session, ACTOR, both) == ["acme"]
        assert targets.reseal_targets(session, ACTOR, both) == []
    partners.due_now()
    send(make_sender(new))
    assert signed_by(secret, server.taken[0])


def test_a_target_that_comes_later_gets_what_is_not_older_than_three_days(
    partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]
) -> None:
    partners.tenant("acme", None)
    partners.tell(threshold="80")
    partners.change(NoticeTable, due_at=lambda now: now - TRIED_FOR - timedelta(seconds=1))
    partners.tell(threshold="100")
    partners.target("acme", server.port)
    for _ in range(2):
        send(make_sender())
    assert [json.loads(each.body)["data"]["percent"] for each in server.taken] == [100]
    assert sorted((each.threshold, each.state) for each in partners.notices()) == [("100", "delivered"), ("80", "given up")]


def test_a_replay_sends_the_same_notice_again(partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]) -> None:
    partners.tenant("acme", server.port)
    partners.tell()
    send(make_sender())
    with partners.database.write() as session:
        assert history.replay(session, ACTOR, partners.notice().id).state == "waiting"
        with pytest.raises(Refused, match="gatehouse notices list"):
            history.replay(session, ACTOR, "ntc_none")
    send(make_sender())
    assert len({(each.headers["webhook-id"], each.body) for each in server.taken}) == 1
    assert (len(server.taken), partners.notice().state) == (2, "delivered")


def test_the_backlog_counts_what_has_a_target(partners: Partners, server: TargetServer, make_sender: Callable[..., Sender]) -> None:
    partners.tenant("acme", server.port)
    partners.tenant("other", None)
    partners.tell("other")
    partners.tell()
    server.statuses = [410]
    sender = make_sender()
    send(sender)
    assert DeliveryStore(partners.database).backlog() == Backlog(waiting=1, failing=1)
