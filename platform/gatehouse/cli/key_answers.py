"""How keys are answered: facts for programs, rows and sentences for reading."""

from datetime import UTC, datetime
from typing import Any

import typer

from gatehouse.cli.access import say_access
from gatehouse.cli.deployment import Deployment
from gatehouse.cli.output import day, moment, rate, say_next
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import CreatedKey
from gatehouse.identity.plans import facts_of_rate

COLUMNS = ("key id", "tenant", "name", "state", "scopes", "own limits", "networks", "created", "expires", "last used")


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
        "networks": [str(network) for network in key.networks],
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "rotated_at": moment(key.rotated_at),
        "grace_ends_at": moment(key.grace_ends_at),
        "last_used_at": moment(key.last_used_at),
        "pepper": key.pepper_version,
    }


def state(key: ApiKey) -> str:
    """`active`, `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "active"


def row(key: ApiKey) -> tuple[str, ...]:
    """A line of the table, by COLUMNS."""
    what = (", ".join(sorted(key.scopes)), _limits(key) or "the plan's", _networks(key))
    when = (day(key.created_at, ""), day(key.expires_at, "never"), day(key.last_used_at, "never"))
    return key.id, key.tenant, key.name, state(key), *what, *when


def say_key(key: ApiKey) -> None:
    """One key for reading, and what can be done with it."""
    typer.echo(f"key {key.id} ({key.name}) of {key.tenant} is {state(key)}")
    typer.echo(f"may:        {', '.join(sorted(key.scopes))}")
    typer.echo(f"from:       {_networks(key)}")
    typer.echo(f"limits:     {_limits(key) or 'those of the plan'}")
    typer.echo(f"created:    {day(key.created_at, '')}, expires {day(key.expires_at, 'never')}, last used {day(key.last_used_at, 'never')}")
    if key.rotated_at is not None:
        typer.echo(f"rotated:    {day(key.rotated_at, '')}{said_of_grace(key)}")
    if key.revoked_at is not None:
        typer.echo(f"revoked:    {day(key.revoked_at, '')}; a new one: gatehouse keys create --tenant {key.tenant}")
    else:
        say_next(f"gatehouse keys edit {key.id}, gatehouse keys rotate {key.id} or gatehouse keys revoke {key.id}")


def say_new_key(deployment: Deployment, made: CreatedKey) -> None:
    """A new key, this once."""
    key = made.key
    typer.echo(f"key {key.id} ({key.name}) of {key.tenant}, expires {day(key.expires_at, 'never')}, may {', '.join(sorted(key.scopes))}")
    _say_text(made)
    if made.tenant.suspended_at is not None or not made.grants:
        say_access(deployment, made.tenant, made.grants)
        return
    from gatehouse.cli.first_call import first_call  # reads a contract, with libraries that other commands need not wait for

    typer.echo(f"a first call:\n\n  {first_call(deployment, made.tenant, made.grants)}\n")


def say_rotated_key(made: CreatedKey) -> None:
    """A key's new secret, this once."""
    key = made.key
    typer.echo(f"key {key.id} ({key.name}) of {key.tenant} has a new secret{said_of_grace(key)}")
    _say_text(made)
    typer.echo(f"to see whether it is in use: gatehouse keys show {key.id}")


def _say_text(made: CreatedKey) -> None:
    typer.echo(f"shown once, keep it now:\n\n  KEY={made.text}\n")


def said_of_grace(key: ApiKey) -> str:
    """What becomes of the secret from before."""
    if key.grace_ends_at is None or key.grace_ends_at <= datetime.now(UTC):
        return "; the one before works no more"
    return f"; the one before works until {day(key.grace_ends_at, '')}"


def _limits(key: ApiKey) -> str:
    return "; ".join(f"{rate(own)} {what}" for what, own in (("calls", key.requests), ("rows", key.rows)) if own is not None)


def _networks(key: ApiKey) -> str:
    return ", ".join(map(str, key.networks)) or "anywhere"
