"""Tenants and their grants: each change is checked, stored, numbered and audited in one transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused, about
from gatehouse.identity import store
from gatehouse.identity.api_keys import random_text
from gatehouse.identity.names import check_name
from gatehouse.identity.plans import named_plan
from gatehouse.identity.store import Grant, Tenant
from gatehouse.principal import OPERATOR_TENANT

TENANT_ID_PREFIX = "ten_"
TENANT_ID_CHARACTERS = 16
DEFAULT_PLAN = "trial"
OPERATOR_PLAN = "standard"

KnownModels = Callable[[Session], Mapping[str, AbstractSet[str]]]
"""Model to its API versions, read in the transaction that grants one; whoever composes the rooms hands it in."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a tenant may use after a change; `changed` is false when it was so before."""

    tenant: Tenant
    grants: list[Grant]
    changed: bool


def create_tenant(
    database: Database,
    actor: Actor,
    name: str,
    known_models: KnownModels,
    *,
    plan: str = DEFAULT_PLAN,
    models: Iterable[str] = (),
) -> Granted:
    """A new tenant, with grants for all API versions of `models`. Raises Refused."""
    check_name("tenant", name)
    with database.write() as session:
        hold_revision(session)
        if store.find_tenant(session, name) is not None:
            said = f"there is a tenant {name!r} already: change it with gatehouse tenants edit {name}"
            raise Refused(said, fact="there is a tenant of this name already")
        named_plan(session, plan)
        tenant = _add_tenant(session, actor, name, plan)
        for model in dict.fromkeys(models):
            with about("models"):
                tenant = _grant(session, actor, tenant, model, None, known_models)
        return Granted(tenant, store.list_grants(session, tenant), changed=True)


def operator_tenant(session: Session, actor: Actor) -> Tenant:
    """The deployment's own tenant, made when it is first needed."""
    return store.find_tenant(session, OPERATOR_TENANT) or _add_tenant(session, actor, OPERATOR_TENANT, OPERATOR_PLAN)


def list_tenants(database: Database) -> list[Tenant]:
    """All tenants by name."""
    with database.read() as session:
        return store.list_tenants(session)


def show_tenant(database: Database, name: str) -> Tenant:
    """Raises NotKnown."""
    with database.read() as session:
        return named_tenant(session, name)


def edit_tenant(database: Database, actor: Actor, name: str, *, plan: str | None = None, default_model: str | None = None) -> Tenant:
    """Change the plan, the default model (a granted one), or both. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        before = named_tenant(session, name)
        if plan is not None:
            named_plan(session, plan)
        if default_model is not None:
            granted = {grant.model for grant in store.list_grants(session, before)}
            if default_model not in granted:
                raise NotKnown("model", default_model, granted, f"granted to {name}", member="default_model")
        after = replace(before, plan=plan or before.plan, default_model=default_model or before.default_model)
        return _change(session, actor, "tenant.edit", before, after)


def suspend_tenant(database: Database, actor: Actor, name: str) -> Tenant:
    """Stop all keys and tokens of a tenant; they work again once it is resumed. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        before = named_tenant(session, name)
        if name == OPERATOR_TENANT:
            said = f"{OPERATOR_TENANT} cannot be suspended: revoke its keys one by one"
            raise Refused(f"{said} (gatehouse keys list --tenant {OPERATOR_TENANT})", fact=said)
        return _change(session, actor, "tenant.suspend", before, replace(before, suspended_at=before.suspended_at or datetime.now(UTC)))


def resume_tenant(database: Database, actor: Actor, name: str) -> Tenant:
    """Let a suspended tenant's keys work again. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        before = named_tenant(session, name)
        return _change(session, actor, "tenant.resume", before, replace(before, suspended_at=None))


def add_grant(
    database: Database, actor: Actor, name: str, model: str, known_models: KnownModels, *, api_version: str | None = None
) -> Granted:
    """Let a tenant use one API version of a model, or all. The tenant's first grant fixes its default model. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        tenant = named_tenant(session, name)
        before = store.list_grants(session, tenant)
        with about("model"):
            tenant = _grant(session, actor, tenant, model, api_version, known_models)
        grants = store.list_grants(session, tenant)
        return Granted(tenant, grants, changed=grants != before)


def remove_grant(database: Database, actor: Actor, name: str, model: str, *, api_version: str | None = None) -> Granted:
    """Take a model, or one API version of it, from a tenant. Raises Refused.

    A tenant that loses its default model has none until the operator names one: `/v1/predict` never starts
    to serve another model by itself.
    """
    with database.write() as session:
        hold_revision(session)
        tenant = named_tenant(session, name)
        before = store.list_grants(session, tenant)
        versions = {grant.api_version for grant in before if grant.model == model}
        if not versions:
            raise NotKnown("model", model, {grant.model for grant in before}, f"granted to {name}")
        if api_version is not None and api_version not in versions:
            raise _not_granted_alone(name, model, api_version, versions)
        store.remove_grants(session, tenant, model, api_version)
        grants = store.list_grants(session, tenant)
        gone: dict[str, object] = {"model": model, "api_version": api_version, "default_model": tenant.default_model}
        if tenant.default_model == model and all(grant.model != model for grant in grants):
            tenant = replace(tenant, default_model=None)
            store.change_tenant(session, tenant)
        record_change(session, "grant", tenant.id)
        record_audit(session, actor, "grant.remove", name, before=gone, after={"default_model": tenant.default_model})
        return Granted(tenant, grants, changed=True)


def list_grants(database: Database, name: str | None = None) -> list[Grant]:
    """Grants of one tenant, or all. Raises NotKnown."""
    with database.read() as session:
        return store.list_grants(session, None if name is None else named_tenant(session, name))


def named_tenant(session: Session, name: str) -> Tenant:
    """Raises NotKnown."""
    tenant = store.find_tenant(session, name)
    if tenant is None:
        raise NotKnown("tenant", name, (known.name for known in store.list_tenants(session)), member="tenant")
    return tenant


def new_tenant(name: str, plan: str, default_model: str | None, now: datetime) -> Tenant:
    """One with an id of its own."""
    return Tenant(TENANT_ID_PREFIX + random_text(TENANT_ID_CHARACTERS), name, plan, default_model, None, now)


def audit_new_tenant(session: Session, actor: Actor, tenant: Tenant, models: Sequence[str] = ()) -> None:
    """`models` are those that it may call from the first, where no rows of their own say so."""
    granted = {"models": list(models)} if models else {}
    record_audit(session, actor, "tenant.create", tenant.name, after=facts_of_tenant(tenant) | granted)


def audit_new_grant(session: Session, actor: Actor, tenant: str, model: str, api_version: str | None, *, default: bool = False) -> None:
    """`default`: the tenant had no grant, and so no default model."""
    after = {"model": model, "api_version": api_version} | ({"default_model": model} if default else {})
    record_audit(session, actor, "grant.add", tenant, after=after)


def _add_tenant(session: Session, actor: Actor, name: str, plan: str) -> Tenant:
    tenant = new_tenant(name, plan, None, datetime.now(UTC))
    store.add_tenant(session, tenant)
    record_change(session, "tenant", tenant.id)
    audit_new_tenant(session, actor, tenant)
    return tenant


def facts_of_tenant(tenant: Tenant) -> dict[str, object]:
    """A tenant for the audit trail."""
    suspended = tenant.suspended_at and tenant.suspended_at.isoformat()
    return {"id": tenant.id, "plan": tenant.plan, "default_model": tenant.default_model, "suspended_at": suspended}


def _change(session: Session, actor: Actor, action: str, before: Tenant, after: Tenant) -> Tenant:
    if after != before:
        store.change_tenant(session, after)
        record_change(session, "tenant", after.id)
        record_audit(session, actor, action, after.name, before=facts_of_tenant(before), after=facts_of_tenant(after))
    return after


def _grant(session: Session, actor: Actor, tenant: Tenant, model: str, api_version: str | None, known_models: KnownModels) -> Tenant:
    known = known_models(session)
    if model not in known:
        raise NotKnown("model", model, known, first="publish it first: gatehouse models publish FILE")
    if api_version is not None and api_version not in known[model]:
        raise NotKnown("API version", api_version, known[model], f"of {model}", member="api_version")
    before = store.list_grants(session, tenant)
    versions = {grant.api_version for grant in before if grant.model == model}
    if None in versions or api_version in versions:
        return tenant
    if api_version is None:
        store.remove_grants(session, tenant, model)
    store.add_grant(session, tenant, model, api_version)
    if not before:
        tenant = replace(tenant, default_model=model)
        store.change_tenant(session, tenant)
    record_change(session, "grant", tenant.id)
    audit_new_grant(session, actor, tenant.name, model, api_version, default=not before)
    return tenant


def _not_granted_alone(name: str, model: str, api_version: str, versions: AbstractSet[str | None]) -> Refused:
    if None in versions:
        return Refused(
            f"{name} may call all API versions of {model}: take the model away (gatehouse grants remove {name} {model}), "
            "then add the versions that it keeps"
        )
    return NotKnown("API version", api_version, (version for version in versions if version), f"of {model} granted to {name}")
