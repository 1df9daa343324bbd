"""`gatehouse why`: what stands in the way of a tenant's calls now, and what to do about it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.keys import checked_id
from gatehouse.cli.looking import looked_at
from gatehouse.cli.output import Json, day, moment, print_json, print_parts
from gatehouse.cli.usage_lines import counted
from gatehouse.composition.deployment_status import LATE_S, ServingProcess, read_status
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.operating.why import Asked, Surroundings, walk
from gatehouse.operating.why_call import PastCall, read_call
from gatehouse.operating.why_load import ServingNow
from gatehouse.operating.why_step import Step
from gatehouse.settings import Settings
from gatehouse.usage.call_store import MOST

LONGEST_ID = 64
NOT_FOUND = 404
LATELY = "what is marked ! has refused calls of the last 24 hours, and would not refuse every call now"
ALL_WELL = "nothing stands in the way now; a call that gets 401 all the same has a bad copy (credential_malformed) or another key"
USE = "name a call by its request id, or: gatehouse why --tenant acme --model churn --api-version v1"


def why(
    request_id: Annotated[str | None, typer.Argument(metavar="[REQUEST_ID]", help="Of a call: X-Request-Id of its answer.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The tenant's name; beside a request id: whose call is meant.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name.")] = None,
    api_version: Annotated[str | None, typer.Option("--api-version", metavar="vN", help="The API version.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY_ID", help="Only this key, by its id or as it begins (gate_…).")] = None,
    json: Json = False,
) -> None:
    """Say why a tenant's calls of an endpoint fail, part by part, and what to do; changes nothing.

    Exit code 1 when something is wrong or the same call would be refused again, and when the call, tenant, endpoint or key is not found.

    Run it on a machine that serves: it loads the published version as a server does.

    Example: gatehouse why --tenant acme --model churn --api-version v1
    """
    if request_id is not None and (model or api_version or key):
        raise Refused(f"a request id says which endpoint and key, and takes --tenant alone beside it: {USE}")
    settings = settings_or_refusal()
    with looked_at(settings) as database:
        call = None if request_id is None else _past_call(database, request_id, tenant)
        asked = _asked(tenant, model, api_version, key) if call is None else _asked_by(call)
        steps = walk(_surroundings(settings, database), asked)
    well = all(step.well for step in steps) and (call is None or call.again is None)
    _say(call, steps, json, well=well)
    if not well:
        raise typer.Exit(1)


def _asked(tenant: str | None, model: str | None, api_version: str | None, key: str | None) -> Asked:
    """Raises Refused."""
    if tenant is None or model is None or api_version is None:
        raise Refused(USE)
    return Asked(tenant, (model, api_version), None if key is None else checked_id(key))


def _asked_by(call: PastCall) -> Asked:
    return Asked(call.tenant, call.endpoint, call.key_id, not_found=call.status == NOT_FOUND)


def _past_call(database: Database, request_id: str, tenant: str | None) -> PastCall:
    """Raises Refused."""
    if not request_id.isascii() or not request_id.isprintable() or len(request_id) > LONGEST_ID:
        raise Refused(f"that is no request id: {USE}")
    with database.read() as session:
        return read_call(session, request_id, datetime.now(UTC), tenant)


def _surroundings(settings: Settings, database: Database) -> Surroundings:
    with database.read() as session:
        status = read_status(session, settings)
    return Surroundings(settings, database, [_serving(each) for each in status.serving], datetime.now(UTC))


def _serving(each: ServingProcess) -> ServingNow:
    standing = each.standing
    behind_s = each.behind_s if each.behind_s > LATE_S else 0.0
    return ServingNow(each.process.id, each.process.host, standing.draining, standing.no_room, standing.not_served, behind_s)


def _say(call: PastCall | None, steps: Sequence[Step], json: bool, *, well: bool) -> None:
    if json:
        print_json({"well": well, "call": call and _facts(call), "steps": [asdict(step) for step in steps]})
        return
    if call is not None:
        _say_call(call)
    rows = [(_mark(step), step.part, step.detail) for step in steps]
    print_parts(("", "part", "what"), rows, [step.remedy for step in steps])
    if call is not None and call.again:
        typer.echo(f"the same call would get {call.code} again: {call.again}")
    elif call is not None and well:
        typer.echo("nothing stands in the way of such a call now")
    elif call is None and well:
        typer.echo(LATELY if any(step.lately for step in steps) else ALL_WELL)


def _mark(step: Step) -> str:
    if not step.well:
        return "✗"
    return "!" if step.lately else "✓"


def _facts(call: PastCall) -> dict[str, Any]:
    return asdict(call) | {"at": moment(call.at), "outcome": call.outcome, "again": call.again}


def _say_call(call: PastCall) -> None:
    endpoint = f"{call.model}/{call.api_version}" if call.endpoint else "no endpoint"
    served = f", {call.model_version}" if call.model_version else ""
    typer.echo(f"{call.request_id}: {day(call.at, '')}, {call.tenant} with key {call.key_id}, {endpoint}{served}")
    typer.echo(f"{call.status} {call.code or ''}".rstrip() + f" after {call.latency_ms} ms, {counted(call.rows, 'row')}: {call.outcome}")
    if call.calls > 1:
        number = f"{call.calls} or more" if call.calls >= MOST else str(call.calls)
        typer.echo(f"{number} calls of {call.tenant} have this request id; this is the last one")
    if not call.endpoint:
        before = "it was refused before its endpoint was looked up"
        said = f"it reached no endpoint of {call.tenant}'s" if call.status == NOT_FOUND else before
        typer.echo(f"{said}; the server's log says which path was called (of a service: journalctl -u gatehouse | grep {call.request_id})")
    if call.status >= 500:
        typer.echo(f"what to do about {call.code}: docs/runbook.md")
