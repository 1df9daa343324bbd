"""`/admin/usage/events`, `verify` and `erase`: the events behind the figures, their proof, and their end on request."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gatehouse.api.account_usage import MAX_DAYS, check_span
from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import Reference
from gatehouse.api.admin.tenant_filter import tenant_id_of
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.db.session import Database
from gatehouse.operating.desk import Desk
from gatehouse.operating.erasing import erase_usage
from gatehouse.usage.events_page_store import microseconds, page_of_events
from gatehouse.usage.figures_page_store import day_step
from gatehouse.usage.figures_store import EPOCH
from gatehouse.usage.ledger_store import Checked, Difference, TenantDay, check, hold_still, tenant_days, tenant_names
from gatehouse.usage.summary import SUMS

EVENTS, DAYS = "usage events", "usage days"
LONGEST_S = 10.0
"""Of one call; what is left is done by the next one."""
DEFAULT_DAYS = 31


class SpanQuery(PageQuery):
    """Whose, and of which days."""

    since: Annotated[date | None, Field(description="First day (UTC); 30 days before `until` unless given")] = None
    until: Annotated[date | None, Field(description="Last day (UTC); today unless given")] = None
    tenant: Annotated[Reference | None, Field(description="Of one tenant alone, by id or name")] = None

    def span(self, today: date) -> tuple[date, date]:
        """Raises InvalidInput."""
        last = self.until or today
        first = self.since or last - timedelta(days=min(DEFAULT_DAYS - 1, last.toordinal() - 1))
        check_span(first, last, MAX_DAYS)
        return first, last


class EventEntry(Closed):
    """One call. `model` and what follows are null where it reached none."""

    id: str
    at: datetime
    tenant: str
    key_id: str
    model: str | None
    api_version: str | None
    model_version: str | None
    engine: str | None
    rows: int
    status: int
    code: str | None
    latency_us: int
    bytes_in: int
    bytes_out: int
    request_id: str


class EventList(Closed):
    """By tenant's id and time."""

    items: list[EventEntry]
    next: str | None


class SumsEntry(Closed):
    """What events add up to."""

    calls: int
    rows: int
    bytes_in: int
    bytes_out: int
    latency_us: int


class DifferenceEntry(Closed):
    """A sum that is not what it was made of; the key and what follows are null where it is of the whole day."""

    tenant: str
    day: date
    of: Literal["hour", "day", "seal"]
    key_id: str | None
    model: str | None
    api_version: str | None
    status: int | None
    expected: SumsEntry
    found: SumsEntry


class VerifiedDays(Closed):
    """Of so many days of tenants: those that were held against their events, and those that are sealed. `next`: there are more."""

    equal: bool
    days: int
    events: int
    sealed_days: int
    differences: list[DifferenceEntry]
    next: str | None


class Erasure(Closed):
    """Whose events are taken away, before which day (UTC); the present month stays."""

    tenant: Reference
    before: date


class ErasedEvents(Closed):
    """`left` are still to go: send it again."""

    tenant: str
    before: date
    events: int
    left: int


def usage_events_router(parts: AdminParts) -> APIRouter:
    """Events, their proof, and their end."""
    router = strict_router(prefix="/admin/usage", tags=["admin: usage"])

    @get_and_head(router, "/events", summary="The metered calls themselves", operation_id="admin_list_usage_events")
    @parts.limited
    def events(request: Request, principal: AdminReader, query: Annotated[SpanQuery, Query()]) -> EventList:
        (first, last), after = query.span(parts.now().date()), query.after(EVENTS, str, microseconds, str)
        with parts.database.read() as session:
            found = page_of_events(session, tenant_id_of(session, query.tenant), first, last, after, query.limit + 1)
            names = tenant_names(session) if found else {}
        items, cursor = query.cut(EVENTS, found, lambda each: (each["tenant_id"], str(each["at_us"]), each["id"]))
        return EventList(items=[_event(each, names) for each in items], next=cursor)

    @get_and_head(
        router,
        "/verify",
        summary="Hold sums against their events, so many days of tenants at a time",
        operation_id="admin_verify_usage",
    )
    @parts.limited
    def verify(request: Request, principal: AdminReader, query: Annotated[SpanQuery, Query()]) -> VerifiedDays:
        (first, last), after = query.span(parts.now().date()), query.after(DAYS, str, day_step)
        with parts.database.read() as session:
            known, names = tenant_days(session, tenant_id_of(session, query.tenant), first, last), tenant_names(session)
        left = [of for of in known if after is None or (of.tenant_id, of.day) > after]
        checked = list(_checked(parts.database, left[: query.limit]))
        seen = query.model_copy(update={"limit": len(checked)})
        _, cursor = seen.cut(DAYS, left, lambda of: (of.tenant_id, str(of.day)))
        differences = [_difference(each, names) for day in checked for each in day.differences]
        return VerifiedDays(
            equal=not differences,
            days=sum(not each.sealed for each in checked),
            events=sum(each.events for each in checked),
            sealed_days=sum(each.sealed for each in checked),
            differences=differences,
            next=cursor,
        )

    @router.post(
        "/erase",
        summary="Take away a tenant's events; their sums stay, sealed",
        operation_id="admin_erase_usage",
        **changes(409, body=Erasure, matched=False),
    )
    @parts.limited
    def erase(request: Request, principal: AdminWriter, body: Body) -> ErasedEvents:
        asked, until = parsed(request, body, Erasure), time.monotonic() + LONGEST_S
        with parts.database.read() as session:
            tenant = named_in_body(session, asked.tenant).name
        desk = Desk(settings=parts.settings, database=guarded_database(request, parts), actor=actor_of(request, principal))
        with said_by_admin():
            erased = erase_usage(desk, tenant, asked.before, lambda _done, _found: None, lambda: time.monotonic() > until)
        return ErasedEvents(tenant=tenant, before=asked.before, events=erased.events, left=erased.left)

    return router


def _checked(database: Database, days: Sequence[TenantDay]) -> Iterator[Checked]:
    """As many as there is time for, at least one."""
    until = time.monotonic() + LONGEST_S
    for of in days:
        with database.read() as session:
            hold_still(session)
            yield check(session, of)
        if time.monotonic() > until:
            return


def _event(event: Mapping[Any, Any], names: Mapping[str, str]) -> EventEntry:
    members = {name: event[name] for name in EventEntry.model_fields if name not in ("at", "tenant")}
    at = (EPOCH + timedelta(microseconds=event["at_us"])).astimezone(UTC)
    return EventEntry(**members, at=at, tenant=names.get(event["tenant_id"], event["tenant_id"]))


def _difference(each: Difference, names: Mapping[str, str]) -> DifferenceEntry:
    key_id, model, api_version, status = each.part or (None, None, None, None)
    expected, found = (SumsEntry(**dict(zip(SUMS, sums, strict=True))) for sums in (each.expected, each.found))
    return DifferenceEntry(
        tenant=names.get(each.of.tenant_id, each.of.tenant_id),
        day=each.of.date,
        of=each.what,
        key_id=key_id,
        model=model or None,
        api_version=api_version or None,
        status=status,
        expected=expected,
        found=found,
    )
