"""`gatehouse token-keys`: the keys that sign access tokens."""

from datetime import datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table
from gatehouse.cli.secret_settings import SECRET_KEY
from gatehouse.cli.waiting import Wait, wait_for_servers
from gatehouse.db.clock import database_now
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import KeyLife, lives_of, read_token_keys, retire_key_now, rotate_token_key
from gatehouse.operating import resealing
from gatehouse.server.restarted import check_restarted

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The keys that sign access tokens.",
    epilog=example("gatehouse token-keys rotate"),
)


@app.command("list", epilog=example("gatehouse token-keys list --json"))
def show_all(json: Json = False) -> None:
    """List the token keys: which signs, which is next, which still verify, which are retired."""
    with open_deployment() as deployment:
        now = _now(deployment)
        lives = lives_of(read_token_keys(deployment.database))
    if json:
        print_json([_facts(life, now) for life in lives])
        return
    if not lives:
        typer.echo("there is no token key yet: the first server that starts makes one")
        return
    rows = [(life.key.kid, life.state(now), day(life.key.signs_from, ""), day(life.ends_at, "until the next rotation")) for life in lives]
    print_table(("id", "state", "signs from", "verifies until"), rows)


@app.command(epilog=example("gatehouse token-keys rotate --wait"))
def rotate(wait: Wait = False, json: Json = False) -> None:
    """Publish a new key, which signs 10 s later; the one before verifies until its last token has ended. No token stops, no restart."""
    with open_deployment() as deployment:
        check_restarted(deployment.database, SECRET_KEY.name, "create")
        key = rotate_token_key(deployment.database, deployment.actor, _seal(deployment), _now(deployment))
        before = [life for life in lives_of(read_token_keys(deployment.database)) if life.signs_until == key.signs_from]
        waited = wait_for_servers(deployment, wait)
    if json:
        print_json({"id": key.kid, "signs_from": moment(key.signs_from), **waited.facts})
    else:
        typer.echo(f"token key {key.kid} is published and signs from {key.signs_from:%H:%M:%S} UTC on")
        for life in before:
            typer.echo(f"token key {life.key.kid} verifies until {day(life.ends_at, '')}, then it is retired by itself")
    waited.finish(json=json)


@app.command(epilog=example("gatehouse token-keys retire 0123456789abcdef --wait"))
def retire(
    kid: Annotated[str, typer.Argument(metavar="ID", help="A key that does not sign: gatehouse token-keys list.")],
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Retire a key before its time, such as one that leaked: its tokens stop within a second."""
    with open_deployment() as deployment:
        retire_key_now(deployment.database, deployment.actor, kid, _now(deployment))
        waited = wait_for_servers(deployment, wait)
    if json:
        print_json({"id": kid, "state": "retired", **waited.facts})
    else:
        typer.echo(f"token key {kid} is retired: its tokens stop within a second, and their holders get new ones with their keys")
    waited.finish(json=json)


@app.command(epilog=example("gatehouse token-keys reseal"))
def reseal(json: Json = False) -> None:
    """Encrypt token keys and secrets of notices under a new GATEHOUSE_SECRET_KEY; the old one is set as GATEHOUSE_SECRET_KEY_BEFORE."""
    with open_deployment() as deployment:
        check_restarted(deployment.database, SECRET_KEY.name, "create")
        resealed = resealing.reseal(deployment.database, deployment.actor, _seal(deployment))
    if json:
        print_json({"resealed": resealed})
        return
    if not resealed:
        typer.echo("all of them are encrypted under GATEHOUSE_SECRET_KEY already: nothing was changed")
        return
    typer.echo(f"encrypted under the new GATEHOUSE_SECRET_KEY: {', '.join(resealed)}")
    typer.echo("once every server has been started with it, remove GATEHOUSE_SECRET_KEY_BEFORE and destroy the old secret")


def _seal(deployment: Deployment) -> Seal:
    settings = deployment.settings
    return Seal(*settings.secret_keys)


def _now(deployment: Deployment) -> datetime:
    with deployment.database.read() as session:
        return database_now(session)


def _facts(life: KeyLife, now: datetime) -> dict[str, Any]:
    times = {"created_at": life.key.created_at, "signs_from": life.key.signs_from, "verifies_until": life.ends_at}
    return {"id": life.key.kid, "state": life.state(now)} | {name: moment(at) for name, at in times.items()}
