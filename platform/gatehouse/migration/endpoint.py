"""An endpoint: model + API version, where it stands in its life, and which model versions serve it."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal

EndpointState = Literal["preview", "active", "deprecated", "retired"]


@dataclass(frozen=True, slots=True)
class Deprecation:
    """That an endpoint ends, and what its callers are told of it."""

    since: datetime
    sunset: date
    """The last day (UTC) on which it answers, to the day's end."""
    successor: str
    """A later API version of the same model."""
    reason: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """One tenant may call past the sunset, to the end of the day `until` (UTC)."""

    tenant_id: str
    tenant: str
    until: date


@dataclass(frozen=True, slots=True)
class Brownout:
    """From `starts_at` until `ends_at` so many of a hundred calls answer 410; of all tenants, of one, or (a rehearsal) of one key."""

    id: str
    starts_at: datetime
    ends_at: datetime
    percent: int = 100
    tenant_id: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """So many of a hundred calls are scored by `version` too: a later API version (`v2`), or a version of the same major (`1.3.0`)."""

    version: str
    percent: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`previous_version` is what a rollback goes back to; the canary, where there is one, answers `canary_percent` of the keys."""

    model: str
    api_version: str
    state: EndpointState
    stable_version: str
    previous_version: str | None = None
    canary_version: str | None = None
    canary_percent: int | None = None
    deprecation: Deprecation | None = None
    retired_at: datetime | None = None
    extensions: tuple[Extension, ...] = ()
    brownouts: tuple[Brownout, ...] = field(default=(), compare=False)
    """Those that are not over, in order of their start; they come and go by the clock and by rehearsals, which is no change of its life."""
    bridged_to: str | None = None
    """The later API version whose model answers the calls, through the upgrade rules."""
    shadow: Shadow | None = None
    guided: bool = False
    """Whether the successor's contract has rules that lead up from here, so that there is a guide; the database does not know."""

    @property
    def name(self) -> str:
        """`MODEL/vN`, as it stands in commands and changes."""
        return f"{self.model}/{self.api_version}"

    def last_day(self, tenant_id: str | None = None) -> date | None:
        """The sunset, or of a tenant with an extension the end of that; where it was retired by hand that day. None while there is none."""
        if self.deprecation is None:
            return None
        if self.state == "retired" and self.retired_at is not None:
            return self.retired_at.date()
        return max(self.deprecation.sunset, *(each.until for each in self.extensions if each.tenant_id == tenant_id), date.min)

    def last_moment(self, tenant_id: str | None = None) -> datetime | None:
        """Until when it answers: to the end of its last day, or until it was retired by hand."""
        if self.state == "retired":
            return self.retired_at
        last_day = self.last_day(tenant_id)
        return None if last_day is None else datetime.combine(last_day, time.max, UTC)

    def state_at(self, now: datetime, tenant_id: str | None = None) -> EndpointState:
        """The state for a tenant, or for those without an extension: a sunset that is past retires without a step of anybody."""
        last_moment = self.last_moment(tenant_id)
        return "retired" if last_moment is not None and now > last_moment else self.state


def api_version_of(model_version: str) -> str:
    """The major number of a model version is its API version: `1.2.0` serves `v1`."""
    return f"v{model_version.partition('.')[0]}"
