"""`gatehouse grants`: which models a tenant may call."""

from typing import Annotated, Any

import typer

from gatehouse.cli.access import say_access
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table
from gatehouse.cli.waiting import Wait, wait_for_servers
from gatehouse.identity import tenants
from gatehouse.identity.store import Grant
from gatehouse.migration.store import api_versions_by_model

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Which models a tenant may call.",
    epilog=example("gatehouse grants add acme churn"),
)

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
ApiVersion = Annotated[str | None, typer.Option("--api-version", metavar="vN", help="One API version; all of them unless given.")]


@app.command(epilog=example("gatehouse grants add acme churn --api-version v1"))
def add(tenant: TenantName, model: Model, api_version: ApiVersion = None, json: Json = False) -> None:
    """Let a tenant call a model; running servers know within a second."""
    with open_deployment() as deployment:
        made = tenants.add_grant(deployment.database, deployment.actor, tenant, model, api_versions_by_model, api_version=api_version)
        if json:
            print_json([facts(grant) for grant in made.grants])
            return
        if not made.changed:
            typer.echo(f"{tenant} had this grant before")
        say_access(deployment, made.tenant, made.grants, then=f"gatehouse keys create --tenant {tenant}")


@app.command(epilog=example("gatehouse grants remove acme churn"))
def remove(tenant: TenantName, model: Model, api_version: ApiVersion = None, wait: Wait = False, json: Json = False) -> None:
    """Take a model from a tenant; running servers know within a second."""
    with open_deployment() as deployment:
        left = tenants.remove_grant(deployment.database, deployment.actor, tenant, model, api_version=api_version)
        waited = wait_for_servers(deployment, wait)
        if json:
            grants = [facts(grant) for grant in left.grants]
            print_json({"grants": grants, **waited.facts} if wait else grants)
        else:
            say_access(deployment, left.tenant, left.grants, then=f"gatehouse grants list {tenant}")
    waited.finish(json=json)


@app.command("list", epilog=example("gatehouse grants list acme"))
def show_all(
    tenant: Annotated[str | None, typer.Argument(metavar="TENANT", help="Of one tenant; of all unless given.")] = None,
    json: Json = False,
) -> None:
    """List grants."""
    with open_deployment() as deployment:
        found = tenants.list_grants(deployment.database, tenant)
    if json:
        print_json([facts(grant) for grant in found])
        return
    if not found:
        typer.echo(f"there are no grants yet: gatehouse grants add {tenant or 'TENANT'} MODEL")
        return
    rows = [(grant.tenant, grant.model, grant.api_version or "all", day(grant.created_at, "")) for grant in found]
    print_table(("tenant", "model", "API version", "since"), rows)


def facts(grant: Grant) -> dict[str, Any]:
    """A grant for programs; `api_version` null stands for all."""
    return {"tenant": grant.tenant, "model": grant.model, "api_version": grant.api_version, "created_at": moment(grant.created_at)}
