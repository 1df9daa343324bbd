"""`gatehouse usage`: calls and rows that were metered."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, example, print_json
from gatehouse.cli.usage_erase import erase
from gatehouse.cli.usage_export import export
from gatehouse.cli.usage_lines import counted, facts, print_figures
from gatehouse.cli.usage_verify import verify
from gatehouse.cli.wishes import names, past_days
from gatehouse.identity.tenants import named_tenant
from gatehouse.usage.figures_store import By, Usage, read_usage

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Calls and rows that were metered.",
    epilog=example("gatehouse usage show --tenant acme"),
)
DEFAULT_BY = "day,tenant,model,api_version,status"
CHOICES = ", ".join(By)
Tenant = Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")]
Since = Annotated[str, typer.Option("--since", metavar="WHEN", help="First day: 7d ago or a date (UTC).")]
Until = Annotated[str, typer.Option("--until", metavar="WHEN", help="Last day: 1d ago or a date (UTC).")]


@app.callback()
def _usage() -> None:
    """Calls and rows that were metered."""


@app.command(epilog=example("gatehouse usage show --tenant acme --since 7d --by day,key"))
def show(
    tenant: Tenant = None,
    since: Since = "30d",
    until: Until = "0d",
    by: Annotated[str, typer.Option("--by", metavar="NAME,…", help=f"What to add up by: {CHOICES}.")] = DEFAULT_BY,
    json: Json = False,
) -> None:
    """Show calls and metered rows, by day (UTC) unless asked otherwise."""
    (first, last), chosen = past_days(since, until), _chosen(by)
    with open_deployment() as deployment:
        with deployment.database.read() as session:
            tenant_id = None if tenant is None else named_tenant(session, tenant).id
        found = read_usage(deployment.database, tenant_id, first, last, chosen)
    if json:
        print_json([facts(each, chosen) for each in found.figures])
        return
    if not found.figures:
        until_day = "" if last == datetime.now(UTC).date() else f" until {last}"
        typer.echo(f"no calls of {tenant or 'anybody'} since {first}{until_day}; a call shows here a few seconds after its answer")
    else:
        print_figures(found.figures, chosen)
    _say_totals(found, f"since {first}")


def _say_totals(found: Usage, span: str) -> None:
    if found.figures:
        calls, rows = sum(each.calls for each in found.figures), sum(each.rows for each in found.figures)
        typer.echo(f"{span}: {counted(calls, 'call')}, {counted(rows, 'row')} metered")
    for refused in found.refused:
        typer.echo(f"beside them, counted only: {counted(refused.calls, 'call')} with {refused.status}, {refused.limit}")


def _chosen(by: str) -> list[By]:
    wrong = [name for name in names(by) if name not in list(By)]
    if wrong or not names(by):
        raise typer.BadParameter(f"write --by as day,tenant: of {CHOICES}" + (f"; not '{wrong[0]}'" if wrong else ""))
    return [each for each in By if each in names(by)]


for command, shown in (
    (export, "gatehouse usage export --tenant acme --since 2026-11-01 --until 2026-11-30 --output acme.csv"),
    (verify, "gatehouse usage verify"),
    (erase, "gatehouse usage erase acme --before 2026-11-01"),
):
    app.command(epilog=example(shown))(command)
