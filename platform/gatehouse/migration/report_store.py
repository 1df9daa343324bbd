"""The migration report out of the database: grants, keys, usage summaries, shadows and notices, in one transaction."""

from datetime import datetime, timedelta

from sqlmodel import Session

from gatehouse.migration.callers_store import callers_of
from gatehouse.migration.compared_store import compared_with
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.moves import MOVED_DAYS, Calls
from gatehouse.migration.moves_store import HOUR, called_between, calls_by_day, calls_of, last_calls
from gatehouse.migration.report import Findings, MigrationReport, report_of
from gatehouse.migration.report_standing import Moves, Pair, Told, first_day, later
from gatehouse.migration.shadow import UpgradeFailures
from gatehouse.migration.told_store import last_told

MovesByKey = dict[tuple[str, str], Moves]


def read_report(session: Session, pair: Pair, now: datetime, tenant_id: str | None = None) -> MigrationReport:
    """Of all tenants, or of one alone."""
    old, since = pair.old, first_day(now)
    callers = callers_of(session, old.model, now, tenant_id)
    moves = _moves(session, pair, now, tenant_id)
    compared = compared_with(session, old.model, old.api_version, pair.new, since, tenant_id)
    failures: dict[str, list[UpgradeFailures]] = {}
    for each in compared.failures:
        failures.setdefault(each.tenant_id, []).append(each)
    found = Findings(
        moves=moves,
        told=_told(session, old, moves, tenant_id),
        compared_with=compared.version,
        shadows={each.tenant_id: each for each in compared.shadows},
        failures=failures,
    )
    return report_of(pair, now, callers, found)


def _moves(session: Session, pair: Pair, now: datetime, tenant_id: str | None) -> MovesByKey:
    """Of each tenant and key: 30 days by the day, 7 days by the hour, and the last call however long ago."""
    model, old, new = pair.old.model, pair.old.api_version, pair.new.api_version
    month = calls_by_day(session, model, (old, new), first_day(now), tenant_id)
    week = calls_of(session, model, (old, new), now - timedelta(days=MOVED_DAYS), tenant_id)
    last = last_calls(session, model, old, tenant_id)
    parts = [
        *((_key(each), _of_month(each, old)) for each in month),
        *((_key(each), _of_week(each, old)) for each in week),
        *((key, Moves(last_old=hour)) for key, hour in last.items()),
    ]
    moves: MovesByKey = {}
    for key, part in parts:
        moves[key] = moves.get(key, Moves()) + part
    return moves


def _key(calls: Calls) -> tuple[str, str]:
    return calls.tenant_id, calls.key_id


def _of_month(calls: Calls, old: str) -> Moves:
    if calls.api_version != old:
        return Moves(new_calls=calls.calls)
    return Moves(old_calls=calls.calls, gone_calls=calls.gone, last_gone=calls.last_gone)


def _of_week(calls: Calls, old: str) -> Moves:
    if calls.api_version != old:
        return Moves(new_answered=calls.answered)
    return Moves(old_answered=calls.answered, last_gone=calls.last_gone)


def _told(session: Session, old: Endpoint, moves: MovesByKey, tenant_id: str | None) -> dict[str, Told]:
    """Since the deprecation; before it there was nothing to be told."""
    if old.deprecation is None:
        return {}
    since = old.deprecation.since
    notices = {tenant: at for tenant, at in last_told(session, old.model, old.api_version, tenant_id).items() if at >= since}
    calls: dict[str, datetime | None] = {}
    for (tenant, _), each in moves.items():
        calls[tenant] = later(calls.get(tenant), later(each.last_old, each.last_gone))
    answers = {tenant: _answered(session, old, tenant, hour, since) for tenant, hour in calls.items() if hour is not None}
    return {tenant: Told(notices.get(tenant), answers.get(tenant)) for tenant in notices.keys() | answers.keys()}


def _answered(session: Session, old: Endpoint, tenant_id: str, hour: datetime, since: datetime) -> datetime | None:
    """From when on the last call came that said so; of the hour of the deprecation only its second part did."""
    if hour >= since:
        return hour
    end = hour + HOUR
    told = end > since and called_between(session, tenant_id, old.model, old.api_version, since, end)
    return since if told else None
