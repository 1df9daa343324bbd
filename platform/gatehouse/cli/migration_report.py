"""`gatehouse migration report`: who still calls an API version, what breaks if it is switched off, and who has been told."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import Model
from gatehouse.cli.migration_table import print_report
from gatehouse.cli.output import Json, print_json
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.report_facts import COLUMNS, csv_rows, report_facts
from gatehouse.operating.reporting import migration_report
from gatehouse.usage.csv_text import csv_lines

Old = Annotated[str, typer.Argument(metavar="OLD", help="The API version to be switched off: v1.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="The later one to move to: v2.")]


def report(
    model: Model,
    old: Old,
    new: New,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant alone.")] = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each key.")] = False,
) -> None:
    """Show for each tenant and key what it calls, how far it has moved, what speaks against moving, and when it was told."""
    if json and csv:
        raise typer.BadParameter("choose --json or --csv")
    with open_deployment() as deployment, deployment.database.read() as session:
        tenant_id = None if tenant is None else named_tenant(session, tenant).id
        found = migration_report(session, deployment.settings, model, old, new, datetime.now(UTC), tenant_id)
    if json:
        print_json(report_facts(found))
    elif csv:
        typer.echo(csv_lines([COLUMNS, *csv_rows(found)]), nl=False)
    else:
        print_report(found)
