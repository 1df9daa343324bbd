"""An endpoint as commands show it: for programs, and in lines that say what can be done next."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.output import moment
from gatehouse.migration.endpoint import Endpoint

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
ApiVersion = Annotated[str, typer.Argument(metavar="vN", help="The API version.")]
ELSEWHERE = ("deprecation", "extensions", "brownouts", "retired_at", "shadow", "guided")
"""Members of an endpoint that are shown in words of their own, and what only a server knows."""


def facts(endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    """An endpoint for programs; `state` is that of this moment."""
    ending = endpoint.deprecation
    versions = {name: value for name, value in asdict(endpoint).items() if name not in ELSEWHERE}
    return versions | {
        "state": endpoint.state_at(now),
        "deprecated_at": moment(ending.since) if ending else None,
        "sunset": ending.sunset.isoformat() if ending else None,
        "successor": ending.successor if ending else None,
        "reason": ending.reason if ending else None,
        "link": ending.link if ending else None,
        "retired_at": moment(endpoint.retired_at),
        "brownouts": [
            {"id": each.id, "starts_at": moment(each.starts_at), "ends_at": moment(each.ends_at), "share": each.percent}
            for each in endpoint.brownouts
            if each.key_id is None
        ],
        "shadow": {"with": endpoint.shadow.version, "share": endpoint.shadow.percent} if endpoint.shadow else None,
        "extensions": {each.tenant: each.until.isoformat() for each in endpoint.extensions},
    }


def say_life(endpoint: Endpoint, now: datetime) -> None:
    """Where it stands, until when it answers whom, and how that is taken back."""
    typer.echo(life_of(endpoint, now))
    for each in endpoint.extensions:
        typer.echo(f"{each.tenant} may call it until the end of {each.until} (UTC)")
    planned = sum(each.key_id is None for each in endpoint.brownouts)
    if planned:
        what = "a brownout is" if planned == 1 else f"{planned} brownouts are"
        typer.echo(f"{what} planned: gatehouse endpoints brownouts {endpoint.model} {endpoint.api_version}")
    if endpoint.state in ("deprecated", "retired"):
        typer.echo(f"to take it back: gatehouse endpoints undeprecate {endpoint.model} {endpoint.api_version}")


def say_shadow(endpoint: Endpoint) -> None:
    """Which other version scores its calls too, if one does."""
    if endpoint.shadow is not None:
        end = f"gatehouse endpoints unshadow {endpoint.model} {endpoint.api_version}"
        share, other = endpoint.shadow.percent, endpoint.shadow.version
        if other == endpoint.stable_version:
            typer.echo(f"its shadow, {other}, is what serves it now, so nothing is compared: {end}")
            return
        typer.echo(f"{share} % of its calls are scored by {other} too, and compared; to end that: {end}")
        typer.echo(f"what came of it: gatehouse endpoints shadows {endpoint.model} {endpoint.api_version}")


def shadow_of(endpoint: Endpoint) -> str:
    """For a table."""
    return f"{endpoint.shadow.percent} % by {endpoint.shadow.version}" if endpoint.shadow else ""


def life_of(endpoint: Endpoint, now: datetime) -> str:
    """In one line."""
    ending, state = endpoint.deprecation, endpoint.state_at(now)
    if state == "retired":
        since = endpoint.retired_at.date() if endpoint.retired_at else ending and ending.sunset
        successor = f" and name {ending.successor} instead" if ending else ""
        return f"{endpoint.name} is retired since {since}: calls are answered with 410{successor}"
    if ending is None:
        return f"{endpoint.name} is {state}, with no end announced"
    until = f"answers until the end of {ending.sunset} (UTC)"
    return f"{endpoint.name} is deprecated and {until}; callers are told to move to {ending.successor}"
