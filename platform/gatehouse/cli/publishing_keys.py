"""`gatehouse publishing-keys`: whose signature makes a model loadable here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.one_line import cause_of
from gatehouse.cli.output import Json, example, print_json, print_table, say_next
from gatehouse.cli.signing_key import PUBLISHING_KEY
from gatehouse.db.audit import record_audit
from gatehouse.errors import NotKnown, Refused
from gatehouse.serving.signing import PublishingKeyUnusable, create_publishing_key
from gatehouse.serving.trust import retire_key, retired_ids, trust_key, trusted_ids

FOLLOWED = "running servers that read this folder go by it from now on, without a restart"
GOES_ON = "what they have loaded already goes on until another version is released or they are restarted"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Whose signature makes a model loadable here.",
    epilog=example("gatehouse publishing-keys list"),
)


@app.command(epilog=example("gatehouse publishing-keys create --file release.pem"))
def create(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help=f"Where the private part goes, unless the state folder's {PUBLISHING_KEY}."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a key pair: the private part signs what is published, the public part is trusted here."""
    with open_deployment() as deployment:
        path = file or deployment.settings.state_dir / PUBLISHING_KEY
        with _refusals():
            key_id = create_publishing_key(path, _folder(deployment)).key_id
        _audit(deployment, "create", key_id)
    if json:
        print_json({"id": key_id, "file": str(path), "state": "trusted"})
        return
    typer.echo(f"publishing key {key_id}: the private part is {path}, the public part is trusted here")
    typer.echo(f"keep {path} where you publish, never on a serving machine; {FOLLOWED}")
    by_name = "" if file is None else f" --publishing-key {path}"
    say_next(f"gatehouse models publish FILE --sample rows.csv{by_name}")


@app.command("list", epilog=example("gatehouse publishing-keys list --json"))
def show_all(json: Json = False) -> None:
    """List the public keys that are trusted here, and the retired ones."""
    with open_deployment() as deployment:
        folder = _folder(deployment)
        states = {**dict.fromkeys(trusted_ids(folder), "trusted"), **dict.fromkeys(retired_ids(folder), "retired")}
    if json:
        print_json([{"id": key_id, "state": state} for key_id, state in states.items()])
        return
    if not states:
        typer.echo("no publishing key is trusted yet: gatehouse publishing-keys create")
        return
    print_table(("id", "state"), [*states.items()])


@app.command(epilog=example("gatehouse publishing-keys trust release-public.pem"))
def trust(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The public key in PEM, as the publisher sent it.")], json: Json = False
) -> None:
    """Trust a publisher's public key: what it has signed may be loaded here."""
    with open_deployment() as deployment:
        with _refusals():
            key_id = trust_key(file, _folder(deployment))
        _audit(deployment, "trust", key_id)
    _say(key_id, "trusted", f"what it has signed may be loaded here; {FOLLOWED}", json)


@app.command(epilog=example("gatehouse publishing-keys retire 0123456789abcdef"))
def retire(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a trusted key: gatehouse publishing-keys list.")],
    json: Json = False,
) -> None:
    """Trust a key no more: nothing that it has signed is loaded again."""
    with open_deployment() as deployment:
        folder = _folder(deployment)
        if key_id not in trusted_ids(folder):
            raise NotKnown("publishing key", key_id, trusted_ids(folder))
        with _refusals():
            retire_key(key_id, folder)
        _audit(deployment, "retire", key_id)
    then = f"what it has signed is not loaded any more: publish it again with another key and release that\n{FOLLOWED}; {GOES_ON}"
    _say(key_id, "retired", then, json)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except PublishingKeyUnusable as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename}: {cause_of(error)}") from None


def _folder(deployment: Deployment) -> Path:
    return deployment.settings.under_state(deployment.settings.trusted_keys_dir)


def _audit(deployment: Deployment, action: str, key_id: str) -> None:
    with deployment.database.write() as session:
        record_audit(session, deployment.actor, f"publishing_key.{action}", key_id)


def _say(key_id: str, state: str, then: str, json: bool) -> None:
    if json:
        print_json({"id": key_id, "state": state})
        return
    typer.echo(f"publishing key {key_id} is {state}")
    typer.echo(then)
