"""Usage read back: figures by whatever they are asked for by, from the summaries alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, func, literal_column
from sqlmodel import Session, col, select

from gatehouse.db.session import Database
from gatehouse.db.tables import TenantTable
from gatehouse.usage.store import DAYS, HOURS, REFUSED
from gatehouse.usage.summary import HOURS_A_DAY, SUMS

TENANTS: Table = TenantTable.__table__  # type: ignore[attr-defined]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_A_DAY = 86_400


class By(StrEnum):
    """What figures can be asked for by, in the order of their columns. With `hour`, each hour of a day stands alone."""

    DAY = "day"
    HOUR = "hour"
    TENANT = "tenant"
    KEY = "key"
    MODEL = "model"
    API_VERSION = "api_version"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Figures:
    """Calls and what they add up to; of what it is not asked for by, a member is None."""

    calls: int
    rows: int
    bytes_in: int
    bytes_out: int
    latency_us: int
    day: date | None = None
    hour: datetime | None = None
    """Its beginning."""
    tenant_id: str | None = None
    tenant: str | None = None
    """The tenant's name; its id where it is gone."""
    key_id: str | None = None
    model: str | None = None
    """'' for calls that reached none; so is `api_version`."""
    api_version: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class RefusedFigures:
    """Calls that were counted instead of written down."""

    status: int
    limit: str
    calls: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Figures of a span, and what was counted beside them."""

    figures: list[Figures]
    refused: list[RefusedFigures]


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """From `since` to `until` (UTC days, both included); of one tenant, key or model, or of all."""

    since: date
    until: date
    tenant_id: str | None = None
    key_id: str | None = None
    model: str | None = None


def read_usage(database: Database, tenant_id: str | None, since: date, until: date, by: Sequence[By]) -> Usage:
    """From `since` to `until` (UTC days, both included), of one tenant or of all."""
    with database.read() as session:
        figures = usage_figures(session, tenant_id=tenant_id, since=since, until=until, by=by)
        return Usage(figures, refused_figures(session, tenant_id=tenant_id, since=since, until=until))


def usage_figures(session: Session, *, tenant_id: str | None, since: date, until: date, by: Sequence[By]) -> list[Figures]:
    """Figures from `since` to `until` (UTC days, both included), of one tenant or of all, in the order of what they are by."""
    statement, groups = figures_of(UsageFilter(since, until, tenant_id), by)
    if groups:
        statement = statement.order_by(*(column for column in groups if column.name != "tenant_id"))
    return read_figures(session, statement)


def figures_of(wanted: UsageFilter, by: Sequence[By]) -> tuple[Any, list[ColumnElement[Any]]]:
    """What selects figures, in no order, and the columns that they are by."""
    table, span = (HOURS, HOURS.c.hour) if By.HOUR in by else (DAYS, DAYS.c.day)
    groups = _groups(table, span, by)
    sums = [func.sum(table.c[name]).label(name) for name in SUMS]
    first, end = day_number(wanted.since), day_number(wanted.until) + 1
    if table is HOURS:
        first, end = first * HOURS_A_DAY, end * HOURS_A_DAY
    narrowed = {"tenant_id": wanted.tenant_id, "key_id": wanted.key_id, "model": wanted.model}
    within = [table.c[name] == value for name, value in narrowed.items() if value is not None]
    statement = select(*groups, *sums).where(span >= first, span < end, *within)
    if By.TENANT in by:
        statement = statement.select_from(table.outerjoin(TENANTS, col(TenantTable.id) == table.c.tenant_id))
    return statement.group_by(*groups) if groups else statement, groups


def read_figures(session: Session, statement: Any) -> list[Figures]:
    """What such a statement finds."""
    return [_figures(row) for row in session.execute(statement).mappings() if row["calls"]]


def refused_figures(session: Session, *, tenant_id: str | None, since: date, until: date) -> list[RefusedFigures]:
    """Counted calls from `since` to `until` (UTC days, both included), by status and limit."""
    first, end = day_number(since) * SECONDS_A_DAY, (day_number(until) + 1) * SECONDS_A_DAY
    within = [REFUSED.c.second >= first, REFUSED.c.second < end, *([] if tenant_id is None else [REFUSED.c.tenant_id == tenant_id])]
    groups = (REFUSED.c.status, REFUSED.c.limit)
    statement = select(*groups, func.sum(REFUSED.c.calls).label("calls")).where(*within).group_by(*groups).order_by(*groups)
    return [RefusedFigures(row.status, row.limit, int(row.calls)) for row in session.execute(statement)]


def mean_ms(figures: Figures) -> float:
    """Milliseconds of a call on average, in the process that answered it; 0 without calls."""
    return round(figures.latency_us / figures.calls / 1000, 3) if figures.calls else 0.0


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - EPOCH.date()).days


def day_of(number: int) -> date:
    """The day of a number of days since 1970."""
    return EPOCH.date() + timedelta(days=number)


def _groups(table: Table, span: Column[Any], by: Sequence[By]) -> list[ColumnElement[Any]]:
    groups: list[ColumnElement[Any]] = []
    for each in By:
        if each not in by:
            continue
        if each is By.DAY:
            groups.append((span // literal_column("24")).label("day") if table is HOURS else span.label("day"))
        elif each is By.HOUR:
            groups.append(span.label("hour"))
        elif each is By.TENANT:
            groups += [func.coalesce(col(TenantTable.name), table.c.tenant_id).label("tenant"), table.c.tenant_id.label("tenant_id")]
        else:
            groups.append(table.c["key_id" if each is By.KEY else each.value])
    return groups


def _figures(row: Any) -> Figures:
    values: dict[str, Any] = dict(row)
    sums: dict[str, Any] = {name: int(values.pop(name)) for name in SUMS}
    if "day" in values:
        values["day"] = day_of(int(values["day"]))
    if "hour" in values:
        values["hour"] = EPOCH + timedelta(hours=int(values["hour"]))
    return Figures(**sums, **values)
