"""`gatehouse keys`: API keys of tenants."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.access import say_access
from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.first_call import first_call
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table, rate
from gatehouse.cli.wishes import count_per_period, expiry, scopes
from gatehouse.errors import Refused
from gatehouse.identity import keys
from gatehouse.identity.keys import CreatedKey, KeyWish, Pepper
from gatehouse.identity.plans import facts_of_rate
from gatehouse.identity.store import ApiKey
from gatehouse.principal import Rate

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="API keys: shown once, revoked for good.",
    epilog=example("gatehouse keys create --tenant acme"),
)


@app.command(epilog=example("gatehouse keys create --tenant acme --name nightly --expires 90d --requests 2/s"))
def create(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose key; _operator for the deployment's own.")],
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "default",
    scopes_text: Annotated[str | None, typer.Option("--scopes", metavar="SCOPE,…", help="What it may do, unless the usual.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, 12h or a date (UTC); never unless given.")] = None,
    requests: Annotated[str | None, typer.Option("--requests", metavar="RATE", help="Calls of this key, at most the plan's: 2/s.")] = None,
    requests_burst: Annotated[int | None, typer.Option("--requests-burst", help="Calls that may come at once.")] = None,
    rows: Annotated[str | None, typer.Option("--rows", metavar="RATE", help="Rows of this key, at most the plan's: 500/s.")] = None,
    rows_burst: Annotated[int | None, typer.Option("--rows-burst", help="Rows that may come at once.")] = None,
    json: Json = False,
) -> None:
    """Make a key and show it this once."""
    wish = KeyWish(
        name=name,
        scopes=None if scopes_text is None else scopes(scopes_text),
        expires_at=None if expires is None else expiry(expires),
        requests=_own_rate("requests", requests, requests_burst),
        rows=_own_rate("rows", rows, rows_burst),
    )
    with open_deployment() as deployment:
        pepper = Pepper(deployment.settings.key_pepper.get_secret_value().encode())
        made = keys.create_key(deployment.database, deployment.actor, tenant, pepper, wish)
        if json:
            print_json({**facts(made.key), "key": made.text})
            return
        _show_once(deployment, made)


@app.command("list", epilog=example("gatehouse keys list --tenant acme"))
def show_all(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None, json: Json = False
) -> None:
    """List keys, without their secrets."""
    with open_deployment() as deployment:
        found = keys.list_keys(deployment.database, tenant)
    if json:
        print_json([facts(key) for key in found])
        return
    if not found:
        typer.echo(f"there are no keys yet: gatehouse keys create --tenant {tenant or 'TENANT'}")
        return
    columns = ("key id", "tenant", "name", "state", "scopes", "own limits", "created", "expires")
    print_table(columns, [_row(key) for key in found])
    typer.echo("to stop one for good: gatehouse keys revoke KEY_ID")


@app.command(epilog=example("gatehouse keys revoke 3kTMd91QbLx07GzW"))
def revoke(key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The id, as keys list shows it.")], json: Json = False) -> None:
    """Stop a key for good; every server refuses it within a second."""
    with open_deployment() as deployment:
        if key_id.startswith("gate_"):
            raise Refused("name the key by its id, never by the whole key: gatehouse keys list")
        revoked = keys.revoke_key(deployment.database, deployment.actor, key_id)
    if json:
        print_json(facts(revoked))
        return
    typer.echo(f"key {revoked.id} ({revoked.name}) of {revoked.tenant} is revoked since {day(revoked.revoked_at, '')}")
    typer.echo(f"a new one: gatehouse keys create --tenant {revoked.tenant}")


def facts(key: ApiKey) -> dict[str, Any]:
    """A key for programs."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "state": state(key),
        "scopes": sorted(key.scopes),
        "requests": None if key.requests is None else facts_of_rate(key.requests),
        "rows": None if key.rows is None else facts_of_rate(key.rows),
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
    }


def state(key: ApiKey) -> str:
    """`active`, `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "active"


def _own_rate(what: str, text: str | None, burst: int | None) -> Rate | None:
    if text is None:
        if burst is not None:
            raise typer.BadParameter(f"--{what}-burst needs --{what}, such as --{what} 2/s")
        return None
    count, period_s = count_per_period(text)
    return Rate(count, period_s, count if burst is None else burst)


def _show_once(deployment: Deployment, made: CreatedKey) -> None:
    key = made.key
    typer.echo(f"key {key.id} ({key.name}) of {key.tenant}, expires {day(key.expires_at, 'never')}, may {', '.join(sorted(key.scopes))}")
    typer.echo(f"shown once, keep it now:\n\n  KEY={made.text}\n")
    if made.tenant.suspended_at is not None or not made.grants:
        say_access(deployment, made.tenant, made.grants)
        return
    typer.echo(f"a first call:\n\n  {first_call(deployment, made.tenant, made.grants)}\n")


def _row(key: ApiKey) -> tuple[str, ...]:
    limits = [f"{rate(own)} {what}" for what, own in (("calls", key.requests), ("rows", key.rows)) if own is not None]
    shown = (", ".join(sorted(key.scopes)), "; ".join(limits) or "the plan's")
    return key.id, key.tenant, key.name, state(key), *shown, day(key.created_at, ""), day(key.expires_at, "never")
