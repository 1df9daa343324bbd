"""Audited changes as rooms make them, from a process of their own."""

import random
from contextlib import suppress

from audit_keys import AUDIT_KEYS

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database, open_database

ALICE = Actor("os-user:alice", "cli")


class ComesToNothing(Exception):
    """Ends a transaction."""


def change(database: Database, writer: int, number: int, chance: random.Random) -> None:
    """A change as rooms make them: some take the revision's lock first, some later, some say two things."""
    with database.write() as session:
        if chance.random() < 0.5:
            hold_revision(session)
        record_audit(session, ALICE, "plan.edit", f"{writer}-{number}", after={"number": number})
        if chance.random() < 0.5:
            record_change(session, "plan", f"{writer}-{number}")
        if chance.random() < 0.2:
            record_audit(session, ALICE, "plan.edit", f"{writer}-{number}", {"again": True})


def write_from_a_process(url: str, writer: int, count: int) -> None:
    """Some of its changes come to nothing, and leave no row."""
    chance = random.Random(writer)
    database = open_database(url, AUDIT_KEYS)
    for number in range(count):
        if chance.random() < 0.1:
            with suppress(ComesToNothing), database.write() as session:
                record_audit(session, ALICE, "plan.edit", f"{writer}-failed-{number}")
                raise ComesToNothing
        change(database, writer, number, chance)
    database.close()
