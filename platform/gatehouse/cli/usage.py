"""`gatehouse usage`: calls and rows that were metered."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.cli.wishes import past_day
from gatehouse.identity.tenants import named_tenant
from gatehouse.usage.store import UsageRow, usage_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Calls and rows that were metered.",
    epilog=example("gatehouse usage show --tenant acme"),
)


class By(StrEnum):
    """What is added up for each day."""

    ENDPOINT = "endpoint"
    KEY = "key"


@app.callback()
def _usage() -> None:
    """Calls and rows that were metered."""


@app.command(epilog=example("gatehouse usage show --tenant acme --since 7d --by key"))
def show(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None,
    since: Annotated[str, typer.Option("--since", metavar="WHEN", help="7d or a date (UTC).")] = "30d",
    by: Annotated[By, typer.Option("--by", help="Add up by endpoint or also by key.")] = By.ENDPOINT,
    json: Json = False,
) -> None:
    """Show calls and metered rows by day (UTC)."""
    first, today = past_day(since), datetime.now(UTC).date()
    with open_deployment() as deployment, deployment.database.read() as session:
        tenant_id = None if tenant is None else named_tenant(session, tenant).id
        found = usage_table(session, tenant_id=tenant_id, since=first, until=today, by="key" if by is By.KEY else "endpoint")
    if json:
        print_json([facts(row, by) for row in found])
        return
    if not found:
        typer.echo(f"no calls of {tenant or 'anybody'} since {first}; a call shows here a few seconds after its answer")
        return
    columns = ("day", "tenant", *(("key id",) if by is By.KEY else ()), "model", "API version", "status", "calls", "rows")
    print_table(columns, [_row(row, by) for row in found])
    calls, rows = sum(row.calls for row in found), sum(row.rows for row in found)
    typer.echo(f"since {first}: {calls:,} {'call' if calls == 1 else 'calls'}, {rows:,} {'row' if rows == 1 else 'rows'} metered")


def facts(row: UsageRow, by: By) -> dict[str, Any]:
    """A line of usage for programs; model and API version are null for calls that reached none."""
    return {
        "day": row.day.isoformat(),
        "tenant": row.tenant,
        **({"key_id": row.key_id} if by is By.KEY else {}),
        "model": row.model or None,
        "api_version": row.api_version or None,
        "status": row.status,
        "calls": row.calls,
        "rows": row.rows,
    }


def _row(row: UsageRow, by: By) -> tuple[str, ...]:
    key = (row.key_id,) if by is By.KEY else ()
    sums = (f"{row.calls:,}", f"{row.rows:,}")
    return row.day.isoformat(), row.tenant, *key, row.model or "none", row.api_version or "none", str(row.status), *sums
