"""`--wait`: a command that ends when every running server has taken its change in."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment
from gatehouse.cli.output import day, moment, print_table
from gatehouse.server.confirmation import DEADLINE_S, Confirmation, wait_for_all
from gatehouse.server.store import Process

Wait = Annotated[bool, typer.Option("--wait", help=f"End when every server has confirmed it; exit code 1 after {DEADLINE_S:.0f} s.")]


@dataclass(frozen=True, slots=True)
class Waited:
    """What there is to say of the servers; nothing when nobody asked."""

    confirmation: Confirmation | None
    stale_s: float
    """How long a server without the database goes on."""

    @property
    def facts(self) -> dict[str, Any]:
        """For programs: `servers`, or nothing."""
        found = self.confirmation
        if found is None:
            return {}
        confirmed = [{**_facts(each.process), "after_ms": each.after_ms} for each in found.confirmed]
        silent = [{**_facts(process), "last_seen_at": moment(process.last_seen_at)} for process in found.silent]
        return {"servers": {"confirmed": confirmed, "missing": [_facts(process) for process in found.missing], "silent": silent}}

    def finish(self, *, json: bool) -> None:
        """Say it, unless as JSON it has been said, and end with exit code 1 when a server is missing."""
        found = self.confirmation
        if found is None:
            return
        if not json:
            self._say(found)
        if found.missing:
            names = ", ".join(f"{process.id} ({process.host}, pid {process.pid})" for process in found.missing)
            typer.echo(f"gatehouse: not confirmed within {DEADLINE_S:.0f} s by {names}: give the command again, or stop them", err=True)
            raise typer.Exit(1)

    def _say(self, found: Confirmation) -> None:
        if not (found.confirmed or found.missing):
            typer.echo("no server is running: there is nothing to wait for")
        else:
            rows = [(*_cells(each.process), f"{each.after_ms:,} ms") for each in found.confirmed]
            rows += [(*_cells(process), "not yet") for process in found.missing]
            print_table(("server", "host", "pid", "confirmed after"), rows)
        for process in found.silent:
            seen = f"{process.id} ({process.host}, pid {process.pid}) has not been seen since {day(process.last_seen_at, '')}"
            typer.echo(f"{seen}: it was killed, or has lost the database and goes on with what it knows for at most {self.stale_s:.0f} s")


def wait_for_servers(deployment: Deployment, wanted: bool) -> Waited:
    """With `--wait`: wait for every server that runs to take in all changes up to now."""
    stale_s = deployment.settings.stale_identity_s
    return Waited(wait_for_all(deployment.database, silent_s=stale_s, deadline_s=DEADLINE_S) if wanted else None, stale_s)


def _facts(process: Process) -> dict[str, Any]:
    return {"id": process.id, "host": process.host, "pid": process.pid}


def _cells(process: Process) -> tuple[str, str, str]:
    return process.id, process.host, str(process.pid)
