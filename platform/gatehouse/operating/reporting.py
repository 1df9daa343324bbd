"""The migration report of a deployment: calls from its database, rules from its published contracts."""

from datetime import datetime

from sqlmodel import Session

from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.report import MigrationReport
from gatehouse.migration.report_standing import pair_of
from gatehouse.migration.report_store import read_report
from gatehouse.migration.store import named_endpoint
from gatehouse.operating.published import contract_of
from gatehouse.settings import Settings


def migration_report(
    session: Session, settings: Settings, model: str, old: str, new: str, now: datetime, tenant_id: str | None = None
) -> MigrationReport:
    """Of all tenants, or of one alone. Raises NotKnown, Refused."""
    before, after = (named_endpoint(session, model, version) for version in (old, new))
    return read_report(session, pair_of(before, after, _has_rules(settings, before, after)), now, tenant_id)


def _has_rules(settings: Settings, old: Endpoint, new: Endpoint) -> bool | None:
    """None where the newer contract cannot be read here."""
    try:
        contract = contract_of(settings, new.model, new.stable_version)
    except Refused:
        return None
    return rules_from(contract, old.api_version) is not None
