"""Which endpoints a tenant may call now."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from gatehouse.identity.store import Grant, Tenant
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints


def granted_endpoints(session: Session, tenant: Tenant, grants: Iterable[Grant], now: datetime) -> list[Endpoint]:
    """Those that its grants cover and that still answer it, by model and API version."""
    given = {(grant.model, grant.api_version) for grant in grants}
    return [each for each in list_endpoints(session) if _covered(each, given) and each.state_at(now, tenant.id) != "retired"]


def _covered(endpoint: Endpoint, given: set[tuple[str, str | None]]) -> bool:
    """A preview needs a grant that names its API version."""
    if (endpoint.model, endpoint.api_version) in given:
        return True
    return (endpoint.model, None) in given and endpoint.state != "preview"
