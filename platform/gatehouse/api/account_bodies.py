"""What `/account` answers of a tenant's own: fixed lists of fields, in the OpenAPI document as they stand here."""

from typing import Literal

from gatehouse.api.key_bodies import Closed, RateEntry
from gatehouse.api.model_bodies import EndpointSummary
from gatehouse.principal import LimitMode, QuotaMode, Role, Scope


class CallingKey(Closed):
    """The key that calls; its own limits where it has some."""

    id: str
    scopes: list[Scope]
    expires_at: str | None
    requests: RateEntry | None
    rows: RateEntry | None


class CallingPerson(Closed):
    """The person who calls; `scopes` are what the person may do here, and give to keys."""

    id: str
    role: Role
    scopes: list[Scope]
    logged_in_at: str


class OwnPlan(Closed):
    """The limits that hold for the tenant."""

    name: str
    requests: RateEntry
    rows: RateEntry
    rows_per_month: int
    quota: QuotaMode
    rows_per_call: int
    bytes_per_call: int


class AccountBody(Closed):
    """Who calls is a `key` or a `person`."""

    tenant: str
    key: CallingKey | None = None
    person: CallingPerson | None = None
    plan: OwnPlan
    rows_left: int
    default_model: str | None
    endpoints: list[EndpointSummary]


class LimitBody(Closed):
    """A rate limit: `left` now, and whole again in so many seconds."""

    name: str
    scope: str
    unit: str
    count: int
    period_s: int
    burst: int
    mode: LimitMode
    left: int
    whole_in_s: int


class QuotaBody(Closed):
    """Rows of the calendar month (UTC)."""

    name: str
    scope: Literal["tenant"]
    unit: Literal["rows"]
    mode: QuotaMode
    rows_per_month: int
    rows_left: int
    resets_at: str


class CallBounds(Closed):
    """Of one call."""

    rows: int
    bytes: int


class LimitsBody(Closed):
    """`key` is null for a person."""

    tenant: str
    key: str | None
    plan: str
    limits: list[LimitBody]
    quota: QuotaBody
    call: CallBounds


class UsageSums(Closed):
    calls: int
    rows: int
    bytes_in: int
    bytes_out: int


class UsageLine(UsageSums):
    """With what `by` asks for; null where a call reached no model."""

    day: str | None = None
    hour: str | None = None
    key: str | None = None
    model: str | None = None
    api_version: str | None = None
    status: int | None = None


class RefusedCalls(Closed):
    """Calls that are counted and not metered."""

    status: int
    limit: str
    calls: int


class UsageBody(UsageSums):
    tenant: str
    since: str
    until: str
    usage: list[UsageLine]
    refused: list[RefusedCalls]
