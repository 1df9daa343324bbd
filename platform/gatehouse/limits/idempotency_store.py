"""Claims of Idempotency-Keys in the database. That a call was answered is told by its usage event, so no second write says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from gatehouse.db.clock import database_now
from gatehouse.db.locks import bound_lock_waits, waited_too_long
from gatehouse.db.session import Database
from gatehouse.db.tables import IdempotencyClaimTable, ProcessTable, UsageEventTable
from gatehouse.errors import IdempotencyInProgress, IdempotencyKeyReused
from gatehouse.limits.idempotency_key import Digests
from gatehouse.limits.keyed_calls import KeyedCalls
from gatehouse.limits.store import SEEN

CLAIMS: Table = IdempotencyClaimTable.__table__  # type: ignore[attr-defined]
EVENTS: Table = UsageEventTable.__table__  # type: ignore[attr-defined]
PROCESSES: Table = ProcessTable.__table__  # type: ignore[attr-defined]
C = TypeVar("C", bound="Claim | None")
LIFE = timedelta(hours=24)
"""So long after its claim a key is known."""
RETRY_AFTER_S = "1"
LOCK_WAIT_MS = 500
"""For a transaction of another call with the same key. One that takes longer stands still, and all other claims would wait behind it."""


class Standing(Enum):
    """What a call with an Idempotency-Key is."""

    FIRST = "first"
    RETAKEN = "retaken"
    """A repeat of a call that ended without being answered, as far as is known. If it was all the same, both are one event."""
    REPLAYED = "replayed"
    """A repeat of a call that was answered: metered already."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A call that carries an Idempotency-Key, as it would stand if it is the first one."""

    digests: Sequence[Digests]
    """Under the current secret, then under others that are still known."""
    tenant_id: str
    endpoint: str
    model_version: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has claimed a key: `model_version` and `event_id` are those of its first call."""

    standing: Standing
    key_digest: bytes
    model_version: str
    event_id: str

    @property
    def replayed(self) -> bool:
        """Whether the call is metered already."""
        return self.standing is Standing.REPLAYED


class IdempotencyStore:
    """The idempotency_claim table. A claim whose process is gone, or is older than `lease`, can be retaken unless it was answered."""

    def __init__(self, database: Database, process_id: str, calls: KeyedCalls, lease: timedelta) -> None:
        self._database = database
        self._process_id = process_id
        self._calls = calls
        self._lease = lease

    def claim(self, call: Keyed) -> Claim:
        """Claim the key for this call, or find out of which one it is a repeat. It is then under way, unless it is a replay.

        Raises IdempotencyInProgress, IdempotencyKeyReused.
        """
        return self._committed(lambda session, now: self._claim(session, call, now))

    def find(self, digests: Sequence[Digests]) -> Claim | None:
        """The same of a repeat; None for a first call, which claims nothing."""
        return self._committed(lambda session, now: self._known(session, digests, now))

    def _committed(self, work: Callable[[Session, datetime], C]) -> C:
        claim: C | None = None
        try:
            with self._database.write() as session:
                bound_lock_waits(session, LOCK_WAIT_MS)
                claim = work(session, database_now(session))
        except BaseException as error:
            if claim is not None:
                self._calls.end(claim.event_id, answered=False)
            if waited_too_long(error):
                raise _in_progress() from error
            raise
        return claim

    def _claim(self, session: Session, call: Keyed, now: datetime) -> Claim:
        current, *older = call.digests
        while True:  # once more where the claim that was in the way has just been released
            claim = self._known(session, older, now)
            if claim is None and self._insert(session, call, now):
                return self._begun(Standing.FIRST, current.key, call.model_version, call.event_id)
            claim = claim or self._known(session, [current], now)
            if claim is not None:
                return claim
            session.execute(delete(CLAIMS).where(CLAIMS.c.key_digest == current.key, CLAIMS.c.claimed_at <= now - LIFE))

    def _known(self, session: Session, digests: Sequence[Digests], now: datetime) -> Claim | None:
        for each in digests:
            statement = select(CLAIMS).where(CLAIMS.c.key_digest == each.key, CLAIMS.c.claimed_at > now - LIFE)
            row = session.execute(statement.with_for_update()).mappings().first()
            if row is not None:
                return self._repeat(session, each, row, now)
        return None

    def _insert(self, session: Session, call: Keyed, now: datetime) -> bool:
        dialect = postgresql if self._database.dialect == "postgresql" else sqlite
        statement = dialect.insert(CLAIMS).values(
            key_digest=call.digests[0].key,
            body_digest=call.digests[0].body,
            tenant_id=call.tenant_id,
            endpoint=call.endpoint,
            model_version=call.model_version,
            event_id=call.event_id,
            process_id=self._process_id,
            claimed_at=now,
        )
        added = session.execute(statement.on_conflict_do_nothing().returning(CLAIMS.c.event_id))
        return added.first() is not None

    def _repeat(self, session: Session, digests: Digests, row: Mapping[Any, Any], now: datetime) -> Claim:
        if row["body_digest"] != digests.body:
            raise IdempotencyKeyReused()
        if self._is_answered(session, row, now):
            return Claim(Standing.REPLAYED, digests.key, row["model_version"], row["event_id"])
        session.execute(update(CLAIMS).where(CLAIMS.c.key_digest == digests.key).values(process_id=self._process_id, claimed_at=now))
        return self._begun(Standing.RETAKEN, digests.key, row["model_version"], row["event_id"])

    def _is_answered(self, session: Session, row: Mapping[Any, Any], now: datetime) -> bool:
        """Raises IdempotencyInProgress where that will only be known later."""
        event_id, owner = row["event_id"], row["process_id"]
        if self._calls.is_under_way(event_id):
            raise _in_progress()
        if self._calls.was_answered(event_id) or session.execute(select(EVENTS.c.id).where(EVENTS.c.id == event_id)).first():
            return True
        if owner not in (None, self._process_id) and self._may_go_on(session, owner, row["claimed_at"], now):
            raise _in_progress()
        return False

    def _may_go_on(self, session: Session, owner: str, claimed_at: datetime, now: datetime) -> bool:
        if claimed_at <= now - self._lease:
            return False
        seen = (PROCESSES.c.id == owner, PROCESSES.c.last_seen_at > now - SEEN)
        return session.execute(select(PROCESSES.c.id).where(*seen)).first() is not None

    def _begun(self, standing: Standing, key_digest: bytes, model_version: str, event_id: str) -> Claim:
        # before the commit, after which another thread may meet this claim
        self._calls.begin(event_id)
        return Claim(standing, key_digest, model_version, event_id)

    def release(self, claim: Claim) -> None:
        """The call has failed. A first one leaves nothing; of one that was retaken an event may still come in, so its id stays."""
        same = (CLAIMS.c.key_digest == claim.key_digest, CLAIMS.c.event_id == claim.event_id)
        mine = (*same, CLAIMS.c.process_id == self._process_id)
        with self._database.write() as session:
            bound_lock_waits(session, LOCK_WAIT_MS)
            if claim.standing is Standing.FIRST:
                session.execute(delete(CLAIMS).where(*mine))
            elif claim.standing is Standing.RETAKEN:
                session.execute(update(CLAIMS).where(*mine).values(process_id=None))

    def prune(self, most: int) -> int:
        """Take away claims that are over; returns how many. Others may do so at the same time."""
        with self._database.read() as session:
            over = CLAIMS.c.claimed_at <= database_now(session) - LIFE
            if session.execute(select(CLAIMS.c.key_digest).where(over).limit(1)).first() is None:
                return 0  # a write would wait for other writers, for nothing
        with self._database.write() as session:
            some = select(CLAIMS.c.key_digest).where(over).limit(most).with_for_update(skip_locked=True)
            removed: CursorResult[Any] = session.execute(delete(CLAIMS).where(CLAIMS.c.key_digest.in_(some)))  # type: ignore[assignment]
        return removed.rowcount


def _in_progress() -> IdempotencyInProgress:
    return IdempotencyInProgress(headers=[("Retry-After", RETRY_AFTER_S)])
