"""From when on a person's tokens are good: whatever takes something from a person ends those that were got before."""

from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from gatehouse.db.clock import database_now
from gatehouse.identity.person_store import Person
from gatehouse.identity.tokens import dated_from


def cut_off(session: Session, person: Person) -> datetime:
    """Now, by the clock that all share; in a later second than the cut-off before, whose tokens are told apart by their second."""
    now, before = database_now(session), person.tokens_from
    return now if before is None else max(now, datetime.fromtimestamp(dated_from(before), UTC) + timedelta(milliseconds=1))
