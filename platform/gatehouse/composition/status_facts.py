"""How a deployment is right now, for programs."""

from collections import Counter
from datetime import datetime
from typing import Any

from gatehouse.composition.clocks import utc_now
from gatehouse.composition.deployment_status import DeploymentStatus, ServingProcess, read_status, wrongs
from gatehouse.db.session import Database
from gatehouse.metrics.recent_store import SPAN_S
from gatehouse.migration.ending import moment_text
from gatehouse.migration.endpoint import Endpoint
from gatehouse.settings import Settings


def deployment_facts(database: Database, settings: Settings) -> dict[str, Any]:
    """All of it, and whether nothing is wrong. Raises what a database that is gone raises."""
    with database.read() as session:
        found = read_status(session, settings)
    return {"healthy": not any(wrongs(found)), **status_facts(found, utc_now())}


def status_facts(found: DeploymentStatus, now: datetime) -> dict[str, Any]:
    """As JSON values; `state` of endpoints is that of the moment `now`."""
    return {
        "revision": found.revision,
        "processes": [_process_facts(each) for each in found.processes],
        "endpoints": [_endpoint_facts(found, endpoint, now) for endpoint in found.endpoints],
        "calls": {
            "seconds": SPAN_S,
            "outcomes": [
                {
                    "model": each.model or None,
                    "api_version": each.api_version or None,
                    "status": each.status,
                    "code": each.code or None,
                    "calls": each.calls,
                    "rows": each.rows,
                }
                for each in found.calls
            ],
        },
        "usage": {"backlog_bytes": found.backlog_bytes, "ended_spools_here": list(found.ended_spools)},
    }


def answering_version(found: DeploymentStatus, endpoint: Endpoint) -> str | None:
    """What answers, also over a bridge."""
    if endpoint.bridged_to is None:
        return endpoint.stable_version
    other = (endpoint.model, endpoint.bridged_to)
    return next((each.stable_version for each in found.endpoints if (each.model, each.api_version) == other), None)


def sums_of(found: DeploymentStatus, endpoint: Endpoint) -> tuple[int, int, int, int, int]:
    """Calls, rows, and how many calls were answered, refused (4xx) and failed (5xx)."""
    own = [each for each in found.calls if (each.model, each.api_version) == (endpoint.model, endpoint.api_version)]
    by_hundred = Counter[int]()
    for each in own:
        by_hundred[each.status // 100] += each.calls
    return sum(by_hundred.values()), sum(each.rows for each in own), by_hundred[2], by_hundred[4], by_hundred[5]


def _process_facts(each: ServingProcess) -> dict[str, Any]:
    process, standing = each.process, each.standing
    return {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "state": each.state,
        "started_at": moment_text(process.started_at),
        "last_seen_at": moment_text(process.last_seen_at),
        "revision_seen": process.revision_seen,
        "changes_behind": each.changes_behind,
        "seconds_behind": round(each.behind_s, 1),
        "usage_backlog_bytes": standing.usage_backlog_bytes,
        "usage_lost": standing.usage_lost,
        "no_room": standing.no_room,
        "not_served": dict(standing.not_served),
    }


def _endpoint_facts(found: DeploymentStatus, endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    calls, rows, answered, refused, failed = sums_of(found, endpoint)
    return {
        "endpoint": endpoint.name,
        "state": endpoint.state_at(now),
        "version": answering_version(found, endpoint),
        "bridged_to": endpoint.bridged_to,
        "canary_version": endpoint.canary_version,
        "canary_percent": endpoint.canary_percent,
        "shadow": {"with": endpoint.shadow.version, "share": endpoint.shadow.percent} if endpoint.shadow else None,
        "calls": calls,
        "rows": rows,
        "answered": answered,
        "refused": refused,
        "failed": failed,
    }
