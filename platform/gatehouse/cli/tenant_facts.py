"""A tenant as commands answer it."""

from typing import Any

from gatehouse.cli.output import moment
from gatehouse.identity.store import Grant, Tenant


def facts(tenant: Tenant, grants: list[Grant]) -> dict[str, Any]:
    """A tenant for programs."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "plan": tenant.plan,
        "default_model": tenant.default_model,
        "grants": [{"model": grant.model, "api_version": grant.api_version} for grant in grants],
        "suspended_at": moment(tenant.suspended_at),
        "created_at": moment(tenant.created_at),
    }
