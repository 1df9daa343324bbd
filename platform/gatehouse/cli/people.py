"""`gatehouse people`: who logs in."""

import re
from datetime import datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table
from gatehouse.cli.showing import check_there_is_output, told_if_not_shown
from gatehouse.cli.waiting import Wait, wait_for_servers
from gatehouse.errors import Refused
from gatehouse.identity import people
from gatehouse.identity.people import Invited
from gatehouse.identity.person_store import Person
from gatehouse.principal import OPERATOR_TENANT, Role

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Operators, auditors and tenant admins, who log in with a password.",
    epilog=example("gatehouse people invite lead --tenant acme"),
)

COLUMNS = ("name", "role", "tenant", "state", "since", "last login")
REFERENCE = re.compile(r"[0-9A-Za-z@_-]{1,127}")
Who = Annotated[str, typer.Argument(metavar="NAME", help="The name by which they log in, or the id.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, '-' and '_'.")]


@app.command("create-operator", epilog=example("gatehouse people create-operator alice"))
def create_operator(name: NewName, json: Json = False) -> None:
    """Make the first operator, and show this once the code that sets its password."""
    check_there_is_output()
    with open_deployment() as deployment:
        _show(deployment, people.create_operator(deployment.database, deployment.actor, name, deployment.peppers.current), json)


@app.command(epilog=example("gatehouse people invite lead --tenant acme"))
def invite(
    name: NewName,
    role: Annotated[Role | None, typer.Option("--role", help="tenant_admin where a tenant is named.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose admin; without one, name the role.")] = None,
    json: Json = False,
) -> None:
    """Make a person, and show this once the code that sets its password."""
    if role is None and tenant is None:
        raise typer.BadParameter("say who it is: --tenant TENANT for a tenant's admin, --role operator or --role auditor")
    check_there_is_output()
    with open_deployment() as deployment:
        made = people.invite_person(
            deployment.database, deployment.actor, name, role or Role.TENANT_ADMIN, deployment.peppers.current, tenant
        )
        _show(deployment, made, json)


@app.command(epilog=example("gatehouse people reset lead@acme"))
def reset(name: Who, json: Json = False) -> None:
    """Show this once a code that sets another password; the one from before works until then."""
    check_there_is_output()
    with open_deployment() as deployment:
        _show(deployment, people.reset_password(deployment.database, deployment.actor, _checked(name), deployment.peppers.current), json)


@app.command("list", epilog=example("gatehouse people list --tenant acme"))
def show_all(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None, json: Json = False
) -> None:
    """List people."""
    with open_deployment() as deployment:
        found = people.list_people(deployment.database, tenant)
    if json:
        print_json([facts(person) for person in found])
        return
    if not found:
        made = f"gatehouse people invite NAME --tenant {tenant}" if tenant else "gatehouse people create-operator NAME"
        typer.echo(f"there are no people yet: {made}")
        return
    print_table(COLUMNS, [_row(person) for person in found])


@app.command(epilog=example("gatehouse people show lead@acme"))
def show(name: Who, json: Json = False) -> None:
    """Show one person."""
    with open_deployment() as deployment:
        person = people.show_person(deployment.database, _checked(name))
    if json:
        print_json(facts(person))
        return
    print_table(COLUMNS, [_row(person)])
    typer.echo(f"id {person.id}; password set: {day(person.password_set_at, 'not yet')}; {_said_of_code(person.code_expires_at)}")


@app.command(epilog=example("gatehouse people edit alice --role auditor"))
def edit(
    name: Who,
    role: Annotated[Role, typer.Option("--role", help="operator or auditor.")],
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Make an auditor an operator, or the other way round; the person logs in again."""
    with open_deployment() as deployment:
        changed = people.edit_person(deployment.database, deployment.actor, _checked(name), role)
        _say(deployment, changed, f"{changed.name} is {changed.role}", wait, json)


@app.command(epilog=example("gatehouse people suspend lead@acme"))
def suspend(name: Who, wait: Wait = False, json: Json = False) -> None:
    """Refuse a person's logins, tokens and codes until it is resumed."""
    with open_deployment() as deployment:
        changed = people.suspend_person(deployment.database, deployment.actor, _checked(name))
        _say(deployment, changed, f"{changed.name} is suspended: gatehouse people resume {changed.name}", wait, json)


@app.command(epilog=example("gatehouse people resume lead@acme"))
def resume(name: Who, json: Json = False) -> None:
    """Let a suspended person log in again."""
    with open_deployment() as deployment:
        changed = people.resume_person(deployment.database, deployment.actor, _checked(name))
        then = (
            "with the password from before" if changed.password_set_at else f"once a password is set: gatehouse people reset {changed.name}"
        )
        _say(deployment, changed, f"{changed.name} is not suspended and can log in {then}", False, json)


@app.command(epilog=example("gatehouse people remove lead@acme"))
def remove(name: Who, wait: Wait = False, json: Json = False) -> None:
    """Take a person out for good; what it did stays in the audit trail."""
    with open_deployment() as deployment:
        removed = people.remove_person(deployment.database, deployment.actor, _checked(name))
        _say(deployment, removed, f"{removed.name} ({removed.id}) is removed", wait, json)


def facts(person: Person) -> dict[str, Any]:
    """A person for programs."""
    times = ("created_at", "suspended_at", "password_set_at", "last_login_at", "code_expires_at")
    names = {"id": person.id, "name": person.name, "role": person.role.value, "tenant": person.tenant, "state": person.state}
    return names | {name: moment(getattr(person, name)) for name in times}


def _show(deployment: Deployment, made: Invited, json: bool) -> None:
    person = made.person
    with told_if_not_shown(f"{person.name} has a code that nobody knows: gatehouse people reset {person.name}"):
        if json:
            print_json({**facts(person), "code": made.code})
            return
        of = "" if person.tenant == OPERATOR_TENANT else f" of {person.tenant}"
        typer.echo(f"{person.name} is {person.role}{of} ({person.id})")
        typer.echo(f"the code, shown this once, good until {day(person.code_expires_at, '')}: {made.code}")
        url = deployment.settings.base_url
        typer.echo("they set a password with it, of 8 characters or more, then log in:")
        typer.echo(f"""  curl {url}/login/accept -H 'content-type: application/json' -d '{{"code": "{made.code}", "password": "…"}}'""")
        typer.echo(f"""  curl {url}/login -H 'content-type: application/json' -d '{{"name": "{person.name}", "password": "…"}}'""")


def _say(deployment: Deployment, person: Person, line: str, wait: bool, json: bool) -> None:
    waited = wait_for_servers(deployment, wait)
    if json:
        print_json(facts(person) | waited.facts)
    else:
        typer.echo(line)
    waited.finish(json=json)


def _checked(name: str) -> str:
    if not REFERENCE.fullmatch(name):
        raise Refused("name the person as they log in, such as alice or lead@acme, or by the id: gatehouse people list")
    return name


def _said_of_code(ends_at: datetime | None) -> str:
    return "no code is open" if ends_at is None else f"a code sets a password until {day(ends_at, '')}"


def _row(person: Person) -> tuple[str, ...]:
    since = day(person.suspended_at or person.password_set_at or person.created_at, "")
    tenant = "" if person.tenant == OPERATOR_TENANT else person.tenant
    return person.name, person.role.value, tenant, person.state, since, day(person.last_login_at, "never")
