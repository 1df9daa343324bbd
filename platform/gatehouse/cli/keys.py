"""`gatehouse keys`: API keys of tenants."""

import re
import sys
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.json_input import read_text
from gatehouse.cli.key_answers import COLUMNS, facts, row, said_of_grace, say_key, say_new_key, say_rotated_key
from gatehouse.cli.key_import import import_key_file
from gatehouse.cli.output import Json, day, example, print_json, print_table
from gatehouse.cli.showing import check_there_is_output, told_if_not_shown
from gatehouse.cli.waiting import Wait, wait_for_servers
from gatehouse.cli.wishes import count_per_period, expiry, networks, scopes, span
from gatehouse.errors import Refused
from gatehouse.identity import keys, leaks
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.principal import Rate

MOST_CHARACTERS = 4096
"""Read from standard input where a key is expected."""
STANDARD_INPUT = "-"
KEY_ID = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="API keys: shown once, rotated, edited, revoked for good.",
    epilog=example("gatehouse keys create --tenant acme"),
)

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id, as keys list shows it.")]
Requests = Annotated[str | None, typer.Option("--requests", metavar="RATE", help="Calls of this key, at most the plan's: 2/s.")]
RequestsBurst = Annotated[int | None, typer.Option("--requests-burst", help="Calls that may come at once.")]
Rows = Annotated[str | None, typer.Option("--rows", metavar="RATE", help="Rows of this key, at most the plan's: 500/s.")]
RowsBurst = Annotated[int | None, typer.Option("--rows-burst", help="Rows that may come at once.")]


@app.command(epilog=example("gatehouse keys create --tenant acme --name nightly --expires 90d --networks 192.0.2.0/24"))
def create(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose key; _operator for the deployment's own.")],
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "default",
    scopes_text: Annotated[str | None, typer.Option("--scopes", metavar="SCOPE,…", help="What it may do, unless the usual.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, 12h or a date (UTC); never unless given.")] = None,
    networks_text: Annotated[
        str | None, typer.Option("--networks", metavar="CIDR,…", help="From where it may be used; anywhere unless given.")
    ] = None,
    requests: Requests = None,
    requests_burst: RequestsBurst = None,
    rows: Rows = None,
    rows_burst: RowsBurst = None,
    json: Json = False,
) -> None:
    """Make a key and show it this once."""
    wish = KeyWish(
        name=name,
        scopes=None if scopes_text is None else scopes(scopes_text),
        expires_at=None if expires is None else _expiry(expires),
        networks=() if networks_text is None else networks(networks_text),
        requests=_own_rate("requests", requests, requests_burst, None),
        rows=_own_rate("rows", rows, rows_burst, None),
    )
    check_there_is_output()
    with open_deployment() as deployment:
        made = keys.create_key(deployment.database, deployment.actor, tenant, deployment.peppers.current, wish)
        with told_if_not_shown(f"key {made.key.id} was made and nobody knows it: gatehouse keys revoke {made.key.id}"):
            if json:
                print_json({**facts(made.key), "key": made.text})
            else:
                say_new_key(deployment, made)


app.command("import", epilog=example("gatehouse keys import keys.csv > new-keys.csv"))(import_key_file)


@app.command("list", epilog=example("gatehouse keys list --tenant acme"))
def show_all(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None,
    pepper: Annotated[int | None, typer.Option("--pepper", min=1, help="Those that still need this version of the pepper.")] = None,
    json: Json = False,
) -> None:
    """List keys, without their secrets."""
    with open_deployment() as deployment:
        found = keys.list_keys(deployment.database, tenant, under_pepper=pepper)
    if json:
        print_json([facts(key) for key in found])
        return
    if not found:
        made = f"there are no keys yet: gatehouse keys create --tenant {tenant or 'TENANT'}"
        typer.echo(made if pepper is None else f"no key needs version {pepper} of the pepper: it can leave the settings")
        return
    print_table(COLUMNS, [row(key) for key in found])
    if pepper is None:
        typer.echo("more of one: gatehouse keys show KEY_ID; to stop one for good: gatehouse keys revoke KEY_ID")
    else:
        typer.echo("each moves to the current pepper when it is used; one that is not: gatehouse keys rotate KEY_ID")


@app.command(epilog=example("gatehouse keys show 3kTMd91QbLx07GzW"))
def show(key_id: KeyId, json: Json = False) -> None:
    """Show one key, without its secret."""
    with open_deployment() as deployment:
        key = keys.show_key(deployment.database, checked_id(key_id))
    if json:
        print_json(facts(key))
        return
    say_key(key)


@app.command(epilog=example("gatehouse keys edit 3kTMd91QbLx07GzW --expires never --networks none"))
def edit(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option("--name", help="What the key is for.")] = None,
    scopes_text: Annotated[str | None, typer.Option("--scopes", metavar="SCOPE,…", help="What it may do, instead of before.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, 12h, a date (UTC) or never.")] = None,
    networks_text: Annotated[
        str | None, typer.Option("--networks", metavar="CIDR,…", help="From where it may be used; none: anywhere.")
    ] = None,
    requests: Annotated[str | None, typer.Option("--requests", metavar="RATE", help="Calls of this key: 2/s; none: the plan's.")] = None,
    requests_burst: RequestsBurst = None,
    rows: Annotated[str | None, typer.Option("--rows", metavar="RATE", help="Rows of this key: 500/s; none: the plan's.")] = None,
    rows_burst: RowsBurst = None,
    json: Json = False,
) -> None:
    """Change what a key is called, may do, and from when and where; its secret stays."""
    if {name, scopes_text, expires, networks_text, requests, requests_burst, rows, rows_burst} == {None}:
        raise typer.BadParameter("say what to change: --name, --scopes, --expires, --networks, --requests or --rows")
    # all that was given is read before the database is opened
    new_scopes = None if scopes_text is None else scopes(scopes_text)
    new_expiry = None if expires is None else _expiry(expires)
    new_networks = None if networks_text is None else networks(networks_text)

    def changed(key: ApiKey) -> ApiKey:
        return replace(
            key,
            name=key.name if name is None else name,
            scopes=key.scopes if new_scopes is None else new_scopes,
            expires_at=key.expires_at if expires is None else new_expiry,
            networks=key.networks if new_networks is None else new_networks,
            requests=_own_rate("requests", requests, requests_burst, key.requests),
            rows=_own_rate("rows", rows, rows_burst, key.rows),
        )

    with open_deployment() as deployment:
        key = keys.edit_key(deployment.database, deployment.actor, checked_id(key_id), changed)
    if json:
        print_json(facts(key))
        return
    say_key(key)


@app.command(epilog=example("gatehouse keys rotate 3kTMd91QbLx07GzW --grace 7d"))
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option("--grace", metavar="SPAN", help="How long the secret from before works too; 0: no more.")] = "24h",
    json: Json = False,
) -> None:
    """Give a key a new secret and show it this once; both work until the grace ends. Id, limits and history stay."""
    wished = span(grace)
    check_there_is_output()
    with open_deployment() as deployment:
        made = keys.rotate_key(deployment.database, deployment.actor, checked_id(key_id), deployment.peppers.current, wished)
    with told_if_not_shown(
        f"key {key_id} has a new secret that nobody knows{said_of_grace(made.key)}; for another key: gatehouse keys create"
    ):
        if json:
            print_json({**facts(made.key), "key": made.text})
        else:
            say_rotated_key(made)


@app.command(epilog=example("gatehouse keys revoke 3kTMd91QbLx07GzW"))
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID|-", help="The id; or - to read a whole, leaked key from standard input.")],
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Stop a key for good; every server refuses it within a second."""
    with open_deployment() as deployment:
        if key_id == STANDARD_INPUT:
            revoked = leaks.revoke_leaked_key(deployment.database, deployment.actor, _key_from_input(), deployment.peppers)
        else:
            revoked = keys.revoke_key(deployment.database, deployment.actor, checked_id(key_id))
        waited = wait_for_servers(deployment, wait)
    if json:
        print_json(facts(revoked) | waited.facts)
    else:
        typer.echo(f"key {revoked.id} ({revoked.name}) of {revoked.tenant} is revoked since {day(revoked.revoked_at, '')}")
        typer.echo(f"a new one: gatehouse keys create --tenant {revoked.tenant}")
    waited.finish(json=json)


SAID = {
    "current": "the secret is right: it opens this key",
    "previous": "the secret is the one before the last rotation, and works until its grace ends",
    "ended": "the secret is the one before the last rotation, and works no more",
    "wrong": "the secret is not this key's: nobody comes in by it",
    "unknown_pepper": "the secret cannot be judged: its pepper is not in the settings",
}


@app.command(epilog=example("gatehouse keys identify < leaked.txt"))
def identify(json: Json = False) -> None:
    """Say whose the key on standard input is, and whether it opens anything."""
    text = _key_from_input()
    with open_deployment() as deployment:
        found = leaks.identify_key(deployment.database, text, deployment.peppers)
    if json:
        print_json({**facts(found.key), "secret": found.secret})
        return
    typer.echo(SAID[found.secret])
    say_key(found.key)


def checked_id(key_id: str) -> str:
    """A key's id, which may come with the `gate_` that the key begins with. Raises Refused."""
    key_id = key_id.removeprefix("gate_")
    if not KEY_ID.fullmatch(key_id):  # a whole key, or a part of one: it is not repeated on the screen
        raise Refused("name the key by its id, never by the whole key: gatehouse keys list; a leaked one: gatehouse keys revoke - < FILE")
    return key_id


def _key_from_input() -> str:
    text = read_text(sys.stdin, MOST_CHARACTERS).strip()
    if not text:
        raise Refused("give the whole key on standard input: gatehouse keys identify < FILE")
    return text


def _expiry(text: str) -> datetime | None:
    return None if text == "never" else expiry(text)


def _own_rate(what: str, text: str | None, burst: int | None, before: Rate | None) -> Rate | None:
    """The rate that is wished: a new one, none, or that from before, perhaps with another burst."""
    if text is None:
        if burst is None:
            return before
        if before is None:
            raise typer.BadParameter(f"--{what}-burst needs --{what}, such as --{what} 2/s")
        return replace(before, burst=burst)
    if text == "none":
        if burst is not None:
            raise typer.BadParameter(f"--{what}-burst needs a rate, such as --{what} 2/s")
        return None
    count, period_s = count_per_period(text)
    return Rate(count, period_s, count if burst is None else burst)
