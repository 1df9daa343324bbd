"""Logins: a name and a password to a person, and a one-time code to a password.

Whoever cannot log in, for whatever reason, costs the same work: one look-up, one hash, one row of the audit trail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.clock import database_now
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import CredentialInvalid, Refused
from gatehouse.identity import person_store
from gatehouse.identity.cut_off import cut_off
from gatehouse.identity.login_trail import LoginTrail
from gatehouse.identity.one_time_codes import digests_of
from gatehouse.identity.passwords import Passwords, check_password, could_be
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.person_store import Person, StoredLogin
from gatehouse.identity.tokens import dated_from
from gatehouse.principal import OPERATOR_TENANT

SERVICE = "gatehouse"
WRONG = "The name or the password is wrong, or there is no password yet."


class CodeRefused(Refused):
    """The one-time code is unknown, used or over."""

    def __init__(self) -> None:
        super().__init__("the code is not known, was used, or has ended: ask for another one", member="code")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who logged in, and when, in whole seconds since 1970; tokens that have ended are older than that."""

    person: Person
    tenant_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Logins:
    """Called in threads."""

    database: Database
    passwords: Passwords
    peppers: Peppers
    trail: LoginTrail

    def log_in(self, name: str, password: str, address: str, request_id: str, refused: Callable[[], None] = lambda: None) -> LoggedIn:
        """Raises CredentialInvalid, the same for whatever is wrong, and Overloaded.

        `refused` is called before a refusal is written down, which may fail: the answer is then that of the database.
        """
        with self.database.read() as session:
            stored = person_store.find_login(session, name)
        known_hash = stored.password_hash if stored else None
        # one that nobody can have is not hashed, whoever it is for
        proven = could_be(password) and self.passwords.proves(password, known_hash)
        reason = _why_refused(stored, proven)
        if stored is None or known_hash is None or reason:
            refused()
            raise self._refused(stored, reason, address, request_id)
        renewed = self.passwords.hash(password) if self.passwords.outdated(known_hash) else None
        actor = Actor(f"person:{stored.person.id}", address, request_id)
        with self.database.write() as session:
            hold_revision(session)  # no other password is set between the proof and the login that it leads to
            again = person_store.find_login(session, name)
            if again is not None and again.password_hash == known_hash and not _why_refused(again, proven):
                return self._taken(session, actor, again, renewed)
        refused()
        raise self._refused(stored, "person_changed", address, request_id)

    def accept(self, code: str, password: str, address: str, request_id: str) -> Person:
        """Set a password by a one-time code, which is spent by it. Raises CodeRefused, WishRefused and Overloaded."""
        digests = digests_of(code, self.peppers)
        with self.database.read() as session:
            invited = _holder(session, digests)
        check_password(password, _context(invited))
        password_hash = self.passwords.hash(password)
        with self.database.write() as session:
            hold_revision(session)
            person = _holder(session, digests)
            person_store.put_password(session, person.id, password_hash, cut_off(session, person))
            record_change(session, "person", person.id)
            action = "person.accept" if person.password_set_at is None else "person.new_password"
            record_audit(session, Actor(f"person:{person.id}", address, request_id), action, person.id, {"name": person.name})
            return person

    def _taken(self, session: Session, actor: Actor, login: StoredLogin, renewed: str | None) -> LoggedIn:
        person, now = login.person, database_now(session)
        person_store.mark_login(session, person.id, now)
        if renewed is not None:
            person_store.put_hash(session, person.id, renewed)
        record_audit(session, actor, "person.login", person.id, {"name": person.name, "role": person.role.value})
        return LoggedIn(person, login.tenant_id, max(int(now.timestamp()), dated_from(person.tokens_from)))

    def _refused(self, stored: StoredLogin | None, reason: str, address: str, request_id: str) -> CredentialInvalid:
        self.trail.refused(stored.person.id if stored else None, reason, address, request_id)
        return CredentialInvalid(WRONG, reason=reason)


def _why_refused(stored: StoredLogin | None, proven: bool) -> str:
    """For the log and the audit trail; "" where nothing stands against it."""
    if stored is None:
        return "person_unknown"
    if not proven:
        return "password_wrong" if stored.password_hash else "password_not_set"
    if stored.person.suspended_at is not None:
        return "person_suspended"
    return "tenant_suspended" if stored.tenant_suspended else ""


def _holder(session: Session, digests: Mapping[int, bytes]) -> Person:
    """Whose code it is. Raises CodeRefused."""
    person = person_store.person_of_code(session, digests, datetime.now(UTC)) if digests else None
    if person is None:
        raise CodeRefused()
    return person


def _context(person: Person) -> list[str]:
    tenant = [] if person.tenant == OPERATOR_TENANT else [person.tenant]
    return [SERVICE, person.name, person.name.partition("@")[0], *tenant]
