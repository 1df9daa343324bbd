"""`gatehouse secrets`: the secrets of the settings. Those that are set are never shown."""

from typing import Annotated

import typer

from gatehouse.cli.deployment import Deployment, open_deployment, settings_or_refusal
from gatehouse.cli.finding import say_findings
from gatehouse.cli.output import Json, example, print_json, say_next
from gatehouse.cli.secret_change import ONE_BY_ONE, NextSecret, next_secret, promotion, without, write_settings
from gatehouse.cli.secret_settings import SECRETS, SecretSetting, Values, VersionedSecret, fresh_secret, named_secret
from gatehouse.cli.settings_file import change_settings, settings_file, what_is_set
from gatehouse.db.audit import record_audit
from gatehouse.db.clock import database_now
from gatehouse.errors import Refused
from gatehouse.server.restarted import check_restarted
from gatehouse.settings import is_example

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The secrets of the settings; those that are set are never shown.",
    epilog=example("gatehouse secrets check"),
)
Name = Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(SECRETS)}.")]


@app.command(epilog=example("gatehouse secrets create --write"))
def create(
    only: Annotated[str | None, typer.Option("--only", metavar="NAME", help=f"This one alone, of {', '.join(SECRETS)}.")] = None,
    next_one: Annotated[bool, typer.Option("--next", help="The one that follows the present one; needs --only.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Into the settings file of the state folder (mode 600), instead of showing it.")
    ] = False,
    json: Json = False,
) -> None:
    """Make the secrets that are missing, or with --next one that takes over. What is set is neither overwritten nor shown."""
    secret = None if only is None else named_secret(only)
    if not next_one:
        _make(secret, json, write=write)
    elif secret is None:
        raise Refused(f"--next needs --only and one of {', '.join(SECRETS)}")
    elif write:
        _accept(secret, json)
    else:
        _show(secret, next_secret(secret, settings_or_refusal()), json)


@app.command(epilog=example("gatehouse secrets promote GATEHOUSE_KEY_PEPPER"))
def promote(name: Name, json: Json = False) -> None:
    """In the settings file, make the other accepted version the current one; the one before stays accepted."""
    secret = named_secret(name)
    with open_deployment() as deployment:
        version, values = promotion(secret, deployment.settings)
        check_restarted(deployment.database, secret.name, "create")
        file = write_settings(secret, values)
        _audit(deployment, "promote", secret, version)
    if json:
        print_json({"name": name, "version": version, "file": file})
        return
    typer.echo(f"version {version} is the current {name} in {file}, the one before is accepted beside it")
    say_next(f"{ONE_BY_ONE}; gatehouse secrets check says when the one before is not needed any more")


@app.command(epilog=example("gatehouse secrets remove GATEHOUSE_KEY_PEPPER"))
def remove(name: Name, json: Json = False) -> None:
    """Take old versions out of the settings file, as far as nothing in the database needs them."""
    from gatehouse.cli.secret_needs import removable

    secret = named_secret(name)
    with open_deployment() as deployment:
        versions = removable(secret, deployment.settings, deployment.database)
        values = without(secret, deployment.settings, versions) if isinstance(secret, VersionedSecret) else {secret.before: ""}
        check_restarted(deployment.database, secret.name, "promote" if isinstance(secret, VersionedSecret) else "create")
        file = write_settings(secret, values)
        gone: list[int | None] = [*sorted(versions)] or [None]
        for version in gone:
            _audit(deployment, "remove", secret, version)
    if json:
        print_json({"name": name, "removed": sorted(versions) or [secret.before], "file": file})
        return
    what = f"version {', '.join(map(str, sorted(versions)))} of {name}" if isinstance(secret, VersionedSecret) else secret.before
    typer.echo(f"{what} is not in {file} any more; {ONE_BY_ONE}, and destroy other copies of it")


@app.command(epilog=example("gatehouse secrets check"))
def check(json: Json = False) -> None:
    """Whether the secrets are strong, kept from others, and all there that the database needs; exit code 1 where not."""
    from gatehouse.cli.secret_check import secret_findings

    say_findings(list(secret_findings()), json)


def _make(only: SecretSetting | None, json: bool, *, write: bool) -> None:
    in_file, above = what_is_set(settings_file())
    given = in_file | above
    wanted = SECRETS if only is None else {only.name: only}
    missing = {name: fresh_secret() for name in wanted if not given.get(name) or is_example(given[name])}
    if only is not None and not missing:
        raise Refused(f"{only.name} is set already; one that takes over from it: gatehouse secrets create --only {only.name} --next")
    file = str(settings_file()) if write and missing else None
    if file:
        change_settings(settings_file(), missing)
    if json:
        print_json({"created": [{"name": name, "value": None if file else value} for name, value in missing.items()], "file": file})
    elif not missing:
        typer.echo("all secrets are set: nothing was made; gatehouse secrets check looks at them")
    elif file:
        typer.echo(f"made and written to {file}, for its owner alone: {', '.join(missing)}")
    else:
        _say_values(missing)


def _accept(secret: SecretSetting, json: bool) -> None:
    with open_deployment() as deployment:
        fresh = next_secret(secret, deployment.settings)
        file = write_settings(secret, fresh.first)
        _audit(deployment, "create", secret, fresh.version)
    if json:
        print_json({"name": secret.name, "version": fresh.version, "file": file})
    elif fresh.version is None:
        typer.echo(f"a new {secret.name} is in {file}, the one before is {secret.before}")
        say_next(f"{ONE_BY_ONE}, then: gatehouse token-keys reseal")
    else:
        typer.echo(f"version {fresh.version} of {secret.name} is in {file}, accepted beside the current one")
        say_next(f"{ONE_BY_ONE}, then: gatehouse secrets promote {secret.name}")


def _show(secret: SecretSetting, fresh: NextSecret, json: bool) -> None:
    if json:
        steps = [{"purpose": step.purpose, "set": step.values} for step in fresh.shown]
        print_json({"name": secret.name, "version": fresh.version, "steps": steps})
        return
    for number, step in enumerate(fresh.shown, 1):
        typer.echo(f"# {number}. {step.purpose}")
        _say_values(step.values)
    typer.echo("# gatehouse secrets check says what is left to do")


def _say_values(values: Values) -> None:
    for name, value in values.items():
        typer.echo(f"{name}={value}")


def _audit(deployment: Deployment, action: str, secret: SecretSetting, version: int | None) -> None:
    said = None if version is None else {"version": version}
    with deployment.database.write() as session:
        # by the clock that servers say their start by: the next step asks which of them started later
        record_audit(session, deployment.actor, f"secret.{action}", secret.name, said, at=database_now(session))
