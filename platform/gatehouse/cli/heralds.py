"""Who tells tenants of what a command does to an endpoint: with links as the servers show them."""

from functools import cache

from sqlmodel import Session

from gatehouse.cli.deployment import Deployment
from gatehouse.cli.published_contract import contract_of
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.migration.announcing import Herald
from gatehouse.migration.store import find_endpoint


def herald_of(deployment: Deployment, session: Session) -> Herald:
    """For the transaction of `session`."""

    @cache
    def has_guide(model: str, old: str, new: str) -> bool:
        successor = find_endpoint(session, model, new)
        try:
            return successor is not None and rules_from(contract_of(deployment.settings, model, successor.stable_version), old) is not None
        except Refused:  # what cannot be read is not served either
            return False

    return Herald(deployment.settings.base_url, has_guide)
