"""What tenants with a grant are told of an endpoint's end by notices, each within the transaction of what it tells of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from sqlmodel import Session

from gatehouse.db.outbox import announce
from gatehouse.migration.ending import guide_url, moment_text, successor_of
from gatehouse.migration.endpoint import Brownout, Endpoint
from gatehouse.migration.grants_store import Granted, granted_tenants, tenants_with_target
from gatehouse.migration.notice_kinds import (
    BROWNOUT,
    BROWNOUT_CANCELLED,
    DEPRECATED,
    EXTENDED,
    RETIRED,
    SUNSET_CHANGED,
    SUNSET_NEAR,
    UNDEPRECATED,
)
from gatehouse.migration.told_store import Told, end_of, told_of_end

NOTHING: Mapping[str, Any] = {}
NEAR_DAYS = (1, 7, 30, 90)
"""Days before its sunset at which a tenant is told of it once more, nearest first."""


@dataclass(frozen=True, slots=True)
class Reminder:
    """That a tenant's last day is so near."""

    tenant: Granted
    last_day: date
    threshold: int


class Reached(NamedTuple):
    """How many tenants something is told, and how many of them by webhook at once."""

    tenants: int
    by_webhook: int


@dataclass(frozen=True, slots=True)
class Herald:
    """Writes notices into the outbox; they go out when the transaction is committed. What they say is public."""

    base_url: str
    has_guide: Callable[[str, str, str], bool] = lambda _model, _old, _new: False
    """Of a model, whether rules lead from an older API version up to a newer one; see Endpoints."""

    def tell_step(self, session: Session, before: Endpoint, after: Endpoint, change: int) -> None:
        """Tell each tenant what a step of the endpoint's life means for it. `change` is its revision: the same again is told again."""
        for tenant in granted_tenants(session, after):
            kind = kind_of(before, after, tenant.tenant_id)
            if kind is not None:
                self._tell(session, after, tenant, kind, f"{_outcome(after, tenant.tenant_id)}, change {change}")
        for window in before.brownouts:
            if window.key_id is None and window not in after.brownouts:
                self.tell_brownout(session, after, window, BROWNOUT_CANCELLED)

    def tell_brownout(self, session: Session, endpoint: Endpoint, window: Brownout, kind: str = BROWNOUT) -> Reached:
        """Tell those whom a window is for that it is planned, or taken back."""
        told = granted_tenants(session, endpoint, window.tenant_id)
        starts_at, ends_at = moment_text(window.starts_at), moment_text(window.ends_at)
        more = {"id": window.id, "starts_at": starts_at, "ends_at": ends_at, "share": window.percent}
        for tenant in told:
            self._tell(session, endpoint, tenant, kind, f"{endpoint.name} brownout {window.id}", more=more)
        return Reached(len(told), len({tenant.tenant_id for tenant in told} & tenants_with_target(session)))

    def remind(self, session: Session, endpoint: Endpoint, reminder: Reminder, today: date) -> None:
        """Tell one tenant how near its last day is, once for each of these days and thresholds."""
        event, days = end_of(endpoint.name, reminder.last_day), (reminder.last_day - today).days
        self._tell(session, endpoint, reminder.tenant, SUNSET_NEAR, event, str(reminder.threshold), {"days": days})

    def _tell(
        self,
        session: Session,
        endpoint: Endpoint,
        tenant: Granted,
        kind: str,
        event: str,
        threshold: str = "",
        more: Mapping[str, Any] = NOTHING,
    ) -> None:
        announce(session, tenant.tenant_id, kind, event, threshold, {**self.words(endpoint, tenant), **more})

    def words(self, endpoint: Endpoint, tenant: Granted) -> dict[str, Any]:
        """What every notice of an endpoint says."""
        ending, last_moment = endpoint.deprecation, endpoint.last_moment(tenant.tenant_id)
        guided = ending is not None and self.has_guide(endpoint.model, endpoint.api_version, ending.successor)
        words = {
            "tenant": tenant.tenant,
            "model": endpoint.model,
            "api_version": endpoint.api_version,
            "sunset": last_moment and last_moment.date().isoformat(),
            "successor": successor_of(endpoint, self.base_url),
            "link": guide_url(replace(endpoint, guided=guided), self.base_url),
            "reason": ending and ending.reason,
        }
        return {name: value for name, value in words.items() if value is not None}


def kind_of(before: Endpoint, after: Endpoint, tenant_id: str) -> str | None:
    """What a step is to this tenant; None where nothing is different for it."""
    if after.state != before.state:
        return {"active": UNDEPRECATED, "retired": RETIRED}.get(after.state, DEPRECATED)
    if after.deprecation is None or before.deprecation is None:
        return None
    if after.last_day(tenant_id) == before.last_day(tenant_id) and after.deprecation.successor == before.deprecation.successor:
        return None
    extended = any(each.tenant_id == tenant_id and each not in before.extensions for each in after.extensions)
    return EXTENDED if extended else SUNSET_CHANGED


def reminders(session: Session, endpoint: Endpoint, today: date) -> Iterator[Reminder]:
    """What tenants are to be told today: of the nearest threshold alone, unless they have been told of this end since its day."""
    told: dict[date, list[Told]] = {}
    for tenant in granted_tenants(session, endpoint):
        last_day = endpoint.last_day(tenant.tenant_id)
        threshold = nearest_threshold(last_day, today) if last_day else None
        if last_day is None or threshold is None:
            continue
        if last_day not in told:
            told[last_day] = told_of_end(session, endpoint.model, endpoint.api_version, last_day)
        theirs = (each for each in told[last_day] if each.tenant_id == tenant.tenant_id)
        if not any(_covers(each, last_day, threshold) for each in theirs):
            yield Reminder(tenant, last_day, threshold)


def nearest_threshold(last_day: date, today: date) -> int | None:
    """The last of 90, 30, 7 and 1 days before it that has come; None before the first, and when the day is past."""
    days = (last_day - today).days
    return None if days < 0 else next((threshold for threshold in NEAR_DAYS if days <= threshold), None)


def _covers(told: Told, last_day: date, threshold: int) -> bool:
    """Whether a notice has told what a threshold would: it is this very one, or was made on the threshold's day or later."""
    return (told.kind, told.threshold) == (SUNSET_NEAR, str(threshold)) or (last_day - told.at.date()).days <= threshold


def _outcome(endpoint: Endpoint, tenant_id: str) -> str:
    last_day = endpoint.last_day(tenant_id)
    if endpoint.state == "deprecated" and last_day is not None:
        return end_of(endpoint.name, last_day)
    return f"{endpoint.name} {'retired' if endpoint.state == 'retired' else 'goes on'}"
