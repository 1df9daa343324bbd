"""Endpoints in the database: each change is stored, numbered and audited in the caller's transaction."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import insert, update
from sqlmodel import Session, col, select

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.tables import BrownoutTable, EndpointExtensionTable, EndpointTable, TenantTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint, EndpointState, Extension, Shadow, api_version_of


def create_endpoint(session: Session, actor: Actor, model: str, model_version: str) -> Endpoint:
    """The endpoint that a first model version of a major opens: active for the model's first, else a preview. Raises Refused."""
    hold_revision(session)
    others = [endpoint for endpoint in list_endpoints(session) if endpoint.model == model]
    endpoint = Endpoint(model, api_version_of(model_version), "preview" if others else "active", model_version)
    if any(other.api_version == endpoint.api_version for other in others):
        release_it = f"gatehouse endpoints release {model} {endpoint.api_version} --version {model_version}"
        fact = f"there is an endpoint {endpoint.name} already"
        raise Refused(f"{fact}: {release_it}", fact=fact)
    now = datetime.now(UTC)
    values = {"model": model, "api_version": endpoint.api_version, "state": endpoint.state, "stable_version": model_version}
    session.execute(insert(EndpointTable).values(**values, created_at=now, changed_at=now))
    record_change(session, "endpoint", endpoint.name)
    record_audit(session, actor, "endpoint.create", endpoint.name, after={"state": endpoint.state, "stable_version": model_version})
    return endpoint


def store_release(session: Session, actor: Actor, action: str, seen: Endpoint, wanted: Endpoint, *, forced: bool = False) -> Endpoint:
    """Go from one release to the next; the caller knows that its versions are published and what callers would lose.

    `action` is release, promote or rollback. Where nothing differs, servers only try again what they could not load.
    Raises Refused when the endpoint is not `seen` any more.
    """
    hold_revision(session)
    if named_endpoint(session, seen.model, seen.api_version) != seen:
        fact = f"{seen.name} was changed by somebody else meanwhile"
        raise Refused(f"{fact}: gatehouse endpoints show {seen.model} {seen.api_version}", fact=fact)
    record_change(session, "endpoint", seen.name)
    if wanted == seen:
        return wanted
    same = (col(EndpointTable.model) == seen.model, col(EndpointTable.api_version) == seen.api_version)
    session.execute(update(EndpointTable).where(*same).values(**_versions(wanted), changed_at=datetime.now(UTC)))
    detail = {"forced": True} if forced else None
    record_audit(session, actor, f"endpoint.{action}", seen.name, detail, before=_told(seen), after=_told(wanted))
    return wanted


def activate(session: Session, actor: Actor, model: str, api_version: str) -> Endpoint:
    """End an endpoint's preview: from now on a grant of the whole model covers it. Raises Refused."""
    hold_revision(session)
    before = named_endpoint(session, model, api_version)
    if before.state == "active":
        return before
    if before.state != "preview":
        raise Refused(f"{before.name} is {before.state}; only a preview can be activated")
    statement = update(EndpointTable).where(col(EndpointTable.model) == model, col(EndpointTable.api_version) == api_version)
    session.execute(statement.values(state="active", changed_at=datetime.now(UTC)))
    record_change(session, "endpoint", before.name)
    record_audit(session, actor, "endpoint.activate", before.name, before={"state": before.state}, after={"state": "active"})
    return replace(before, state="active")


def list_endpoints(session: Session) -> list[Endpoint]:
    """All endpoints by model and API version."""
    extensions, brownouts = _extensions(session), _brownouts(session)
    found = [
        _endpoint(row, extensions.get((row.model, row.api_version), ()), brownouts.get((row.model, row.api_version), ()))
        for row in session.exec(select(EndpointTable))
    ]
    return sorted(found, key=lambda endpoint: (endpoint.model, int(endpoint.api_version[1:])))


def find_endpoint(session: Session, model: str, api_version: str) -> Endpoint | None:
    query = select(EndpointTable).where(EndpointTable.model == model, EndpointTable.api_version == api_version)
    row = session.exec(query).one_or_none()
    if row is None:
        return None
    name = (model, api_version)
    return _endpoint(row, _extensions(session).get(name, ()), _brownouts(session).get(name, ()))


def named_endpoint(session: Session, model: str, api_version: str) -> Endpoint:
    """Raises NotKnown."""
    endpoint = find_endpoint(session, model, api_version)
    if endpoint is None:
        raise NotKnown("endpoint", f"{model}/{api_version}", (known.name for known in list_endpoints(session)))
    return endpoint


def api_versions_by_model(session: Session) -> Mapping[str, frozenset[str]]:
    """What can be granted: each model that has an endpoint, with its API versions."""
    versions: dict[str, set[str]] = {}
    for endpoint in list_endpoints(session):
        versions.setdefault(endpoint.model, set()).add(endpoint.api_version)
    return {model: frozenset(named) for model, named in versions.items()}


def _extensions(session: Session) -> dict[tuple[str, str], tuple[Extension, ...]]:
    found: dict[tuple[str, str], tuple[Extension, ...]] = {}
    query = select(EndpointExtensionTable, TenantTable.name).join(TenantTable).order_by(TenantTable.name)
    for row, tenant in session.exec(query):
        name = (row.model, row.api_version)
        found[name] = (*found.get(name, ()), Extension(row.tenant_id, tenant, row.until))
    return found


def _brownouts(session: Session) -> dict[tuple[str, str], tuple[Brownout, ...]]:
    found: dict[tuple[str, str], tuple[Brownout, ...]] = {}
    query = select(BrownoutTable).where(col(BrownoutTable.ends_at) > datetime.now(UTC)).order_by(col(BrownoutTable.starts_at))
    for row in session.exec(query):
        name = (row.model, row.api_version)
        window = Brownout(row.id, row.starts_at, row.ends_at, row.percent, row.tenant_id, row.key_id)
        found[name] = (*found.get(name, ()), window)
    return found


def _endpoint(row: EndpointTable, extensions: tuple[Extension, ...], brownouts: tuple[Brownout, ...]) -> Endpoint:
    return Endpoint(
        model=row.model,
        api_version=row.api_version,
        state=cast(EndpointState, row.state),
        stable_version=row.stable_version,
        previous_version=row.previous_version,
        canary_version=row.canary_version,
        canary_percent=row.canary_percent,
        deprecation=_deprecation(row),
        retired_at=row.retired_at,
        extensions=extensions,
        brownouts=brownouts,
        bridged_to=row.bridged_to,
        shadow=None if row.shadow_with is None or row.shadow_percent is None else Shadow(row.shadow_with, row.shadow_percent),
    )


def _deprecation(row: EndpointTable) -> Deprecation | None:
    if row.deprecated_at is None or row.sunset is None or row.successor is None:
        return None
    return Deprecation(row.deprecated_at, row.sunset, row.successor, row.deprecation_reason, row.deprecation_link)


def _versions(endpoint: Endpoint) -> dict[str, str | int | None]:
    return {
        "stable_version": endpoint.stable_version,
        "previous_version": endpoint.previous_version,
        "canary_version": endpoint.canary_version,
        "canary_percent": endpoint.canary_percent,
    }


def _told(endpoint: Endpoint) -> dict[str, str | int | None]:
    """What the audit trail says of a release."""
    told = _versions(endpoint)
    return {name: told[name] for name in ("stable_version", "canary_version", "canary_percent") if told[name] is not None}
