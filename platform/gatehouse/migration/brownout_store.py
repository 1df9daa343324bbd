"""Brownouts in the database: decided, stored, numbered, audited and told of in one transaction."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, insert
from sqlmodel import Session, col

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.tables import BrownoutTable, TenantTable
from gatehouse.errors import Refused
from gatehouse.migration.announcing import Herald, Reached
from gatehouse.migration.brownout import Wish, planned, rehearsed
from gatehouse.migration.endpoint import Brownout, Endpoint
from gatehouse.migration.notice_kinds import BROWNOUT_CANCELLED
from gatehouse.migration.store import list_endpoints, named_endpoint

OVER_FOR = timedelta(days=7)
"""Windows that ended so long ago are taken away when another one is planned or rehearsed; the audit trail names them for good."""


class Planned(NamedTuple):
    """A window, its endpoint, and how many tenants were told of it: by webhook those that have a target, on `/account` all."""

    endpoint: Endpoint
    window: Brownout
    told: Reached


def plan_brownout(
    session: Session, actor: Actor, herald: Herald, model: str, api_version: str, wish: Wish, now: datetime, *, force: bool = False
) -> Planned:
    """Plan a window of an endpoint. Raises NotKnown, Refused."""
    hold_revision(session)
    endpoint = named_endpoint(session, model, api_version)
    window = planned(endpoint, wish, _new_id(), now, force=force)
    _add(session, endpoint, window, now)
    _record(session, actor, "brownout", endpoint, window, forced=force)
    return Planned(endpoint, window, herald.tell_brownout(session, endpoint, window))


def cancel_brownout(session: Session, actor: Actor, herald: Herald, id: str) -> Planned:
    """Take a window back that is planned or open; also somebody's rehearsal, of which nobody is told. Raises Refused."""
    hold_revision(session)
    found = [(endpoint, window) for endpoint in list_endpoints(session) for window in endpoint.brownouts if window.id == id]
    if not found:
        listed = "gatehouse endpoints brownouts MODEL vN"
        raise Refused(f"no brownout {id[:40]!r} is planned or under way: {listed}", fact="no such brownout is planned or under way")
    endpoint, window = found[0]
    session.execute(delete(BrownoutTable).where(col(BrownoutTable.id) == id))
    _record(session, actor, "cancel_brownout", endpoint, window, ended=True)
    told = Reached(0, 0) if window.key_id else herald.tell_brownout(session, endpoint, window, BROWNOUT_CANCELLED)
    return Planned(endpoint, window, told)


def rehearse_brownout(session: Session, actor: Actor, model: str, api_version: str, wish: Wish, key_id: str, now: datetime) -> Brownout:
    """Open a window of one key now, instead of the one that it may have. Raises Refused."""
    hold_revision(session)
    endpoint = named_endpoint(session, model, api_version)
    window = rehearsed(endpoint, wish, key_id, _new_id(), now)
    _remove_rehearsals(session, endpoint, key_id)
    _add(session, endpoint, window, now)
    _record(session, actor, "rehearse_brownout", endpoint, window)
    return window


def end_rehearsal(session: Session, actor: Actor, model: str, api_version: str, key_id: str) -> None:
    """End a key's rehearsal now; nothing where it has none. Raises NotKnown."""
    hold_revision(session)
    endpoint = named_endpoint(session, model, api_version)
    for window in endpoint.brownouts:
        if window.key_id == key_id:
            _remove_rehearsals(session, endpoint, key_id)
            _record(session, actor, "end_rehearsal", endpoint, window, ended=True)


def drop_brownouts(session: Session, windows: Collection[Brownout]) -> None:
    """Those that a step of the endpoint's life ends; the step is recorded and told by itself."""
    session.execute(delete(BrownoutTable).where(col(BrownoutTable.id).in_([window.id for window in windows])))


def _add(session: Session, endpoint: Endpoint, window: Brownout, now: datetime) -> None:
    session.execute(delete(BrownoutTable).where(col(BrownoutTable.ends_at) < now - OVER_FOR))
    values = {name: getattr(window, name) for name in ("id", "starts_at", "ends_at", "percent", "tenant_id", "key_id")}
    session.execute(insert(BrownoutTable).values(model=endpoint.model, api_version=endpoint.api_version, created_at=now, **values))


def _remove_rehearsals(session: Session, endpoint: Endpoint, key_id: str) -> None:
    """Those that are over too: a key has one row for each endpoint, however often it rehearses."""
    table = BrownoutTable
    same = (col(table.model) == endpoint.model, col(table.api_version) == endpoint.api_version)
    session.execute(delete(table).where(*same, col(table.key_id) == key_id))


def _record(
    session: Session, actor: Actor, action: str, endpoint: Endpoint, window: Brownout, *, forced: bool = False, ended: bool = False
) -> None:
    record_change(session, "endpoint", endpoint.name)
    tenant = session.get(TenantTable, window.tenant_id) if window.tenant_id else None
    said: dict[str, Any] = {
        "brownout": window.id,
        "starts_at": window.starts_at.isoformat(),
        "ends_at": window.ends_at.isoformat(),
        "percent": window.percent,
        "tenant": tenant and tenant.name,
        "key": window.key_id,
    }
    known = {name: value for name, value in said.items() if value is not None}
    sides: dict[str, Any] = {"before": known} if ended else {"after": known}
    record_audit(session, actor, f"endpoint.{action}", endpoint.name, {"forced": True} if forced else None, **sides)


def _new_id() -> str:
    return f"brn_{secrets.token_hex(8)}"
