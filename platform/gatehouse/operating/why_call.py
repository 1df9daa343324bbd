"""What became of one call, by its request id: for `gatehouse why REQUEST_ID`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.call import CLIENT_GONE
from gatehouse.errors import CATALOGUE, Refused
from gatehouse.identity.store import find_tenant, referred_tenant
from gatehouse.identity.tenants import named_tenant
from gatehouse.usage.call_store import events_of_request
from gatehouse.usage.outcomes import OUTCOMES

LOOKED_AT = ("endpoint_retired", "not_found", "scope_missing")
"""Codes that do not pass by waiting, and that the steps look into: well steps tell of such a call too."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """The newest call of a tenant with this request id. `calls`: how many of its calls have it; where they are MOST, there may be more."""

    request_id: str
    at: datetime
    tenant: str
    key_id: str
    model: str | None
    api_version: str | None
    model_version: str | None
    status: int
    code: str | None
    rows: int
    latency_ms: float
    calls: int

    @property
    def endpoint(self) -> tuple[str, str] | None:
        """None where it reached none of its caller's."""
        return (self.model, self.api_version) if self.model and self.api_version else None

    @property
    def outcome(self) -> str:
        """In words."""
        if self.status == CLIENT_GONE:
            return "the caller went away before there was an answer"
        problem = CATALOGUE.get(self.code or "")
        return problem.meaning if problem else "it was answered"

    @property
    def again(self) -> str | None:
        """What its caller is to do, where the very same call would be refused again though each part is well."""
        problem = CATALOGUE.get(self.code or "")
        return None if problem is None or problem.passes or problem.code in LOOKED_AT else problem.remedy


def read_call(session: Session, request_id: str, now: datetime, tenant: str | None = None) -> PastCall:
    """The tenant's where one is named. Raises Refused where no usage event tells of it, or those of several tenants do; NotKnown."""
    tenant_id = None if tenant is None else named_tenant(session, tenant).id
    events, tenant_ids = events_of_request(session, request_id, now, tenant_id)
    if not events:
        raise _nowhere(session, request_id, tenant)
    names = sorted(_name(session, each) for each in tenant_ids)
    if len(names) > 1:
        whose = f"{', '.join(names[:-1])} and {names[-1]}"
        how = f"gatehouse why {request_id} --tenant {names[0]}"
        raise Refused(f"calls of {whose} have the request id {request_id}: say whose is meant, as in {how}")
    event = events[0]
    return PastCall(
        request_id=request_id,
        at=datetime.fromtimestamp(event["at_us"] / 1_000_000, UTC),
        tenant=names[0],
        key_id=event["key_id"],
        latency_ms=round(event["latency_us"] / 1000, 1),
        calls=len(events),
        **{name: event[name] for name in ("model", "api_version", "model_version", "status", "code", "rows")},
    )


def _name(session: Session, tenant_id: str) -> str:
    found = referred_tenant(session, tenant_id)
    return found.name if found else tenant_id


def _nowhere(session: Session, request_id: str, tenant: str | None) -> Refused:
    """What to do where no event has the id."""
    if tenant is None and find_tenant(session, request_id):
        how = f"gatehouse why --tenant {request_id} --model MODEL --api-version vN"
        return Refused(f"no usage event has the request id {request_id}, but a tenant has this name; did you mean: {how}")
    return Refused(
        f"no usage event{f' of {tenant}' if tenant else ''} has the request id {request_id}: calls with {_uncounted()}, and calls "
        "of other paths than predictions, leave none, and one of the last seconds may still wait in the spool. The server's log has a line "
        f"for each call that was refused (of a service: journalctl -u gatehouse | grep {request_id}), "
        f"or: gatehouse why --tenant {tenant or 'TENANT'} --model MODEL --api-version vN"
    )


def _uncounted() -> str:
    """`401, 408 or 429`."""
    *first, last = (str(status) for status, outcome in OUTCOMES.items() if not outcome.event)
    return f"{', '.join(first)} or {last}"
