"""The steps of an endpoint's life in the database: decided, stored, numbered and audited in one transaction."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.tables import EndpointExtensionTable, EndpointTable
from gatehouse.migration.announcing import Herald
from gatehouse.migration.brownout_store import drop_brownouts
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints, named_endpoint

Step = Callable[[Endpoint, list[Endpoint]], Endpoint]
"""From an endpoint and all endpoints to what it becomes. Raises Refused."""


def change_life(
    session: Session,
    actor: Actor,
    action: str,
    model: str,
    api_version: str,
    step: Step,
    *,
    forced: bool = False,
    herald: Herald | None = None,
) -> Endpoint:
    """Go one step; no other change comes between what it was decided by and what is stored. Raises NotKnown, and what the step raises.

    `action` is deprecate, undeprecate, extend, unextend, retire, bridge, unbridge, shadow or unshadow.
    Tenants are told of it where a `herald` is given.
    """
    hold_revision(session)
    seen = named_endpoint(session, model, api_version)
    wanted = step(seen, list_endpoints(session))
    if wanted == seen:
        return seen
    same = (col(EndpointTable.model) == model, col(EndpointTable.api_version) == api_version)
    now = datetime.now(UTC)
    session.execute(update(EndpointTable).where(*same).values(**_columns(wanted), changed_at=now))
    if wanted.extensions != seen.extensions:
        _store_extensions(session, wanted, now)
    if wanted.brownouts != seen.brownouts:
        drop_brownouts(session, set(seen.brownouts) - set(wanted.brownouts))
    change = record_change(session, "endpoint", seen.name)
    detail = {"forced": True} if forced else None
    record_audit(session, actor, f"endpoint.{action}", seen.name, detail, before=told(seen), after=told(wanted))
    if herald is not None:
        herald.tell_step(session, seen, wanted, change)
    return wanted


def told(endpoint: Endpoint) -> dict[str, Any]:
    """What the audit trail says of where an endpoint stands."""
    ending = endpoint.deprecation
    said: dict[str, Any] = {"state": endpoint.state}
    if ending is not None:
        said |= {"sunset": ending.sunset.isoformat(), "successor": ending.successor, "reason": ending.reason, "link": ending.link}
    if endpoint.extensions:
        said["extensions"] = {each.tenant: each.until.isoformat() for each in endpoint.extensions}
    said["bridged_to"] = endpoint.bridged_to
    said["shadow"] = endpoint.shadow and f"{endpoint.shadow.percent} % by {endpoint.shadow.version}"
    return {name: value for name, value in said.items() if value is not None}


def _columns(endpoint: Endpoint) -> dict[str, Any]:
    ending = endpoint.deprecation
    return {
        "state": endpoint.state,
        "deprecated_at": ending and ending.since,
        "sunset": ending and ending.sunset,
        "successor": ending and ending.successor,
        "deprecation_reason": ending and ending.reason,
        "deprecation_link": ending and ending.link,
        "retired_at": endpoint.retired_at,
        "bridged_to": endpoint.bridged_to,
        "shadow_with": endpoint.shadow and endpoint.shadow.version,
        "shadow_percent": endpoint.shadow and endpoint.shadow.percent,
    }


def _store_extensions(session: Session, endpoint: Endpoint, now: datetime) -> None:
    table, same = EndpointExtensionTable, {"model": endpoint.model, "api_version": endpoint.api_version}
    session.execute(delete(table).where(col(table.model) == endpoint.model, col(table.api_version) == endpoint.api_version))
    for each in endpoint.extensions:
        session.execute(insert(table).values(**same, tenant_id=each.tenant_id, until=each.until, created_at=now))
