"""The migration report for programs: as JSON values, and as rows of a table."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.report import KeyRow, MigrationReport, TenantRow
from gatehouse.migration.report_standing import SPAN_DAYS, Moves, Standing, Told
from gatehouse.migration.report_verdict import Verdict
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures

Cell = str | int | None
DIGITS = 4
"""Decimals of a share."""
OF_MOVES = (
    *("last_old_call", "old_calls", "new_calls", "gone_calls", "share_on_new"),
    *("old_answered_7_days", "new_answered_7_days"),
)
COLUMNS = (
    *("model", "old", "new", "tenant", "key_id", "key_name", "key_verdict", *OF_MOVES),
    *("tenant_verdict", "tenant_reasons", "spared_by_brownouts", "tenant_last_day", "told_by_notice", "told_by_answer", "compared_with"),
    *("compared_rows", "disagreed_rows", "disagreement", "not_upgraded_rows", "upgrade_failures"),
)


def report_facts(report: MigrationReport) -> dict[str, Any]:
    """The whole report. `upgrade_failures` of a tenant is null where nothing is known of them."""
    pair, off = report.pair, report.switched_off
    return {
        "model": pair.old.model,
        "old": _endpoint(pair.old, report.at),
        "new": _endpoint(pair.new, report.at),
        **span_facts(report),
        "upgrade_rules": pair.rules,
        "if_switched_off": {"tenants": off.tenants, "calls_a_day": off.calls_a_day},
        "verdicts": {word.value: count for word, count in report.verdicts.items()},
        "tenants": [{"tenant": row.tenant, **tenant_facts(row)} for row in report.tenants],
    }


def span_facts(report: MigrationReport) -> dict[str, Any]:
    """When it was made, over which days, and which model version calls were compared with."""
    return {"at": _moment(report.at), "since": report.since.isoformat(), "days": SPAN_DAYS, "compared_with": report.compared_with}


def tenant_facts(row: TenantRow) -> dict[str, Any]:
    """What is known of one tenant, without its name."""
    standing = row.standing
    return {
        **_verdict(row.verdict),
        **_moves(standing.moves),
        "spared_by_brownouts": standing.moves.moved,
        "last_day": row.last_day.isoformat() if row.last_day else None,
        "told": _told(standing.told),
        "shadow": shadow_facts(standing.shadow) if standing.shadow else None,
        "upgrade_failures": _failures(standing),
        "keys": [_key(key) for key in row.keys],
    }


def csv_rows(report: MigrationReport) -> Iterator[Sequence[Cell]]:
    """A line for each key under COLUMNS, and one for each tenant without a key. What is of the whole tenant repeats on each."""
    pair = (report.pair.old.model, report.pair.old.api_version, report.pair.new.api_version)
    for row in report.tenants:
        of_tenant = _tenant_cells(row, report.compared_with)
        for key in row.keys:
            facts = _moves(key.moves)
            of_key = (key.key.id, key.key.name, key.verdict.word.value, *(_cell(facts[name]) for name in OF_MOVES))
            yield (*pair, row.tenant, *of_key, *of_tenant)
        if not row.keys:
            yield (*pair, row.tenant, *(None for _ in range(3 + len(OF_MOVES))), *of_tenant)


def _tenant_cells(row: TenantRow, compared_with: str | None) -> tuple[Cell, ...]:
    shadow, told = row.standing.shadow, _told(row.standing.told)
    counts: tuple[Cell, ...] = (None, None, None, None)
    if shadow is not None:
        counts = (shadow.compared, shadow.disagreed, _cell(_disagreement(shadow)), shadow.not_upgraded)
    reasons = "; ".join(f"{reason.code}: {reason.text}" for reason in row.verdict.reasons)
    last_day = row.last_day.isoformat() if row.last_day else None
    failures = failures_text(row.standing.failures) if _failures(row.standing) is not None else None
    spared = "yes" if row.standing.moves.moved else "no"
    return (row.verdict.word.value, reasons, spared, last_day, told["by_notice"], told["by_answer"], compared_with, *counts, failures)


def shadow_facts(shadow: ShadowFigures) -> dict[str, Any]:
    """All figures, with the disagreement as a share of the compared rows."""
    counts = {name: getattr(shadow, name) for name in ("calls", "dropped", "failed", "rows", "not_upgraded", "compared", "disagreed")}
    quantiles = {str(percent): round(shift, DIGITS) for percent, shift in shadow.shift_quantiles.items()}
    mean = None if shadow.shift_mean is None else round(shadow.shift_mean, DIGITS)
    return counts | {"disagreement": _disagreement(shadow), "shift_mean": mean, "shift_quantiles": quantiles}


def failure_facts(failures: Sequence[UpgradeFailures]) -> list[dict[str, Any]]:
    """By field and code."""
    return [{"field": each.field, "code": each.code, "rows": each.rows} for each in failures]


def failures_text(failures: Sequence[UpgradeFailures]) -> str:
    """`age out_of_range 9, size missing 2`, or `none`."""
    return ", ".join(f"{each.field} {each.code} {each.rows:,}" for each in failures) or "none"


def _endpoint(endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    ending = endpoint.deprecation
    return {
        "api_version": endpoint.api_version,
        "state": endpoint.state_at(now),
        "model_version": endpoint.stable_version,
        "bridged_to": endpoint.bridged_to,
        "deprecated_at": _moment(ending.since) if ending else None,
        "sunset": ending.sunset.isoformat() if ending else None,
        "successor": ending.successor if ending else None,
    }


def _key(row: KeyRow) -> dict[str, Any]:
    return {"key_id": row.key.id, "name": row.key.name, **_verdict(row.verdict), **_moves(row.moves)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    reasons = [{"code": each.code, "verdict": each.weighs.value, "detail": each.text} for each in verdict.reasons]
    return {"verdict": verdict.word.value, "reasons": reasons}


def _moves(moves: Moves) -> dict[str, Any]:
    return {
        "last_old_call": _moment(moves.last_old),
        "old_calls": moves.old_calls,
        "new_calls": moves.new_calls,
        "gone_calls": moves.gone_calls,
        "share_on_new": None if moves.share is None else round(moves.share, DIGITS),
        "old_answered_7_days": moves.old_answered,
        "new_answered_7_days": moves.new_answered,
    }


def _told(told: Told) -> dict[str, str | None]:
    return {"by_notice": _moment(told.by_notice), "by_answer": _moment(told.by_answer)}


def _disagreement(shadow: ShadowFigures) -> float | None:
    return round(shadow.disagreed / shadow.compared, DIGITS) if shadow.compared else None


def _failures(standing: Standing) -> list[dict[str, Any]] | None:
    """None where no row was tried."""
    if not standing.failures and not (standing.shadow and standing.shadow.rows):
        return None
    return failure_facts(standing.failures)


def _cell(value: Any) -> Cell:
    return str(value) if isinstance(value, float) else value


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
