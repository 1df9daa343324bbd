"""Where a tenant is told: one address with a secret that is shown once. Each change is one transaction of the caller's, audited."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.clock import database_now
from gatehouse.errors import Refused, about
from gatehouse.notices import target_store
from gatehouse.notices.signature import new_secret
from gatehouse.notices.target_store import Target
from gatehouse.notices.target_url import parse_target, read_target
from gatehouse.principal import Network

DEFAULT_GRACE = timedelta(hours=24)
LONGEST_GRACE = timedelta(days=30)


class Sealer(Protocol):
    """Encrypts a text so that it opens under its name only."""

    def close(self, name: str, text: str, /) -> bytes: ...

    def open(self, name: str, sealed: bytes, /) -> str: ...

    def is_current(self, name: str, sealed: bytes, /) -> bool: ...


def sealed_name(tenant_id: str) -> str:
    """Under which a target's secrets are sealed."""
    return f"notice-target {tenant_id}"


def create_target(
    session: Session, actor: Actor, tenant_id: str, tenant: str, url: str, allowed: Sequence[Network], sealer: Sealer
) -> tuple[Target, str]:
    """The target and its secret. What the tenant was to be told in the last three days is sent to it. Raises Refused."""
    with about("url"):
        parsed = parse_target(url, allowed)
    if target_store.find_target(session, tenant_id):
        fact = f"{tenant} has a target already"
        raise Refused(f"{fact}: gatehouse notice-targets edit {tenant} --url {url}", fact=fact)
    secret = new_secret()
    target_store.add_target(session, tenant_id, url, sealer.close(sealed_name(tenant_id), secret), database_now(session))
    target_store.give_up_stale(session, tenant_id)
    record_audit(session, actor, "notice_target.create", tenant, after={"origin": parsed.origin})
    return target_of(session, tenant_id, tenant), secret


def edit_target(session: Session, actor: Actor, tenant_id: str, tenant: str, url: str, allowed: Sequence[Network]) -> Target:
    """Another address, or the same again after it was gone; the secret stays. Raises Refused."""
    with about("url"):
        parsed = parse_target(url, allowed)
    before = target_of(session, tenant_id, tenant)
    # with a new lease nobody's: what the old address says now is of no account
    fresh = {"gone": False, "failing_since": None, "failing_reason": None, "lease": None, "lease_ends_at": None}
    target_store.change_target(session, tenant_id, {"url": url, **fresh})
    target_store.give_up_stale(session, tenant_id)
    origin = {"origin": read_target(before.url).origin}
    record_audit(session, actor, "notice_target.edit", tenant, before=origin, after={"origin": parsed.origin})
    return target_of(session, tenant_id, tenant)


def rotate_secret(
    session: Session, actor: Actor, tenant_id: str, tenant: str, grace: timedelta, sealer: Sealer
) -> tuple[str, datetime | None]:
    """A new secret, and until when notices are signed by the one before as well. Raises Refused."""
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise Refused(f"the grace is 0 to {LONGEST_GRACE.days} days: then the secret from before ends", member="grace_s")
    before, secret = target_of(session, tenant_id, tenant), new_secret()
    until = database_now(session) + grace if grace else None
    columns = {
        "secret_sealed": sealer.close(sealed_name(tenant_id), secret),
        "previous_sealed": before.secret_sealed if grace else None,
        "previous_until": until,
    }
    target_store.change_target(session, tenant_id, columns)
    record_audit(session, actor, "notice_target.rotate", tenant, after={"previous_until": until.isoformat() if until else None})
    return secret, until


def remove_target(session: Session, actor: Actor, tenant_id: str, tenant: str) -> None:
    """Tell the tenant nothing more. Raises Refused."""
    before = target_of(session, tenant_id, tenant)
    target_store.remove_target(session, tenant_id)
    record_audit(session, actor, "notice_target.remove", tenant, before={"origin": read_target(before.url).origin})


def reseal_targets(session: Session, actor: Actor, sealer: Sealer) -> list[str]:
    """Seal all secrets under the current GATEHOUSE_SECRET_KEY; returns the tenants whose were not. Raises what `open` raises."""
    changed = []
    for target in target_store.list_targets(session):
        name = sealed_name(target.tenant_id)
        sealed = {"secret_sealed": target.secret_sealed, "previous_sealed": target.previous_sealed}
        old = {column: each for column, each in sealed.items() if each and not sealer.is_current(name, each)}
        if old:
            target_store.change_target(
                session, target.tenant_id, {c: sealer.close(name, sealer.open(name, each)) for c, each in old.items()}
            )
            record_audit(session, actor, "notice_target.reseal", target.tenant)
            changed.append(target.tenant)
    return changed


def target_of(session: Session, tenant_id: str, tenant: str) -> Target:
    """Raises Refused."""
    target = target_store.find_target(session, tenant_id)
    if target is None:
        fact = f"{tenant} has no target"
        raise Refused(f"{fact}: gatehouse notice-targets create {tenant} --url https://…", fact=fact)
    return target
