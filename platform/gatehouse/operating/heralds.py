"""Who tells tenants of what is done to an endpoint: with links as the servers show them."""

from functools import cache

from sqlmodel import Session

from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.migration.announcing import Herald
from gatehouse.migration.store import find_endpoint
from gatehouse.operating.published import contract_of
from gatehouse.settings import Settings


def herald_of(settings: Settings, session: Session) -> Herald:
    """For the transaction of `session`."""

    @cache
    def has_guide(model: str, old: str, new: str) -> bool:
        successor = find_endpoint(session, model, new)
        try:
            return successor is not None and rules_from(contract_of(settings, model, successor.stable_version), old) is not None
        except Refused:  # what cannot be read is not served either
            return False

    return Herald(settings.base_url, has_guide)
