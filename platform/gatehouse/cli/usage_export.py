"""`gatehouse usage export`: the events themselves, so that every figure can be traced to its calls."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted, in_order
from gatehouse.cli.wishes import past_days
from gatehouse.cli.written_file import written_file
from gatehouse.identity.tenants import named_tenant
from gatehouse.usage.csv_text import csv_lines
from gatehouse.usage.ledger_store import TenantDay, events_of, sealed_days, tenant_days, tenant_names

COLUMNS = (
    "id",
    "at",
    "tenant",
    "key_id",
    "model",
    "api_version",
    "model_version",
    "engine",
    "rows",
    "status",
    "code",
    "latency_us",
    "bytes_in",
    "bytes_out",
    "request_id",
)


class Format(StrEnum):
    """How events are written."""

    CSV = "csv"
    NDJSON = "ndjson"


def export(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None,
    since: Annotated[str, typer.Option("--since", metavar="WHEN", help="First day: 7d ago or a date (UTC).")] = "30d",
    until: Annotated[str, typer.Option("--until", metavar="WHEN", help="Last day: 1d ago or a date (UTC).")] = "0d",
    format: Annotated[Format, typer.Option("--format", help="csv, or ndjson: a JSON object a line.")] = Format.CSV,
    out: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write there; on standard output unless given.")] = None,
) -> None:
    """Write the usage events of some days, one line each, in the order of tenants and time."""
    first, last = past_days(since, until)
    with open_deployment() as deployment, written_file(out) as target:
        with deployment.database.read() as session:
            tenant_id = None if tenant is None else named_tenant(session, tenant).id
            names = tenant_names(session)
            days = in_order(tenant_days(session, tenant_id, first, last), names)
            sealed = sealed_days(session, tenant_id).intersection(days)
        if format is Format.CSV:
            target.write(csv_lines([COLUMNS]))
        count = 0
        with progress_bar("export", len(days)) as begin:
            for of in days:
                begin(f"{names.get(of.tenant_id, of.tenant_id)} {of.date}")
                count += _write_day(deployment, target, of, names, format)
    where = f" to {out}" if out else ""
    typer.echo(f"{counted(count, 'event')} written{where}", err=True)
    if sealed:
        typer.echo(f"of {counted(len(sealed), 'day')} the events are gone or going; their sums stay: gatehouse usage show", err=True)


def _write_day(deployment: Deployment, target: TextIO, of: TenantDay, names: Mapping[str, str], format: Format) -> int:
    count = 0
    with deployment.database.read() as session:
        for event in events_of(session, of):
            line = _line(event, names)
            target.write(csv_lines([line.values()]) if format is Format.CSV else json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count


def _line(event: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, Any]:
    at = datetime.fromtimestamp(event["at_us"] // 1_000_000, UTC).replace(microsecond=event["at_us"] % 1_000_000)
    tenant = names.get(event["tenant_id"], event["tenant_id"])
    shown = {"at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"), "tenant": tenant}
    return {name: shown[name] if name in shown else event[name] for name in COLUMNS}
