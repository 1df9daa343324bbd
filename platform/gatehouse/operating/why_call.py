"""What became of one call, by its request id: for `gatehouse why REQUEST_ID`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.call import CLIENT_GONE
from gatehouse.errors import CATALOGUE, Refused
from gatehouse.identity.store import find_tenant, referred_tenant
from gatehouse.usage.call_store import events_of_request
from gatehouse.usage.outcomes import OUTCOMES

LOOKED_AT = ("endpoint_retired", "not_found", "scope_missing")
"""Codes that do not pass by waiting, and that the steps look into: well steps tell of such a call too."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """The newest call with this request id. `calls`: how many have it."""

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


def read_call(session: Session, request_id: str, now: datetime) -> PastCall:
    """Raises Refused where no usage event tells of it, and says where to look."""
    events = events_of_request(session, request_id, now)
    if not events and find_tenant(session, request_id):
        how = f"gatehouse why --tenant {request_id} --model MODEL --api-version vN"
        raise Refused(f"no usage event has the request id {request_id}, but a tenant has this name; did you mean: {how}")
    if not events:
        raise Refused(
            f"no usage event has the request id {request_id}: calls with {_uncounted()}, and calls of other paths than predictions, leave "
            f"none, and one of the last seconds may still wait in the spool. The server's log has a line for each call that was refused "
            f"(of a service: journalctl -u gatehouse | grep {request_id}), or: gatehouse why --tenant TENANT --model MODEL --api-version vN"
        )
    event = events[0]
    tenant = referred_tenant(session, event["tenant_id"])
    return PastCall(
        request_id=request_id,
        at=datetime.fromtimestamp(event["at_us"] / 1_000_000, UTC),
        tenant=tenant.name if tenant else event["tenant_id"],
        key_id=event["key_id"],
        latency_ms=round(event["latency_us"] / 1000, 1),
        calls=len(events),
        **{name: event[name] for name in ("model", "api_version", "model_version", "status", "code", "rows")},
    )


def _uncounted() -> str:
    """`401, 408 or 429`."""
    *first, last = (str(status) for status, outcome in OUTCOMES.items() if not outcome.event)
    return f"{', '.join(first)} or {last}"
