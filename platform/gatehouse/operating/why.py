"""Why a tenant's calls of an endpoint fail, or would: key, tenant, grant, lifecycle, limits, quota, load and engine, one step each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from gatehouse.db.session import Database
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.moves_store import moved_tenants
from gatehouse.migration.store import list_endpoints, named_endpoint
from gatehouse.operating.tenant_limits import read_limits
from gatehouse.operating.why_caller import Caller, grant_step, key_step, reach_step, read_caller, tenant_step
from gatehouse.operating.why_endpoint import engine_step, lifecycle_step, open_windows
from gatehouse.operating.why_limits import limits_step, quota_step
from gatehouse.operating.why_load import ServingNow, has_loaded, load_step
from gatehouse.operating.why_step import Step
from gatehouse.settings import Settings
from gatehouse.usage.refusals_store import refusals_since

LATELY, JUST_NOW = timedelta(days=1), timedelta(minutes=1)
"""Refusals of that time are told of; those of the last minute count as those of now."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`endpoint` is a model and an API version; None where a call reached none. `key_id` None: all keys of the tenant.

    `not_found`: the call was answered that there is nothing at its path.
    """

    tenant: str
    endpoint: tuple[str, str] | None
    key_id: str | None = None
    not_found: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The deployment as it is now: what a walk reads. `serving` are the processes that count."""

    settings: Settings
    database: Database
    serving: Sequence[ServingNow]
    now: datetime


def walk(around: Surroundings, asked: Asked) -> list[Step]:
    """The road of a call as of now; what looks at an endpoint is left out where none is named. Raises NotKnown, NoSuchKey."""
    now, settings = around.now, around.settings
    with around.database.read() as session:
        caller = read_caller(session, asked.tenant, asked.key_id)
        endpoint = named_endpoint(session, *asked.endpoint) if asked.endpoint else None
        endpoints = list_endpoints(session)
        refusals = refusals_since(session, caller.tenant.id, asked.key_id, now - LATELY, now - JUST_NOW)
        lifecycle = _lifecycle_step(session, caller, endpoint, now) if endpoint else None
    steps = [key_step(caller, settings.key_peppers.keys(), now, refusals), tenant_step(caller.tenant)]
    if endpoint is not None and lifecycle is not None:
        steps += [grant_step(caller, endpoint, endpoints), lifecycle]
    elif asked.not_found:
        steps.append(reach_step(caller, endpoints, now))
    steps.append(limits_step(caller, refusals, settings.redis_url.get_secret_value(), len(around.serving), now))
    steps.append(quota_step(read_limits(around.database, asked.tenant, now), refusals))
    steps.append(load_step(endpoint, around.serving))
    if endpoint is not None:
        steps.append(engine_step(settings, endpoint, endpoints, now, loaded=has_loaded(endpoint, around.serving)))
    return steps


def _lifecycle_step(session: Session, caller: Caller, endpoint: Endpoint, now: datetime) -> Step:
    tenant, keys = caller.tenant, [key.id for key in caller.keys]
    successor = endpoint.deprecation.successor if endpoint.deprecation else None
    moved = False
    if successor and open_windows(endpoint, tenant.id, keys, now):
        moved = tenant.id in moved_tenants(session, endpoint.model, endpoint.api_version, successor, now)
    return lifecycle_step(endpoint, tenant.id, tenant.name, keys, moved, now)
