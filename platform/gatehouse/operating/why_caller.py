"""Whether a tenant and its keys may call an endpoint: the steps of `gatehouse why` that look at who is calling."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from gatehouse.errors import Refused
from gatehouse.identity import key_store
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import NoSuchKey
from gatehouse.identity.plans import named_plan
from gatehouse.identity.store import Tenant, list_grants
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import visible
from gatehouse.operating.why_step import Step, calls, minute
from gatehouse.principal import Plan, Principal, Scope
from gatehouse.usage.refusals_store import UNAUTHORIZED, Refusal

NAMED = 5
"""So many keys are named, and asked for in Redis."""
Fault = tuple[str, str]
"""What is wrong with a key, and the remedy."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant with the keys that are asked about, newest first: one of them, or all."""

    tenant: Tenant
    plan: Plan
    keys: Sequence[ApiKey]
    grants: Mapping[str, frozenset[str] | None]

    def living(self, now: datetime) -> list[ApiKey]:
        """Those of the keys that are neither revoked nor expired."""
        return [key for key in self.keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]

    def principals(self, now: datetime) -> list[Principal]:
        """What the newest living keys may do; of a tenant without one what a key without limits of its own could."""
        return [self.principal(key) for key in self.living(now)[:NAMED]] or [self.principal()]

    def principal(self, key: ApiKey | None = None) -> Principal:
        """What a key may do, or one without limits of its own."""
        return Principal(
            tenant_id=self.tenant.id,
            tenant=self.tenant.name,
            key_id=key.id if key else "",
            scopes=key.scopes if key else frozenset(),
            plan=self.plan,
            key_requests=key.requests if key else None,
            key_rows=key.rows if key else None,
            default_model=self.tenant.default_model,
            grants=self.grants,
        )


def read_caller(session: Session, tenant: str, key_id: str | None) -> Caller:
    """Raises NotKnown, NoSuchKey."""
    found = named_tenant(session, tenant)
    granted: dict[str, frozenset[str] | None] = {}
    for each in list_grants(session, found):
        before = granted.get(each.model, frozenset())
        granted[each.model] = None if each.api_version is None or before is None else before | {each.api_version}
    return Caller(found, named_plan(session, found.plan), _keys(session, found, key_id), granted)


def _keys(session: Session, tenant: Tenant, key_id: str | None) -> list[ApiKey]:
    if key_id is None:
        return key_store.list_keys(session, tenant)[::-1]
    key = key_store.show_key(session, key_id)
    if key is None:
        raise NoSuchKey(key_id)
    if key.tenant != tenant.name:
        raise Refused(f"key {key_id} is one of {key.tenant}, not of {tenant.name}: gatehouse why --tenant {key.tenant}")
    return [key]


def key_step(caller: Caller, peppers: Collection[int], now: datetime, refusals: Sequence[Refusal] = ()) -> Step:
    """Whether one of the keys is in order. `peppers`: the versions of the pepper that are set; `refusals`: of late, the newest first."""
    tenant = caller.tenant.name
    if not caller.keys:
        return Step("key", False, f"{tenant} has no key: calls get 401", f"gatehouse keys create --tenant {tenant}")
    faults = {key.id: fault for key in caller.keys if (fault := _fault(key, peppers, now))}
    working = [key for key in caller.keys if key.id not in faults]
    if working:
        names = ", ".join(_described(key) for key in working[:NAMED])
        more = f" and {len(working) - NAMED} more" if len(working) > NAMED else ""
        said = f"in order: {names}{more}" + (f"; {len(faults)} of its keys {_are(faults)} not" if faults else "")
        lately = [told for each in refusals if (told := _lately(each, caller, faults))]
        if not lately:
            return Step("key", True, said)
        return Step("key", True, "; ".join([said, *(detail for detail, _ in lately[:NAMED])]), lately[0][1], lately=True)
    tried = [each.key_id for each in refusals if each.key_id in faults]  # the one that the partner calls with, where that is known
    detail, remedy = faults[(tried or [caller.keys[0].id])[0]]
    others = f"; nor does another of its {len(caller.keys)} keys work" if len(caller.keys) > 1 else ""
    return Step("key", False, detail + others, remedy)


def _fault(key: ApiKey, peppers: Collection[int], now: datetime) -> Fault | None:
    if key.revoked_at is not None:
        another = f"gatehouse keys create --tenant {key.tenant}"
        return f"{key.id} is revoked since {minute(key.revoked_at)}: calls get 401", another
    if key.expires_at is not None and key.expires_at <= now:
        return f"{key.id} has expired on {minute(key.expires_at)}: calls get 401", f"gatehouse keys edit {key.id} --expires 90d"
    if key.pepper_version not in peppers:
        detail = f"{key.id} stands under version {key.pepper_version} of GATEHOUSE_KEY_PEPPER, which is not set: calls get 401"
        return detail, "gatehouse doctor"
    if Scope.PREDICTIONS_CREATE not in key.scopes:
        wanted = ",".join(sorted({*key.scopes, Scope.PREDICTIONS_CREATE}))
        detail = f"{key.id} lacks the scope {Scope.PREDICTIONS_CREATE}: calls get 403"
        return detail, f"gatehouse keys edit {key.id} --scopes {wanted}"
    return None


def _lately(refusal: Refusal, caller: Caller, faults: Mapping[str, Fault]) -> Fault | None:
    """Why calls with a key of the tenant got 401, where they would get it again while another of its keys works."""
    key = next((each for each in caller.keys if each.id == refusal.key_id), None)
    if key is None or refusal.status != UNAUTHORIZED:
        return None
    times = f"{calls(refusal.calls)} with key {key.id} got 401 in the last 24 hours, the last at {minute(refusal.last_at)}"
    if key.id in faults:
        detail, remedy = faults[key.id]
        return f"{times}: {detail}", f"the partner takes another of its keys, or: {remedy}"
    if refusal.by == "network_not_allowed" and key.networks:
        ask = f"ask from which address they call, then: gatehouse keys edit {key.id} --networks CIDR,… (none: from anywhere)"
        return f"{times}: from an address outside of {', '.join(map(str, key.networks))}", ask
    if refusal.by == "key_secret_rotated":
        ask = f"the partner takes the newest secret of the key; for another: gatehouse keys rotate {key.id}"
        return f"{times}: with its secret from before a rotation, which works no more", ask
    if refusal.by == "token_revoked":
        return f"{times}: with a token that was revoked", "the partner asks for a new token, at POST /oauth/token"
    return None


def _are(keys: Collection[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _described(key: ApiKey) -> str:
    return f"{key.id} (only from {', '.join(map(str, key.networks))})" if key.networks else key.id


def tenant_step(tenant: Tenant) -> Step:
    """Whether the tenant is let in."""
    if tenant.suspended_at is None:
        return Step("tenant", True, f"{tenant.name} is active, on plan {tenant.plan}")
    detail = f"{tenant.name} is suspended since {minute(tenant.suspended_at)}: calls get 401"
    return Step("tenant", False, detail, f"gatehouse tenants resume {tenant.name} ({_changes(tenant.name)})")


def _changes(tenant: str) -> str:
    """What is best read before a decision of somebody else is turned round."""
    return f"what was changed: gatehouse audit list --subject {tenant}"


def grant_step(caller: Caller, endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> Step:
    """Whether a grant covers the endpoint, one of all `endpoints`."""
    tenant, model, version = caller.tenant.name, endpoint.model, endpoint.api_version
    if visible(endpoint, caller.principal()):
        which = "all API versions" if caller.grants[model] is None else ", ".join(sorted(caller.grants[model] or ()))
        return Step("grant", True, f"{tenant} may call {model}: {which}")
    command = f"gatehouse grants add {tenant} {model}"
    if model not in caller.grants:
        one = f" --api-version {version}" if endpoint.state == "preview" else ""
        return Step("grant", False, f"{tenant} has no grant for {model}: calls get 404", f"{command}{one} ({_changes(tenant)})")
    if caller.grants[model] is None:
        detail = f"{endpoint.name} is a preview, and the grant of {tenant} does not name {version}: calls get 404"
        remedy = f"{_granted_one_by_one(caller, endpoint, endpoints)} (for all tenants: gatehouse endpoints activate {model} {version})"
        return Step("grant", False, detail, remedy)
    detail = f"{tenant} may call {', '.join(sorted(caller.grants[model] or ()))} of {model}, not {version}: calls get 404"
    return Step("grant", False, detail, f"{command} --api-version {version}")


def _granted_one_by_one(caller: Caller, endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> str:
    """The commands that make of a grant for all API versions one for each, and for the endpoint; the default model stays as it is."""
    tenant, model = caller.tenant, endpoint.model
    kept = [each.api_version for each in endpoints if each.model == model and visible(each, caller.principal())]
    adding = [f"gatehouse grants add {tenant.name} {model} --api-version {version}" for version in [*kept, endpoint.api_version]]
    default = [f"gatehouse tenants edit {tenant.name} --default-model {model}"] if tenant.default_model == model else []
    return " && ".join([f"gatehouse grants remove {tenant.name} {model}", *adding, *default])


def reach_step(caller: Caller, endpoints: Sequence[Endpoint], now: datetime) -> Step:
    """What the tenant may call, of a call that reached no endpoint: which one it meant is not known, so never that it would go well now."""
    tenant, principal = caller.tenant, caller.principal()
    live = [each.name for each in endpoints if visible(each, principal) and each.state_at(now, tenant.id) != "retired"]
    may = f"{', '.join(live[:NAMED])}{' and more' if len(live) > NAMED else ''}" if live else "no endpoint"
    remedy = f"gatehouse grants list {tenant.name}, then: gatehouse why --tenant {tenant.name} --model MODEL --api-version vN"
    return Step("grant", False, f"the call reached no endpoint; {tenant.name} may call {may} now", remedy)
