"""A tenant by which a report is narrowed."""

from sqlmodel import Session

from gatehouse.api.account_usage import refused
from gatehouse.identity.store import referred_tenant


def tenant_id_of(session: Session, reference: str | None) -> str | None:
    """By id or name; None stays None. Raises InvalidInput."""
    if reference is None:
        return None
    found = referred_tenant(session, reference)
    if found is None:
        raise refused("tenant", "there is no such tenant")
    return found.id
