"""`gatehouse endpoints brownout | brownouts | cancel-brownout`: windows in which a deprecated endpoint answers 410 for a trial."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model
from gatehouse.cli.output import Json, example, moment, print_json, print_table
from gatehouse.cli.wishes import expiry
from gatehouse.identity.store import list_tenants
from gatehouse.migration.announcing import Reached
from gatehouse.migration.brownout import LONGEST_MIN
from gatehouse.migration.brownout_store import Planned
from gatehouse.migration.endpoint import Brownout, Endpoint
from gatehouse.migration.store import named_endpoint
from gatehouse.operating.brownouts import BrownoutWish, plan
from gatehouse.operating.brownouts import cancel as take_back

NOW = "now"


def brownout(
    model: Model,
    api_version: ApiVersion,
    at: Annotated[str, typer.Option("--at", metavar="MOMENT", help="A moment (UTC unless it says otherwise), 48h (from now) or now.")],
    minutes: Annotated[int, typer.Option("--minutes", help=f"How long it lasts, 1 to {LONGEST_MIN}.")] = 5,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant; else all.")] = None,
    share: Annotated[int, typer.Option("--share", metavar="PERCENT", help="Share of the calls that it refuses, 1 to 100.")] = 100,
    force: Annotated[bool, typer.Option("--force", help="Also sooner than 24 hours from now.")] = False,
    json: Json = False,
) -> None:
    """Let a deprecated endpoint answer 410 for a few minutes. Tenants are told of it now; those that have moved are spared."""
    wish = BrownoutWish(None if at == NOW else expiry(at), minutes, share, tenant)
    with open_deployment() as deployment:
        planned = plan(deployment, model, api_version, wish, force=force)
    tenant_id = planned.window.tenant_id
    names = {tenant_id: tenant} if tenant_id and tenant else {}
    if json:
        print_json(brownout_facts(planned.endpoint, planned.window, names) | _reached(planned.told))
        return
    _say(planned, names)
    typer.echo(f"to take it back: gatehouse endpoints cancel-brownout {planned.window.id}")


def brownouts(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """List the brownouts of an endpoint that are planned or under way, rehearsals of tenants' keys too."""
    with open_deployment() as deployment, deployment.database.read() as session:
        endpoint = named_endpoint(session, model, api_version)
        names = {tenant.id: tenant.name for tenant in list_tenants(session)}
    if json:
        print_json([brownout_facts(endpoint, window, names) for window in endpoint.brownouts])
        return
    if not endpoint.brownouts:
        typer.echo(f"no brownout is planned: gatehouse endpoints brownout {model} {api_version} --at MOMENT")
        return
    columns = ("id", "begins (UTC)", "ends (UTC)", "share", "whom it is for")
    print_table(columns, [_row(window, names) for window in endpoint.brownouts])


def cancel(
    brownout_id: Annotated[str, typer.Argument(metavar="ID", help="Of the brownout.")],
    json: Json = False,
) -> None:
    """Take a brownout back that is planned, or end one that is under way. Whom it was for is told."""
    with open_deployment() as deployment:
        taken = take_back(deployment, brownout_id)
        with deployment.database.read() as session:
            names = {tenant.id: tenant.name for tenant in list_tenants(session)}
    if json:
        print_json(brownout_facts(taken.endpoint, taken.window, names) | _reached(taken.told))
        return
    typer.echo(f"{brownout_id} is taken back: {taken.endpoint.name} answers {_whom(taken.window, names)} again")
    typer.echo(_told(taken.told))


def brownout_facts(endpoint: Endpoint, window: Brownout, tenants: Mapping[str, str]) -> dict[str, Any]:
    """A window for programs. `tenants`: names by id."""
    return {
        "id": window.id,
        "model": endpoint.model,
        "api_version": endpoint.api_version,
        "starts_at": moment(window.starts_at),
        "ends_at": moment(window.ends_at),
        "share": window.percent,
        "tenant": tenants.get(window.tenant_id) if window.tenant_id else None,
        "rehearsed_by_key": window.key_id,
    }


def _say(planned: Planned, tenants: Mapping[str, str]) -> None:
    endpoint, window = planned.endpoint, planned.window
    share = "all calls" if window.percent == 100 else f"{window.percent} % of the calls"
    span = f"{window.starts_at:%Y-%m-%d %H:%M:%S} to {window.ends_at:%H:%M:%S} UTC"
    typer.echo(f"{endpoint.name} answers {share} of {_whom(window, tenants)} with 410 from {span}")
    typer.echo(f"{_told(planned.told)}; whoever has moved is spared")


def _reached(told: Reached) -> dict[str, int]:
    return {"told": told.tenants, "told_by_webhook": told.by_webhook}


def _told(told: Reached) -> str:
    return f"{told.tenants} tenant{' is' if told.tenants == 1 else 's are'} told of it on /account, {told.by_webhook} by webhook too"


def _row(window: Brownout, tenants: Mapping[str, str]) -> tuple[str, ...]:
    begins, ends = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (window.starts_at, window.ends_at))
    return (window.id, begins, ends, f"{window.percent} %", _whom(window, tenants))


def _whom(window: Brownout, tenants: Mapping[str, str]) -> str:
    if window.tenant_id is None:
        return "all tenants"
    tenant = tenants.get(window.tenant_id, window.tenant_id)
    return f"{tenant}'s key {window.key_id}, which rehearses" if window.key_id else tenant


def add_brownout_commands(app: typer.Typer) -> None:
    """Beside the commands of an endpoint's life."""
    app.command(epilog=example("gatehouse endpoints brownout iris v1 --at 2027-05-01T10:00Z --minutes 10"))(brownout)
    app.command(epilog=example("gatehouse endpoints brownouts iris v1"))(brownouts)
    app.command("cancel-brownout", epilog=example("gatehouse endpoints cancel-brownout brn_1b9d6bcd0f4c2a7e"))(cancel)
