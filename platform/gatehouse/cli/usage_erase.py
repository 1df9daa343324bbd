"""`gatehouse usage erase`: a tenant's events are taken away on request; its sums stay, sealed."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, print_json
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted
from gatehouse.cli.wishes import instant
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.shadow_retention_store import remove_shadows
from gatehouse.usage.retention import erase as erase_events


def erase(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")],
    before: Annotated[
        str | None, typer.Option("--before", metavar="DATE", help="Those before this day; before this month unless given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Take away a tenant's usage events, and what shadows of its calls came to. It cannot be undone.

    Sums of events by hour and day stay and are sealed.
    """
    end = datetime.now(UTC).date().replace(day=1) if before is None else instant(before).date()
    with open_deployment() as deployment:
        with deployment.database.read() as session:
            tenant_id = named_tenant(session, tenant).id
        if not yes:
            typer.confirm(f"Take away all events of {tenant} before {end}? Their sums stay.", abort=True)
        with progress_bar("erase", 1) as begin:
            erased = erase_events(
                deployment.database, deployment.actor, tenant_id, tenant, end, lambda done, found: begin(f"{done:,} of {found:,} events")
            )
        with deployment.database.write() as session:
            remove_shadows(session, tenant_id, end)
    if json:
        print_json({"tenant": tenant, "before": end.isoformat(), "events": erased})
        return
    typer.echo(f"{counted(erased, 'event')} of {tenant} before {end} are gone; their sums stay: gatehouse usage show --tenant {tenant}")
