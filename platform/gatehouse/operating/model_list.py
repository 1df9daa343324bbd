"""Published models of this deployment, with the endpoints that they serve."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints
from gatehouse.operating.published import repository_of
from gatehouse.settings import Settings


@dataclass(frozen=True, slots=True)
class ListedModel:
    """`versions` lie in this machine's repository, lowest number first; whether they are sound shows when they are released."""

    model: str
    versions: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]


def list_models(session: Session, settings: Settings) -> list[ListedModel]:
    """By name; those that have an endpoint and lie elsewhere too. Raises Refused."""
    repository, endpoints = repository_of(settings), list_endpoints(session)
    names = sorted({*repository.models(), *(endpoint.model for endpoint in endpoints)})
    return [ListedModel(name, repository.versions(name), tuple(each for each in endpoints if each.model == name)) for name in names]


def model_facts(listed: ListedModel, now: datetime) -> dict[str, Any]:
    """As JSON values."""
    shown = [
        {"api_version": each.api_version, "state": each.state_at(now), "stable_version": each.stable_version, "bridged_to": each.bridged_to}
        for each in listed.endpoints
    ]
    return {"model": listed.model, "versions": list(listed.versions), "endpoints": shown}
