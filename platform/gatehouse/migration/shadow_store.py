"""What shadows came to, in the database: sums that every process adds to, read back over days."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures
from gatehouse.migration.shadow_rows_store import DAYS, FAILURES, SHIFTS, day_number
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums
from gatehouse.migration.shift_buckets import shift_quantiles

SUMS = ("calls", "dropped", "failed", "rows", "not_upgraded", "disagreed", "shift_sum")


def add_shadows(session: Session, sums: Mapping[ShadowDay, ShadowSums]) -> None:
    """Add sums to those that are there; several processes may at once."""
    ordered = sorted(sums.items())  # all processes take the rows in one order, so that none waits for the other in a ring
    keyed = [(key._asdict(), each) for key, each in ordered]
    _add(session, DAYS, SUMS, [key | {name: getattr(each, name) for name in SUMS} for key, each in keyed])
    buckets = [key | {"bucket": bucket, "rows": rows} for key, each in keyed for bucket, rows in sorted(each.shifts.items())]
    _add(session, SHIFTS, ("rows",), buckets)
    failures = [key | why._asdict() | {"rows": rows} for key, each in keyed for why, rows in sorted(each.failures.items())]
    _add(session, FAILURES, ("rows",), failures)


def shadow_figures(session: Session, model: str, api_version: str, since: date, tenant_id: str | None = None) -> list[ShadowFigures]:
    """By tenant and other version, over the days from `since` (UTC), of one tenant or of all."""
    shifts: dict[tuple[str, str], dict[int, int]] = {}
    groups = (SHIFTS.c.tenant_id, SHIFTS.c.other_version, SHIFTS.c.bucket)
    within = _within(SHIFTS, model, api_version, since, tenant_id)
    for tenant, other, bucket, rows in session.execute(select(*groups, func.sum(SHIFTS.c.rows)).where(*within).group_by(*groups)):
        shifts.setdefault((tenant, other), {})[bucket] = int(rows)
    by = (DAYS.c.tenant_id, DAYS.c.other_version)
    totals = [func.sum(DAYS.c[name]) for name in SUMS]
    found = session.execute(select(*by, *totals).where(*_within(DAYS, model, api_version, since, tenant_id)).group_by(*by).order_by(*by))
    return [_figures(tenant, other, sums, shifts.get((tenant, other), {})) for tenant, other, *sums in found]


def upgrade_failures(
    session: Session, model: str, api_version: str, since: date, tenant_id: str | None = None, *, other_version: str | None = None
) -> list[UpgradeFailures]:
    """By tenant, field and code, most rows first, from the day `since` (UTC) on; of all tenants and other versions, or of one."""
    groups = (FAILURES.c.tenant_id, FAILURES.c.field, FAILURES.c.code)
    rows = func.sum(FAILURES.c.rows)
    within = _within(FAILURES, model, api_version, since, tenant_id)
    if other_version is not None:
        within.append(FAILURES.c.other_version == other_version)
    statement = select(*groups, rows).where(*within).group_by(*groups)
    found = session.execute(statement.order_by(FAILURES.c.tenant_id, rows.desc(), FAILURES.c.field, FAILURES.c.code))
    return [UpgradeFailures(tenant, field, code, int(rows)) for tenant, field, code, rows in found]


def _add(session: Session, table: Table, sums: Sequence[str], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table)
    more = {name: table.c[name] + insert.excluded[name] for name in sums}
    session.execute(insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=more), rows)


def _within(table: Table, model: str, api_version: str, since: date, tenant_id: str | None) -> list[ColumnElement[bool]]:
    within = [table.c.model == model, table.c.api_version == api_version, table.c.day >= day_number(since)]
    return within if tenant_id is None else [*within, table.c.tenant_id == tenant_id]


def _figures(tenant: str, other: str, sums: Sequence[Any], shifts: Mapping[int, int]) -> ShadowFigures:
    calls, dropped, failed, rows, not_upgraded, disagreed = (int(each) for each in sums[:6])
    compared = rows - not_upgraded
    mean = float(sums[6]) / compared if compared else None
    return ShadowFigures(tenant, other, calls, dropped, failed, rows, not_upgraded, disagreed, mean, shift_quantiles(shifts))
