"""`/admin/usage`: calls and rows that were metered, of all tenants, by whatever it is asked for."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gatehouse.api.account_usage import MAX_DAYS, MAX_DAYS_BY_HOUR, SUMS, check_span, refused, told
from gatehouse.api.admin.changing import AdminReader
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import Model, Reference
from gatehouse.api.admin.tenant_filter import tenant_id_of
from gatehouse.api.key_bodies import Closed
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.usage.figures_page_store import page_of_figures, place_kinds, place_of
from gatehouse.usage.figures_store import By, Figures, UsageFilter, figures_of, mean_ms, read_figures, refused_figures

LIST = "usage"
CHOICES = {by.value: by for by in By}
DEFAULT_BY = "day,tenant,model,api_version,status"
DEFAULT_DAYS = 31
MONTH = "^[0-9]{4}-(0[1-9]|1[0-2])$"


class UsageQuery(PageQuery):
    """Which calls, and what they are added up by."""

    since: Annotated[date | None, Field(description="First day (UTC); 30 days before `until` unless given")] = None
    until: Annotated[date | None, Field(description="Last day (UTC); today unless given")] = None
    month: Annotated[str | None, Field(pattern=MONTH, description="A whole month (UTC), YYYY-MM, instead of `since` and `until`")] = None
    tenant: Annotated[Reference | None, Field(description="Of one tenant alone, by id or name")] = None
    key: Annotated[str | None, Field(pattern="^[0-9A-Za-z]{16}$", description="Of one key alone, by id")] = None
    model: Model | None = None
    by: Annotated[str, Field(max_length=100, description=f"What to add up by, a comma between two: {', '.join(CHOICES)}")] = DEFAULT_BY


class UsageSums(Closed):
    """`mean_ms`: of a call on average, in the server."""

    calls: int
    rows: int
    bytes_in: int
    bytes_out: int
    mean_ms: float


class UsageLine(UsageSums):
    """Members that were not asked for are left out. `model` and `api_version` are null for calls that reached none."""

    day: date | None = None
    hour: datetime | None = None
    tenant: str | None = None
    key: str | None = None
    model: str | None = None
    api_version: str | None = None
    status: int | None = None


class CountedCalls(Closed):
    """Calls that were counted instead of metered."""

    status: int
    limit: str
    calls: int


class UsageBody(Closed):
    """`total` is of all pages. `refused` is null where it was asked for one key or model, which no count is of."""

    since: date
    until: date
    total: UsageSums
    refused: list[CountedCalls] | None
    items: list[UsageLine]
    next: str | None


def usage_router(parts: AdminParts) -> APIRouter:
    """Usage of all tenants."""
    router = strict_router(prefix="/admin/usage", tags=["admin: usage"])

    @get_and_head(
        router,
        "",
        summary="Calls and rows by day, hour, tenant, key, model, API version and status",
        operation_id="admin_show_usage",
        response_model_exclude_unset=True,
    )
    @parts.limited
    def show(request: Request, principal: AdminReader, query: Annotated[UsageQuery, Query()]) -> UsageBody:
        by, (first, last) = _chosen(query.by), _span(query, parts.now().date())
        check_span(first, last, MAX_DAYS_BY_HOUR if By.HOUR in by else MAX_DAYS)
        after = query.after(LIST, *place_kinds(by))
        with parts.database.read() as session:
            wanted = UsageFilter(first, last, tenant_id_of(session, query.tenant), query.key, query.model)
            found = page_of_figures(session, wanted, by, after, query.limit + 1)
            total = read_figures(session, figures_of(wanted, ())[0])
            counted = refused_figures(session, tenant_id=wanted.tenant_id, since=first, until=last)
        items, cursor = query.cut(LIST, found, lambda each: tuple(map(str, place_of(each, by))))
        whole = query.key is None and query.model is None
        return UsageBody(
            since=first,
            until=last,
            total=_sums(total[0] if total else Figures(0, 0, 0, 0, 0)),
            refused=[CountedCalls(status=each.status, limit=each.limit, calls=each.calls) for each in counted] if whole else None,
            items=[_line(each, by) for each in items],
            next=cursor,
        )

    return router


def _chosen(text: str) -> list[By]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or any(name not in CHOICES for name in names):
        raise refused("by", f"must be of {', '.join(CHOICES)}, a comma between two")
    return [by for name, by in CHOICES.items() if name in names]


def _span(query: UsageQuery, today: date) -> tuple[date, date]:
    """Raises InvalidInput."""
    if query.month is None:
        last = query.until or today
        return query.since or last - timedelta(days=min(DEFAULT_DAYS - 1, last.toordinal() - 1)), last
    if query.since or query.until:
        raise refused("month", "stands instead of since and until")
    year, month = map(int, query.month.split("-"))
    if not 1 <= year < date.max.year:
        raise refused("month", "must be a month of the years 1 to 9998")
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _line(figures: Figures, by: list[By]) -> UsageLine:
    named = {each.value: told(figures, each) for each in by}
    return UsageLine(**named, **_sums(figures).model_dump())


def _sums(figures: Figures) -> UsageSums:
    return UsageSums(**{name: getattr(figures, name) for name in SUMS}, mean_ms=mean_ms(figures))
