"""`gatehouse status`: who serves, which versions, and what was answered in the last five minutes."""

from collections import Counter
from datetime import UTC, datetime

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.endpoint_facts import shadow_of
from gatehouse.cli.looking import looked_at
from gatehouse.cli.output import Json, day, print_json, print_table
from gatehouse.composition.deployment_status import DeploymentStatus, ServingProcess, read_status, wrongs
from gatehouse.composition.status_facts import answering_version, status_facts, sums_of
from gatehouse.metrics.recent_store import SPAN_S
from gatehouse.migration.endpoint import Endpoint

MIB = 1024 * 1024


def status(json: Json = False) -> None:
    """Show who serves, which versions, and the calls and codes of the last five minutes, over all machines; changes nothing.

    Exit code 0: all is well. 1: something is wrong, and is said.

    Example: gatehouse status --json
    """
    settings = settings_or_refusal()
    with looked_at(settings) as database, database.read() as session:
        found = read_status(session, settings)
    wrong = list(wrongs(found))
    if json:
        print_json({"healthy": not wrong, "wrong": wrong, **status_facts(found, datetime.now(UTC))})
    else:
        _show(found)
        for line in wrong:
            typer.echo(f"wrong: {line}")
    if wrong:
        raise typer.Exit(1)


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
    calls, rows, *outcomes = sums_of(found, endpoint)
    canary = f"{endpoint.canary_version} ({endpoint.canary_percent} % of keys)" if endpoint.canary_version else ""
    state = _state(endpoint, datetime.now(UTC))
    version = f"{answering_version(found, endpoint)} of {endpoint.bridged_to}" if endpoint.bridged_to else endpoint.stable_version
    versions = version, canary, shadow_of(endpoint)
    return endpoint.name, state, *versions, f"{calls:,}", f"{rows:,}", *(f"{each:,}" for each in outcomes)


def _state(endpoint: Endpoint, now: datetime) -> str:
    """For a table: with a brownout that is open now, but for rehearsals."""
    open_now = any(each.key_id is None and each.starts_at <= now < each.ends_at for each in endpoint.brownouts)
    return endpoint.state_at(now) + (", brownout" if open_now else "")
