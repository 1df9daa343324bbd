"""`gatehouse status`: who serves, which versions, and what was answered in the last five minutes."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.deployment_status import DeploymentStatus, ServingProcess, read_status, wrongs
from gatehouse.cli.endpoint_facts import shadow_of
from gatehouse.cli.output import Json, day, moment, print_json, print_table
from gatehouse.db.migrate import what_is_missing
from gatehouse.db.session import GONE, DatabaseUrlInvalid, open_database
from gatehouse.errors import Refused
from gatehouse.metrics.recent_store import SPAN_S
from gatehouse.migration.endpoint import Endpoint
from gatehouse.settings import Settings

MIB = 1024 * 1024
START = "start a server (gatehouse serve), or run a command that makes something"


def status(json: Json = False) -> None:
    """Show who serves, which versions, and the calls and codes of the last five minutes, over all machines; changes nothing.

    Exit code 0: all is well. 1: something is wrong, and is said.

    Example: gatehouse status --json
    """
    found = _read(settings_or_refusal())
    wrong = list(wrongs(found))
    if json:
        print_json({"healthy": not wrong, "wrong": wrong, **_facts(found)})
    else:
        _show(found)
        for line in wrong:
            typer.echo(f"wrong: {line}")
    if wrong:
        raise typer.Exit(1)


def _read(settings: Settings) -> DeploymentStatus:
    """Raises Refused."""
    file = Path(settings.database.removeprefix("sqlite:///"))
    if settings.database.startswith("sqlite:///") and not file.is_file():
        raise Refused(f"there is no database at {file}: {START}")
    try:
        database = open_database(settings.database)
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    try:
        if missing := what_is_missing(database):
            raise Refused(f"the database is not at this Gatehouse's migration: {missing}")
        with database.read() as session:
            return read_status(session, settings)
    except GONE as error:
        why = type(getattr(error, "orig", None) or error).__name__
        raise Refused(f"the database does not answer ({why}): start it, or correct GATEHOUSE_DATABASE_URL") from None
    finally:
        database.close()


def _show(found: DeploymentStatus) -> None:
    if found.processes:
        columns = ("process", "host", "pid", "serves since", "state", "seen", "changes behind", "usage waiting", "usage lost")
        print_table(columns, [_process_row(each) for each in found.processes])
    if found.endpoints:
        titles = ("endpoint", "state", "version", "canary", "shadow", "calls", "rows", "answered", "refused", "failed")
        print_table(titles, [_endpoint_row(found, endpoint) for endpoint in found.endpoints])
    codes: Counter[tuple[int, str]] = Counter()
    for each in found.calls:
        codes[each.status, each.code] += each.calls
    if codes:
        print_table(("status", "code", "calls"), [(str(status), code, f"{calls:,}") for (status, code), calls in sorted(codes.items())])
    calls, serving = sum(codes.values()), len(found.serving)
    processes = "1 process serves" if serving == 1 else f"{serving} processes serve"
    typer.echo(f"{processes}; {calls:,} calls in {SPAN_S // 60} minutes; revision {found.revision}")


def _process_row(each: ServingProcess) -> tuple[str, ...]:
    process, standing = each.process, each.standing
    behind = f"{each.changes_behind} ({each.behind_s:.0f} s)" if each.changes_behind else "0"
    waiting = f"{standing.usage_backlog_bytes / MIB:.1f} MiB"
    since, seen = day(process.started_at, ""), f"{each.unseen_s:.0f} s ago"
    return process.id, process.host, str(process.pid), since, each.state, seen, behind, waiting, f"{standing.usage_lost:,}"


def _endpoint_row(found: DeploymentStatus, endpoint: Endpoint) -> tuple[str, ...]:
    calls, rows, *outcomes = _sums(found, endpoint)
    canary = f"{endpoint.canary_version} ({endpoint.canary_percent} % of keys)" if endpoint.canary_version else ""
    state = _state(endpoint, datetime.now(UTC))
    version = f"{_version(found, endpoint)} of {endpoint.bridged_to}" if endpoint.bridged_to else endpoint.stable_version
    versions = version, canary, shadow_of(endpoint)
    return endpoint.name, state, *versions, f"{calls:,}", f"{rows:,}", *(f"{each:,}" for each in outcomes)


def _state(endpoint: Endpoint, now: datetime) -> str:
    """For a table: with a brownout that is open now, but for rehearsals."""
    open_now = any(each.key_id is None and each.starts_at <= now < each.ends_at for each in endpoint.brownouts)
    return endpoint.state_at(now) + (", brownout" if open_now else "")


def _version(found: DeploymentStatus, endpoint: Endpoint) -> str | None:
    """What answers, also over a bridge."""
    if endpoint.bridged_to is None:
        return endpoint.stable_version
    other = (endpoint.model, endpoint.bridged_to)
    return next((each.stable_version for each in found.endpoints if (each.model, each.api_version) == other), None)


def _sums(found: DeploymentStatus, endpoint: Endpoint) -> tuple[int, int, int, int, int]:
    """Calls, rows, and how many calls were answered, refused (4xx) and failed (5xx)."""
    own = [each for each in found.calls if (each.model, each.api_version) == (endpoint.model, endpoint.api_version)]
    by_hundred = Counter[int]()
    for each in own:
        by_hundred[each.status // 100] += each.calls
    return sum(by_hundred.values()), sum(each.rows for each in own), by_hundred[2], by_hundred[4], by_hundred[5]


def _facts(found: DeploymentStatus) -> dict[str, Any]:
    return {
        "revision": found.revision,
        "processes": [_process_facts(each) for each in found.processes],
        "endpoints": [_endpoint_facts(found, endpoint) for endpoint in found.endpoints],
        "calls": {
            "seconds": SPAN_S,
            "outcomes": [
                {
                    "model": each.model or None,
                    "api_version": each.api_version or None,
                    "status": each.status,
                    "code": each.code or None,
                    "calls": each.calls,
                    "rows": each.rows,
                }
                for each in found.calls
            ],
        },
        "usage": {"backlog_bytes": found.backlog_bytes, "ended_spools_here": list(found.ended_spools)},
    }


def _process_facts(each: ServingProcess) -> dict[str, Any]:
    process, standing = each.process, each.standing
    return {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "state": each.state,
        "started_at": moment(process.started_at),
        "last_seen_at": moment(process.last_seen_at),
        "revision_seen": process.revision_seen,
        "changes_behind": each.changes_behind,
        "seconds_behind": round(each.behind_s, 1),
        "usage_backlog_bytes": standing.usage_backlog_bytes,
        "usage_lost": standing.usage_lost,
        "no_room": standing.no_room,
        "not_served": dict(standing.not_served),
    }


def _endpoint_facts(found: DeploymentStatus, endpoint: Endpoint) -> dict[str, Any]:
    calls, rows, answered, refused, failed = _sums(found, endpoint)
    return {
        "endpoint": endpoint.name,
        "state": endpoint.state_at(datetime.now(UTC)),
        "version": _version(found, endpoint),
        "bridged_to": endpoint.bridged_to,
        "canary_version": endpoint.canary_version,
        "canary_percent": endpoint.canary_percent,
        "shadow": {"with": endpoint.shadow.version, "share": endpoint.shadow.percent} if endpoint.shadow else None,
        "calls": calls,
        "rows": rows,
        "answered": answered,
        "refused": refused,
        "failed": failed,
    }
