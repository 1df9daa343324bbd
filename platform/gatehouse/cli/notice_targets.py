"""`gatehouse notice-targets`: where each tenant is told by webhook."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table
from gatehouse.cli.showing import check_there_is_output, told_if_not_shown
from gatehouse.cli.wishes import span
from gatehouse.db.clock import database_now
from gatehouse.identity.sealing import Seal
from gatehouse.identity.tenants import named_tenant
from gatehouse.notices import targets
from gatehouse.notices.store import waiting_by_tenant
from gatehouse.notices.target_store import Target, list_targets

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Where each tenant is told by webhook.",
    epilog=example("gatehouse notice-targets create acme --url https://hooks.example.org/gatehouse"),
)

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]
Url = Annotated[str, typer.Option("--url", help="An https:// URL that takes POST.")]
CREATE = "gatehouse notice-targets create acme --url https://hooks.example.org/gatehouse"


@app.command(epilog=example(CREATE))
def create(tenant: Tenant, url: Url, json: Json = False) -> None:
    """Send a tenant's notices to an address, and show the secret that signs them this once."""
    check_there_is_output()
    with open_deployment() as deployment, deployment.database.write() as session:
        known = named_tenant(session, tenant)
        allowed = deployment.settings.target_networks
        target, secret = targets.create_target(session, deployment.actor, known.id, known.name, url, allowed, seal_of(deployment))
    with told_if_not_shown(f"nobody knows the secret of {tenant}'s target; for another: gatehouse notice-targets rotate {tenant}"):
        if json:
            print_json(_facts(target, 0) | {"secret": secret})
            return
        typer.echo(f"{tenant} is told at {url}")
        _say_secret(secret)


@app.command("list", epilog=example("gatehouse notice-targets list --json"))
def show_all(json: Json = False) -> None:
    """List all targets, how it is with each and what waits for it."""
    with open_deployment() as deployment, deployment.database.read() as session:
        found, waiting, now = list_targets(session), waiting_by_tenant(session), database_now(session)
    if json:
        print_json([_facts(target, waiting[target.tenant_id]) for target in found])
        return
    if not found:
        typer.echo(f"there are no targets yet: {CREATE}")
        return
    print_table(("tenant", "url", "state", "waiting", "secrets"), [_row(target, waiting, now) for target in found])


@app.command(epilog=example("gatehouse notice-targets edit acme --url https://hooks.example.org/v2"))
def edit(tenant: Tenant, url: Url, json: Json = False) -> None:
    """Change the address; also the way to go on with one that has answered 410. The secret stays."""
    with open_deployment() as deployment, deployment.database.write() as session:
        known = named_tenant(session, tenant)
        changed = targets.edit_target(session, deployment.actor, known.id, known.name, url, deployment.settings.target_networks)
        waiting = waiting_by_tenant(session)[known.id]
    if json:
        print_json(_facts(changed, waiting))
        return
    typer.echo(f"{tenant} is told at {url}, signed by the secret that it has; {waiting} notices wait for it")


@app.command(epilog=example("gatehouse notice-targets rotate acme --grace 7d"))
def rotate(
    tenant: Tenant,
    grace: Annotated[str, typer.Option("--grace", metavar="SPAN", help="How long the secret from before signs too; 0: no more.")] = "24h",
    json: Json = False,
) -> None:
    """Make a new secret and show it this once; until the grace ends each notice is signed by both."""
    wished = span(grace)
    check_there_is_output()
    with open_deployment() as deployment, deployment.database.write() as session:
        known = named_tenant(session, tenant)
        secret, until = targets.rotate_secret(session, deployment.actor, known.id, known.name, wished, seal_of(deployment))
    with told_if_not_shown(f"nobody knows the new secret of {tenant}'s target: gatehouse notice-targets rotate {tenant}"):
        if json:
            print_json({"tenant": tenant, "secret": secret, "previous_until": moment(until)})
            return
        typer.echo(f"{tenant}'s target has a new secret; the one before signs {_until(until)}")
        _say_secret(secret)


@app.command(epilog=example("gatehouse notice-targets remove acme"))
def remove(tenant: Tenant, json: Json = False) -> None:
    """Send a tenant nothing more. What was sent stays listed."""
    with open_deployment() as deployment, deployment.database.write() as session:
        known = named_tenant(session, tenant)
        targets.remove_target(session, deployment.actor, known.id, known.name)
    if json:
        print_json({"tenant": tenant, "removed": True})
        return
    typer.echo(f"{tenant} is told nothing more; a new target: gatehouse notice-targets create {tenant} --url https://…")


def seal_of(deployment: Deployment) -> Seal:
    """What seals and opens the secrets of targets."""
    settings = deployment.settings
    return Seal(*settings.secret_keys)


def _say_secret(secret: str) -> None:
    typer.echo(f"shown once, hand it to the partner now:\n\n  SECRET={secret}\n")
    typer.echo("how a partner verifies: docs/notices.md")


def _until(at: datetime | None) -> str:
    return f"until {day(at, '')}" if at else "no more"


def _row(target: Target, waiting: Counter[str], now: datetime) -> tuple[str, ...]:
    two = target.previous_until is not None and target.previous_until > now
    secrets = f"two until {day(target.previous_until, '')}" if two else "one"
    return target.tenant, target.url, state(target), str(waiting[target.tenant_id]), secrets


def state(target: Target) -> str:
    """`works`, or what is wrong since when."""
    if target.failing_since is None:
        return "works"
    return f"{'stopped' if target.gone else 'failing'} since {day(target.failing_since, '')}: {target.failing_reason}"


def _facts(target: Target, waiting: int) -> dict[str, Any]:
    return {
        "tenant": target.tenant,
        "url": target.url,
        "state": "stopped" if target.gone else "failing" if target.failing_since else "works",
        "failing_since": moment(target.failing_since),
        "failing_reason": target.failing_reason,
        "waiting": waiting,
        "created_at": moment(target.created_at),
        "previous_until": moment(target.previous_until),
    }
