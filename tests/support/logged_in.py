"""People of a test: who they are, and tokens as a login gives them, of any age."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stage import ACTOR, Live, Stage

from gatehouse.db.revision import record_change
from gatehouse.identity import person_store
from gatehouse.identity.people import Invited, invite_person
from gatehouse.identity.store import find_tenant
from gatehouse.principal import OPERATOR_TENANT, Role

NO_HASH = "!"
"""In the place of a password's hash: no password is proven by it, and none need be hashed to have a token."""
SET_SINCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A person who has set a password an hour ago."""

    id: str
    name: str
    role: Role
    tenant_id: str

    def token(self, live: Live, age_s: int = 0) -> str:
        """As a login so many seconds ago gave it."""
        now = int(time.time())
        issuer = live.app.identity.token_keys.signer(now)
        jti = secrets.token_hex(16)
        return issuer.issue_to_person(tenant_id=self.tenant_id, person_id=self.id, role=self.role, jti=jti, now=now - age_s)


def invited(stage: Stage, name: str, role: Role, tenant: str | None = None) -> Invited:
    """A person who has set no password yet, and the code for it."""
    return invite_person(stage.database, ACTOR, name, role, stage.peppers.current, tenant)


def logged_in(stage: Stage, name: str, role: Role, tenant: str | None = None) -> LoggedIn:
    """A person who can have tokens."""
    person = invited(stage, name, role, tenant).person
    with stage.database.write() as session:
        person_store.put_password(session, person.id, NO_HASH, datetime.now(UTC) - SET_SINCE)
        record_change(session, "person", person.id)
        home = find_tenant(session, tenant or OPERATOR_TENANT)
    assert home is not None
    return LoggedIn(person.id, person.name, role, home.id)
