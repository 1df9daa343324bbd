"""`gatehouse usage erase`: a tenant's events are taken away on request; its sums stay, sealed."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, print_json
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted
from gatehouse.cli.wishes import instant
from gatehouse.errors import Refused
from gatehouse.identity.tenants import named_tenant
from gatehouse.operating.erasing import erase_usage


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
            named_tenant(session, tenant)
        if not (yes or _agreed(f"Take away all events of {tenant} before {end}? Their sums stay.")):
            raise Refused("nothing was taken away: answer y, or give --yes where nobody can answer")
        with progress_bar("erase", 1) as begin:
            erased, _ = erase_usage(deployment, tenant, end, lambda done, found: begin(f"{done:,} of {found:,} events"))
    if json:
        print_json({"tenant": tenant, "before": end.isoformat(), "events": erased})
        return
    typer.echo(f"{counted(erased, 'event')} of {tenant} before {end} are gone; their sums stay: gatehouse usage show --tenant {tenant}")


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # nobody there, or Ctrl-C
        typer.echo(err=True)
        return False
