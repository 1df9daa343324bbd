"""What a new partner's developer must know to call: as plain data, without a key, from what the tenant is granted now."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from gatehouse.contracts.openapi import describe
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import CATALOGUE, Problem, Refused
from gatehouse.identity.plans import facts_of_plan, named_plan
from gatehouse.identity.store import Tenant, list_grants
from gatehouse.migration.ending import guide_url, successor_of
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import api_versions_by_model, find_endpoint
from gatehouse.operating.granted import granted_endpoints
from gatehouse.operating.published import contract_of
from gatehouse.operating.welcome_code import programs
from gatehouse.principal import OPERATOR_TENANT
from gatehouse.settings import Settings

Facts = Mapping[str, Any]
COMMONEST = ("credential_missing", "credential_malformed", "not_found", "invalid_input", "rate_limited")
"""What a first hour meets: no key, half a key, a wrong address, a wrong row, too fast a loop."""


def welcome(session: Session, settings: Settings, tenant: Tenant, now: datetime) -> dict[str, Any]:
    """Raises Refused where the tenant can call nothing, or a contract cannot be read."""
    _check_not_suspended(tenant)
    endpoints = granted_endpoints(session, tenant, list_grants(session, tenant), now)
    first = _first(endpoints, tenant)
    if first is None:
        raise _nothing(session, tenant)
    shown = {each.name: _endpoint(session, settings, each, tenant, now) for each in endpoints}
    limits = _limits(session, settings, tenant)
    begin = shown[first.name]
    return {
        "tenant": tenant.name,
        "address": settings.base_url,
        "contact": settings.contact or None,
        "reference": None if settings.docs == "off" else f"{settings.base_url}/docs",
        "default_model": tenant.default_model,
        "first": {
            "model": first.model,
            "api_version": first.api_version,
            "code": programs(begin["url"], begin["row"], limits["seconds_per_call"]),
        },
        "endpoints": list(shown.values()),
        "limits": limits,
        "errors": [_error(CATALOGUE[code], settings.base_url) for code in COMMONEST],
        "again": sorted(f"{each.status} {each.code}" for each in CATALOGUE.values() if each.passes),
    }


def _check_not_suspended(tenant: Tenant) -> None:
    if tenant.suspended_at is not None:
        fact = f"{tenant.name} is suspended: its keys are refused"
        raise Refused(f"{fact}; let them work again: gatehouse tenants resume {tenant.name}", fact=fact)


def _nothing(session: Session, tenant: Tenant) -> Refused:
    fact = f"{tenant.name} may call nothing yet, so there is nothing to welcome it with"
    if tenant.name == OPERATOR_TENANT:
        return Refused(f"{tenant.name} calls no model; its keys are for operators")
    model = min(api_versions_by_model(session), default=None)
    command = f"gatehouse grants add {tenant.name} {model}" if model else "gatehouse models publish FILE --sample rows.csv"
    return Refused(f"{fact}: {command}", fact=fact)


def _first(endpoints: Iterable[Endpoint], tenant: Tenant) -> Endpoint | None:
    """The one to begin with: of the default model, active, and of these the newest."""

    def order(each: Endpoint) -> tuple[bool, bool, int]:
        return each.model != tenant.default_model, each.state != "active", -int(each.api_version[1:])

    return min(endpoints, default=None, key=order)


def _endpoint(session: Session, settings: Settings, endpoint: Endpoint, tenant: Tenant, now: datetime) -> dict[str, Any]:
    contract = contract_of(settings, endpoint.model, endpoint.stable_version)
    endpoint = _guided(session, settings, endpoint)
    ending, last_day = endpoint.deprecation, endpoint.last_day(tenant.id)
    return {
        "model": endpoint.model,
        "api_version": endpoint.api_version,
        "lifecycle": endpoint.state_at(now, tenant.id),
        "url": f"{settings.base_url}/{endpoint.api_version}/models/{endpoint.model}/predict",
        "deprecated_at": ending.since.isoformat() if ending else None,
        "sunset": last_day.isoformat() if last_day else None,
        "successor": successor_of(endpoint, settings.base_url),
        "reason": ending.reason if ending else None,
        "link": guide_url(endpoint, settings.base_url),
        "contract": describe(contract),
        "row": {feature.name: feature.example for feature in contract.features},
    }


def _guided(session: Session, settings: Settings, endpoint: Endpoint) -> Endpoint:
    """Whether rules lead up to its successor is known by the successor's contract."""
    if endpoint.deprecation is None or endpoint.deprecation.link is not None:
        return endpoint
    successor = find_endpoint(session, endpoint.model, endpoint.deprecation.successor)
    if successor is None:
        return endpoint
    contract = contract_of(settings, successor.model, successor.stable_version)
    return replace(endpoint, guided=rules_from(contract, endpoint.api_version) is not None)


def _limits(session: Session, settings: Settings, tenant: Tenant) -> dict[str, Any]:
    """The plan's, and those of the deployment that a tenant meets."""
    plan = named_plan(session, tenant.plan)
    return facts_of_plan(plan) | {
        "bytes_per_call": min(plan.bytes_per_call, settings.max_body_bytes),
        "calls_at_once": settings.max_calls_at_once_per_tenant,
        "account_requests_per_minute": settings.account_requests_per_minute,
        "seconds_per_call": math.ceil(settings.body_deadline_s + settings.waiting_deadline_s + settings.prediction_deadline_s),
    }


def _error(problem: type[Problem], base_url: str) -> dict[str, Any]:
    said = {"status": problem.status, "code": problem.code, "cause": problem.cause, "remedy": problem.remedy}
    return {**said, "page": f"{base_url}/errors/{problem.code}"}
