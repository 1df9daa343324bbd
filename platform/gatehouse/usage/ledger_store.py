"""Events against what they were added up to: which days there are, what differs, what is sealed, and taking sealed events away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, text
from sqlmodel import Session

from gatehouse.usage.figures_store import SECONDS_A_DAY, TENANTS, day_number, day_of
from gatehouse.usage.store import DAYS, EVENTS, HOURS, REFUSED, SEALING_LOCK, SEALS
from gatehouse.usage.summary import HOUR_US, HOURS_A_DAY, SUMS, Sums, plus

DAY_US = HOURS_A_DAY * HOUR_US
PARTS = ("key_id", "model", "api_version", "status")
Part = tuple[str, str, str, int]
"""Key, model, API version, status."""


@dataclass(frozen=True, slots=True, order=True)
class TenantDay:
    """What is verified, sealed and pruned at a time."""

    tenant_id: str
    day: int
    """Days since 1970 (UTC)."""

    @property
    def date(self) -> date:
        return day_of(self.day)


@dataclass(frozen=True, slots=True)
class Difference:
    """A sum that is not what it should be; (calls, rows, bytes in, bytes out, microseconds)."""

    of: TenantDay
    what: str
    """`hour`, `day` or `seal`."""
    part: Part | None
    expected: Sums
    found: Sums


@dataclass(frozen=True, slots=True)
class Checked:
    """A tenant's day, held against its events, or against its seal where it is sealed."""

    of: TenantDay
    sealed: bool
    events: int
    differences: list[Difference]


class Unequal(Exception):
    """A day that does not equal its events: they are the evidence, and stay."""

    def __init__(self, checked: Checked) -> None:
        self.of = checked.of
        super().__init__(f"the sums of {checked.of.date} are not what the events of tenant {checked.of.tenant_id} add up to")


def tenant_days(session: Session, tenant_id: str | None, since: date | None, until: date | None) -> list[TenantDay]:
    """All that have events or sums, from `since` to `until` (both included), oldest first for each tenant."""
    of_event = EVENTS.c.at_us // DAY_US
    pairs = [(DAYS.c.tenant_id, DAYS.c.day), (EVENTS.c.tenant_id, of_event), (SEALS.c.tenant_id, SEALS.c.day)]
    found: set[TenantDay] = set()
    for tenant, day in pairs:
        within = [] if tenant_id is None else [tenant == tenant_id]
        if since is not None:
            within.append(day >= day_number(since))
        if until is not None:
            within.append(day <= day_number(until))
        found |= {TenantDay(of, int(number)) for of, number in session.execute(select(tenant, day).where(*within).distinct())}
    return sorted(found)


def tenant_names(session: Session) -> dict[str, str]:
    """Names by id."""
    return {row.id: row.name for row in session.execute(select(TENANTS.c.id, TENANTS.c.name))}


def tenants_before(session: Session, day: int) -> list[str]:
    """Tenants that had calls before the day."""
    return sorted(session.execute(select(DAYS.c.tenant_id).where(DAYS.c.day < day).distinct()).scalars())


def hold_still(session: Session) -> None:
    """Have all that is read in the session be of one moment."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite's reader sees one moment anyway
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def check(session: Session, of: TenantDay) -> Checked:
    """Hold a day's hourly and daily sums against its events; where it is sealed, against its seal and each other."""
    hours, days = _sums(session, HOURS, HOURS.c.hour, of.tenant_id, of.day * 24, of.day * 24 + 23), _day_sums(session, of)
    seal = _seal(session, of)
    if seal is not None:
        differences = _compare(of, "hour", _by_part(hours), days)
        total = _total(days.values())
        if total != seal:
            differences.append(Difference(of, "seal", None, seal, total))
        return Checked(of, True, 0, differences)
    events = _event_sums(session, of)
    differences = _compare(of, "hour", events, hours) + _compare(of, "day", _by_part(events), days)
    return Checked(of, False, _total(events.values())[0], differences)


def seal(session: Session, of: TenantDay, reason: str, now: datetime) -> None:
    """From now on the day's sums stand without its events; nothing where it is sealed already. Raises Unequal."""
    _keep_apart(session)
    if _seal(session, of) is not None:
        return
    checked = check(session, of)
    if checked.differences:
        raise Unequal(checked)
    total = dict(zip(SUMS, _total(_day_sums(session, of).values()), strict=True))
    session.execute(insert(SEALS).values(tenant_id=of.tenant_id, day=of.day, reason=reason, sealed_at=now, **total))


def oldest_day(session: Session, tenant_id: str) -> TenantDay | None:
    """The first day of which the tenant still has events."""
    at_us = session.execute(select(func.min(EVENTS.c.at_us)).where(EVENTS.c.tenant_id == tenant_id)).scalar()
    return None if at_us is None else TenantDay(tenant_id, at_us // DAY_US)


def remove_events(session: Session, of: TenantDay, most: int) -> int:
    """Take away events of a sealed day; returns how many."""
    some = select(EVENTS.c.id).where(*_events_of(of)).limit(most)
    removed: Any = session.execute(delete(EVENTS).where(EVENTS.c.id.in_(some)))
    return int(removed.rowcount)


def remove_refused(session: Session, tenant_id: str, before_day: int) -> None:
    """Take away a day's counts of refused calls, the oldest."""
    first = session.execute(select(func.min(REFUSED.c.second)).where(REFUSED.c.tenant_id == tenant_id)).scalar()
    if first is not None and first // SECONDS_A_DAY < before_day:
        end = (first // SECONDS_A_DAY + 1) * SECONDS_A_DAY
        session.execute(delete(REFUSED).where(REFUSED.c.tenant_id == tenant_id, REFUSED.c.second < end))


def count_events(session: Session, tenant_id: str, before_day: int) -> int:
    """Events of the tenant before the day."""
    within = (EVENTS.c.tenant_id == tenant_id, EVENTS.c.at_us < before_day * DAY_US)
    return int(session.execute(select(func.count()).select_from(EVENTS).where(*within)).scalar_one())


def sealed_days(session: Session, tenant_id: str | None) -> set[TenantDay]:
    """Days whose events may be gone."""
    within = [] if tenant_id is None else [SEALS.c.tenant_id == tenant_id]
    return {TenantDay(of, day) for of, day in session.execute(select(SEALS.c.tenant_id, SEALS.c.day).where(*within))}


def events_of(session: Session, of: TenantDay) -> Iterator[Mapping[Any, Any]]:
    """The events of a day in the order of their time, a thousand at a time in memory."""
    statement = select(EVENTS).where(*_events_of(of)).order_by(EVENTS.c.at_us, EVENTS.c.id)
    yield from session.execute(statement.execution_options(yield_per=1000)).mappings()


def _keep_apart(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SEALING_LOCK})


def _events_of(of: TenantDay) -> tuple[ColumnElement[bool], ...]:
    return (EVENTS.c.tenant_id == of.tenant_id, EVENTS.c.at_us >= of.day * DAY_US, EVENTS.c.at_us < (of.day + 1) * DAY_US)


def _event_sums(session: Session, of: TenantDay) -> dict[tuple[Any, ...], Sums]:
    hour = (EVENTS.c.at_us // HOUR_US).label("hour")
    model, version = func.coalesce(EVENTS.c.model, ""), func.coalesce(EVENTS.c.api_version, "")
    groups = (hour, EVENTS.c.key_id, model, version, EVENTS.c.status)
    sums = (func.count(), *(func.sum(EVENTS.c[name]) for name in SUMS[1:]))
    return _keyed(session.execute(select(*groups, *sums).where(*_events_of(of)).group_by(*groups)))


def _day_sums(session: Session, of: TenantDay) -> dict[tuple[Any, ...], Sums]:
    days = _sums(session, DAYS, DAYS.c.day, of.tenant_id, of.day, of.day)
    return {key[1:]: sums for key, sums in days.items()}


def _sums(session: Session, table: Table, span: ColumnElement[int], tenant_id: str, first: int, last: int) -> dict[tuple[Any, ...], Sums]:
    columns = (span, *(table.c[name] for name in (*PARTS, *SUMS)))
    return _keyed(session.execute(select(*columns).where(table.c.tenant_id == tenant_id, span >= first, span <= last)))


def _keyed(rows: Any) -> dict[tuple[Any, ...], Sums]:
    return {(int(row[0]), *row[1:5]): plus([int(sum) for sum in row[5:]], [0] * len(SUMS)) for row in rows}


def _seal(session: Session, of: TenantDay) -> Sums | None:
    columns = [SEALS.c[name] for name in SUMS]
    row = session.execute(select(*columns).where(SEALS.c.tenant_id == of.tenant_id, SEALS.c.day == of.day)).first()
    return None if row is None else plus(row, [0] * len(SUMS))


def _by_part(hours: Mapping[tuple[Any, ...], Sums]) -> dict[tuple[Any, ...], Sums]:
    parts: dict[tuple[Any, ...], Sums] = {}
    for (_, *part), sums in hours.items():
        parts[tuple(part)] = plus(parts.get(tuple(part), (0,) * len(SUMS)), sums)
    return parts


def _total(sums: Any) -> Sums:
    total: Sums = (0, 0, 0, 0, 0)
    for each in sums:
        total = plus(total, each)
    return total


def _compare(of: TenantDay, what: str, expected: Mapping[Any, Sums], found: Mapping[Any, Sums]) -> list[Difference]:
    nothing: Sums = (0, 0, 0, 0, 0)
    keys: Sequence[Any] = sorted(expected.keys() | found.keys())
    pairs = [(key, expected.get(key, nothing), found.get(key, nothing)) for key in keys]
    return [Difference(of, what, key[-4:], one, other) for key, one, other in pairs if one != other]
