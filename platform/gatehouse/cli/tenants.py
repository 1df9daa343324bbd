"""`gatehouse tenants`: customer organisations."""

from typing import Annotated

import typer

from gatehouse.cli.access import described, grants_of, say_access
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, day, example, print_json, print_table
from gatehouse.cli.tenant_facts import facts
from gatehouse.cli.tenant_import import import_tenant_file
from gatehouse.cli.tenant_welcome import welcome_tenant
from gatehouse.cli.waiting import Wait, wait_for_servers
from gatehouse.cli.wishes import names
from gatehouse.identity import tenants
from gatehouse.identity.store import Grant, Tenant
from gatehouse.migration.store import api_versions_by_model

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Customer organisations.",
    epilog=example("gatehouse tenants list"),
)

COLUMNS = ("tenant", "plan", "may call", "default model", "state", "since")
Name = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]


@app.command(epilog=example("gatehouse tenants create acme --models churn,iris --plan standard"))
def create(
    tenant: Name,
    models: Annotated[str, typer.Option("--models", metavar="MODEL,…", help="Models to grant, all API versions of each.")] = "",
    plan: Annotated[str, typer.Option("--plan", help="The plan that holds the tenant's limits.")] = tenants.DEFAULT_PLAN,
    json: Json = False,
) -> None:
    """Add a tenant."""
    with open_deployment() as deployment:
        made = tenants.create_tenant(deployment.database, deployment.actor, tenant, api_versions_by_model, plan=plan, models=names(models))
        if json:
            print_json(facts(made.tenant, made.grants))
            return
        typer.echo(f"{tenant} is a tenant on plan {plan} ({made.tenant.id})")
        say_access(deployment, made.tenant, made.grants, then=f"gatehouse keys create --tenant {tenant}")


app.command("welcome", epilog=example("gatehouse tenants welcome acme > acme.md"))(welcome_tenant)
app.command("import", epilog=example("gatehouse tenants import tenants.csv --dry-run"))(import_tenant_file)


@app.command("list", epilog=example("gatehouse tenants list --json"))
def show_all(json: Json = False) -> None:
    """List all tenants with what they may call."""
    with open_deployment() as deployment:
        found = tenants.list_tenants(deployment.database)
        grants = tenants.list_grants(deployment.database)
    of = {tenant.name: [grant for grant in grants if grant.tenant == tenant.name] for tenant in found}
    if json:
        print_json([facts(tenant, of[tenant.name]) for tenant in found])
        return
    if not found:
        typer.echo("there are no tenants yet: gatehouse tenants create acme")
        return
    print_table(COLUMNS, [_row(tenant, of[tenant.name]) for tenant in found])


@app.command(epilog=example("gatehouse tenants show acme"))
def show(tenant: Name, json: Json = False) -> None:
    """Show one tenant with what it may call."""
    with open_deployment() as deployment:
        found = tenants.show_tenant(deployment.database, tenant)
        grants = grants_of(deployment, tenant)
        if json:
            print_json(facts(found, grants))
            return
        print_table(COLUMNS, [_row(found, grants)])
        say_access(deployment, found, grants, then=f"gatehouse keys list --tenant {tenant}")


@app.command(epilog=example("gatehouse tenants edit acme --plan standard --default-model iris"))
def edit(
    tenant: Name,
    plan: Annotated[str | None, typer.Option("--plan", help="The plan that holds the tenant's limits.")] = None,
    default_model: Annotated[str | None, typer.Option("--default-model", help="What /v1/predict serves; a granted model.")] = None,
    json: Json = False,
) -> None:
    """Change a tenant's plan or default model."""
    if plan is None and default_model is None:
        raise typer.BadParameter("say what to change: --plan, --default-model or both")
    with open_deployment() as deployment:
        changed = tenants.edit_tenant(deployment.database, deployment.actor, tenant, plan=plan, default_model=default_model)
        grants = grants_of(deployment, tenant)
        if json:
            print_json(facts(changed, grants))
            return
        typer.echo(f"{tenant} is on plan {changed.plan}")
        say_access(deployment, changed, grants)


@app.command(epilog=example("gatehouse tenants suspend acme"))
def suspend(tenant: Name, wait: Wait = False, json: Json = False) -> None:
    """Refuse all keys and tokens of a tenant until it is resumed."""
    with open_deployment() as deployment:
        changed = tenants.suspend_tenant(deployment.database, deployment.actor, tenant)
        grants = grants_of(deployment, tenant)
        waited = wait_for_servers(deployment, wait)
        if json:
            print_json(facts(changed, grants) | waited.facts)
        else:
            say_access(deployment, changed, grants)
    waited.finish(json=json)


@app.command(epilog=example("gatehouse tenants resume acme"))
def resume(tenant: Name, json: Json = False) -> None:
    """Let the keys of a suspended tenant work again."""
    with open_deployment() as deployment:
        changed = tenants.resume_tenant(deployment.database, deployment.actor, tenant)
        grants = grants_of(deployment, tenant)
        if json:
            print_json(facts(changed, grants))
            return
        typer.echo(f"{tenant} is not suspended; its keys work")
        say_access(deployment, changed, grants, then=f"gatehouse keys list --tenant {tenant}")


def _row(tenant: Tenant, grants: list[Grant]) -> tuple[str, ...]:
    state = "suspended" if tenant.suspended_at else "active"
    since = day(tenant.suspended_at or tenant.created_at, "")
    return tenant.name, tenant.plan, described(grants) or "nothing yet", tenant.default_model or "none", state, since
