"""The `gatehouse` command: nouns in the plural, each with a few verbs."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperCommand, TyperGroup

from gatehouse.cli.one_line import cause_of, misused, without_credentials
from gatehouse.errors import Refused

COMMANDS = {
    "dev": ("gatehouse.cli.dev:dev", "Prepare a local demo with models and a key, and serve it."),
    "serve": ("gatehouse.cli.serve:serve", "Serve the endpoints of this deployment."),
    "doctor": ("gatehouse.cli.doctor:doctor", "Check every part of this deployment and say what to do."),
    "status": ("gatehouse.cli.status:status", "Show who serves what, and the calls and codes of five minutes."),
    "why": ("gatehouse.cli.why:why", "Say why a tenant's calls fail, part by part, and what to do."),
    "models": ("gatehouse.cli.models:app", "Publish model versions and see what is published."),
    "contracts": ("gatehouse.cli.contracts:app", "What partners may send and will get: draft, check, show, diff."),
    "endpoints": ("gatehouse.cli.endpoints:app", "What serves each endpoint; release another version."),
    "migration": ("gatehouse.cli.migration:app", "Partners on their way to the next API version: report, guide."),
    "tenants": ("gatehouse.cli.tenants:app", "Customer organisations: create, welcome, import, list, show, edit, suspend, resume."),
    "grants": ("gatehouse.cli.grants:app", "Which models a tenant may call."),
    "keys": ("gatehouse.cli.keys:app", "API keys: create and import (shown once), list, show, edit, rotate, revoke, identify."),
    "people": ("gatehouse.cli.people:app", "Who logs in: operators, auditors, tenant admins; invite, reset, suspend."),
    "plans": ("gatehouse.cli.plans:app", "Named sets of limits."),
    "limits": ("gatehouse.cli.limits:app", "What a tenant may do, and how far its month is used."),
    "notices": ("gatehouse.cli.notices:app", "What partners were told by webhook, and what waits: list, show, replay."),
    "notice-targets": ("gatehouse.cli.notice_targets:app", "Where each tenant is told by webhook: create, list, edit, rotate, remove."),
    "token-keys": ("gatehouse.cli.token_keys:app", "The keys that sign access tokens: list, rotate, retire, reseal."),
    "secrets": ("gatehouse.cli.secrets:app", "The secrets of the settings: create, check, promote, remove."),
    "publishing-keys": ("gatehouse.cli.publishing_keys:app", "Whose signature makes a model loadable here."),
    "audit": ("gatehouse.cli.audit:app", "Who changed what, in a chain that can be proven: list, show, verify, export."),
    "backup": ("gatehouse.cli.backup:app", "All of a deployment in one file, and back into an empty place: create, restore."),
    "usage": ("gatehouse.cli.usage:app", "Calls and rows that were metered."),
}
"""Name to where it lies and its line in `gatehouse --help`, in the order of a first day."""


class Nouns(TyperGroup):
    """Imports a noun's module when it is used, so that `gatehouse --help` stays quick; says refusals in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()}

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().make_context(*arguments, **more)
        except UsageError as error:
            raise misused(error) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, name and load_command(name), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as refusal:
            typer.echo(f"gatehouse: {without_credentials(str(refusal))}", err=True)
            raise typer.Exit(1) from None
        except UsageError as error:
            raise misused(error) from None
        except BrokenPipeError:
            raise  # somebody read the first lines only
        except OSError as error:
            typer.echo(_told(error), err=True)
            _drop_output()
            raise typer.Exit(1) from None


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"gatehouse: {where}{cause_of(error)}"


def load_command(name: str) -> Any:
    """The command behind one of the names of COMMANDS."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
        found.command(name)(function)
    command = typer.main.get_command(found)
    command.name = name
    return command


def _present_name(word: str) -> str:
    """Options go by one name in help and pages; `--out`, as some commands said before, is still taken."""
    return "output" if word == "out" else word


app = typer.Typer(
    cls=Nouns,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: quick, never cut, easy to search
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _present_name},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("gatehouse"))
        raise typer.Exit


@app.callback(epilog="Example: gatehouse tenants create acme --models iris")
def _gatehouse(
    show_version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Trained scikit-learn models as versioned HTTP endpoints that partners can be let into safely."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 1 refused with one line on stderr, 2 not a command, said in one line too."""
    try:
        try:
            app(arguments, prog_name="gatehouse")
        finally:
            if sys.stdout is not None:  # it is closed by `>&-`
                sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except OSError as error:  # where the help itself, or the end of what was written, finds no room
        typer.echo(_told(error), err=True)
        _drop_output()
        sys.exit(1)


def _drop_output() -> None:
    """What is still to be written has no place: at the end Python would try once more, and say so in its own words."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
